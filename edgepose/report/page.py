"""One HTML file of the results in a folder: tables, plots, one picture; nothing is fetched to show it.

The folder holds what the verbs wrote: `eval.json`, `bench.json`, and perhaps `overlay.png` and `overlay.mp4`.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgepose import __version__
from edgepose._files import write_bytes
from edgepose.errors import EdgeposeError
from edgepose.report import figures, tables

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .8rem; border-bottom: 1px solid #ddd; text-align: right }
th:first-child, td:first-child { text-align: left }
svg, img { max-width: 100%; height: auto }
p.small { color: #666; font-size: .85rem }
"""


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return f"<table>{line(columns, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"


def _accuracy(result: dict[str, Any]) -> list[str]:
    first = result["engines"][0]
    boxes = html.escape(first.get("boxes", "labels"))
    parts = [
        f"<h2>Accuracy on {html.escape(result['data'])}</h2>",
        f"<p>{first['n']} people, boxes from {boxes}; percent, with 95 % intervals over people, paired for what is "
        "retained; smallest: the smallest loss that so many people could have shown.</p>",
        _table(*tables.accuracy(result)),
    ]
    parts += [plot for plot in (figures.retention(result), figures.curves(result)) if plot]
    metric = next((name for name in first["metrics"] if first["metrics"][name].get("per_joint")), None)
    if metric:
        parts.append(figures.per_joint(result, metric))
    for reason, names in tables.skipped(first).items():
        parts.append(f'<p class="small">Not measured: {html.escape(", ".join(names))}: {html.escape(reason)}</p>')
    return parts


def _latency(result: dict[str, Any]) -> list[str]:
    height, width = result["frame"]
    return [
        "<h2>Latency</h2>",
        f"<p>One {width}x{height} frame, {result['batch']} crop(s) as one batch, "
        f"{result['threads'] or 'default'} thread(s), "
        f"{result['rounds']} interleaved rounds; decoding the video aside.</p>",
        _table(*tables.speed(result)),
        figures.latency(result),
        _table(*tables.latency(result)),
        f'<p class="small">{html.escape(tables.machine_line(result["machine"]))}</p>',
    ]


def _pictures(folder: Path) -> list[str]:
    parts = []
    picture = folder / "overlay.png"
    if picture.is_file():
        data = base64.b64encode(picture.read_bytes()).decode()
        parts.append(f'<p><img alt="poses drawn over a frame" src="data:image/png;base64,{data}"></p>')
    video = folder / "overlay.mp4"
    if video.is_file():
        parts.append(f'<p><a href="{video.name}">{video.name}</a>, the clip with the poses drawn over it</p>')
    return parts


def write_page(folder: Path, out: Path) -> None:
    """Write the page of a folder of results. EdgeposeError when there is nothing to show."""
    found = tables.results_in(folder)
    if not found:
        raise EdgeposeError(
            f"{folder} has neither eval.json nor bench.json; make them with "
            "edgepose eval --json and edgepose bench --json"
        )
    parts = ["<h1>edgepose report</h1>", *_pictures(folder)]
    for kind, make in (("eval", _accuracy), ("bench", _latency)):
        if kind in found:
            parts += make(tables.read_results(found[kind], kind))
    parts.append(f'<p class="small">edgepose {__version__}</p>')
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>edgepose report</title><style>{STYLE}</style>'
    write_bytes(out, (head + "".join(parts) + "</html>\n").encode())
