"""One HTML file with the results of a folder: tables, plots and one picture. The page loads nothing from elsewhere.

The folder holds the files that the verbs wrote: `eval.json`, `bench.json`, `guard.json`, and optionally `overlay.png`
and `overlay.mp4`. What the guard found is also read from the engines that eval.json and bench.json name.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path

from edgepose import __version__
from edgepose._files import write_bytes
from edgepose.artifacts.certificate import Certificate
from edgepose.errors import EdgeposeError
from edgepose.measure.reading import read_benchmark, read_evaluation
from edgepose.measure.results import Evaluation
from edgepose.measure.timings import BenchResult
from edgepose.report import figures, guarded, tables

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


def _accuracy(result: Evaluation) -> list[str]:
    first = result.engines[0]
    parts = [
        f"<h2>Accuracy on {html.escape(result.data)}</h2>",
        f"<p>{first.n} people, boxes from {html.escape(first.boxes)}. Values are in percent unless the metric names a "
        "unit, with 95 % intervals over people. Retention is relative to the first engine, with a paired interval: "
        "100 % means that nothing was lost, and lower is worse, also for errors. "
        f"{tables.DETECTABLE.capitalize()}.</p>",
        _table(*tables.accuracy(result)),
    ]
    parts += [plot for plot in (figures.retention(result), figures.curves(result)) if plot]
    metric = tables.shown_by_joint(first)
    if metric:
        parts.append(figures.per_joint(result, metric))
    for reason, names in tables.skipped(first).items():
        parts.append(f'<p class="small">Not measured: {html.escape(", ".join(names))}: {html.escape(reason)}</p>')
    return parts


def _latency(result: BenchResult) -> list[str]:
    height, width = result.frame
    return [
        "<h2>Latency</h2>",
        f"<p>One {width}x{height} frame, {result.batch} crop(s) as one batch, "
        f"{result.threads or 'default'} thread(s), {result.rounds} interleaved rounds. "
        "Decoding the video is not included.</p>",
        _table(*tables.speed(result)),
        figures.latency(result),
        _table(*tables.latency(result)),
        *_sensors(result),
        f'<p class="small">{html.escape(tables.machine_line(result.machine))}</p>',
    ]


def _sensors(result: BenchResult) -> list[str]:
    """Show the sensors that were read meanwhile, and the clocks that moved; nothing where there are no sensors."""
    columns, rows = tables.sensors(result)
    if not rows:
        return []
    found = result.sensors
    warnings = [f"<p><strong>{html.escape(line)}</strong></p>" for line in found.warnings]
    heading = f"<h3>Sensors, {found.samples} samples in {found.seconds:.0f} s of timing</h3>"
    return [heading, *warnings, _table(columns, rows)]


def _guard(certificate: Certificate) -> list[str]:
    """Show what the guard of the build found about INT8."""
    lines = "<br>".join(html.escape(line) for line in certificate.lines())
    parts = ["<h2>What INT8 retains, as tested by the build</h2>", f"<p>{lines}</p>"]
    drawing = guarded.plot(certificate)
    if drawing is not None:
        parts.append(drawing)
        parts.append(
            f"<p>Percent of the float network's accuracy. The value in parentheses is proven at "
            f"{certificate.confidence:.0%} confidence. Candidates are tested in this order until one fails.</p>"
        )
    return [*parts, _table(*guarded.table(certificate))]


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
    """Write the page of a folder of results.

    Args:
        folder: The folder with eval.json, bench.json or guard.json.
        out: The HTML file to write.

    Raises:
        EdgeposeError: The folder has none of these files, or one of them is not a result.
    """
    found = tables.results_in(folder)
    accuracy = read_evaluation(found["eval"]) if "eval" in found else None
    speed = read_benchmark(found["bench"]) if "bench" in found else None
    paths = [engine.path for result in (accuracy, speed) if result is not None for engine in result.engines]
    certificates = guarded.certificates(folder, paths)
    if not found and not certificates:
        raise EdgeposeError(
            f"{folder} has neither eval.json nor bench.json nor guard.json; make them with "
            "edgepose eval --json, edgepose bench --json and edgepose build"
        )
    parts = ["<h1>edgepose report</h1>", *_pictures(folder)]
    if accuracy is not None:
        parts += _accuracy(accuracy)
    for certificate in certificates:
        parts += _guard(certificate)
    if speed is not None:
        parts += _latency(speed)
    parts.append(f'<p class="small">edgepose {__version__}</p>')
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>edgepose report</title><style>{STYLE}</style>'
    write_bytes(out, (head + "".join(parts) + "</html>\n").encode())
