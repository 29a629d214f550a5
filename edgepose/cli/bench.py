"""`edgepose bench`: latency stage by stage, engines interleaved; ratios against the first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgepose._files import refuse_existing, write_json
from edgepose.cli import options, show


def print_latency(result: dict[str, Any]) -> None:
    """Print percentiles, ratios and sensors, and a warning for each clock that moved."""
    from edgepose.report import tables

    height, width = result["frame"]
    threads = result["threads"] or "default"
    title = f"{width}x{height} frame, batch {result['batch']}, {threads} thread(s), {result['rounds']} rounds"
    show.table(title, *tables.latency(result))
    show.table("speed", *tables.speed(result))
    if tables.sensors(result)[1]:
        show.table("sensors", *tables.sensors(result))
    show.note(tables.machine_line(result["machine"]))
    for entry in result["engines"]:
        if entry["slowed_by"]:
            show.note(f"{entry['path']}: {entry['slowed_by']}")
    for line in result["sensors"]["warnings"]:
        show.note(line)
    if any(entry["precision"].startswith("int8") for entry in result["engines"]):
        from edgepose.api.build import int8_problem

        show.lines(filter(None, [int8_problem()]), err=True)


@click.command()
@options.engines
@click.option("--source", type=options.FILE, help="An image instead of the rendered 1280x720 frame.")
@click.option("--people", type=click.IntRange(1, 64), default=1, show_default=True, help="Crops that run as one batch.")
@click.option("--rounds", type=click.IntRange(1), default=100, show_default=True, help="Timed runs of each engine.")
@click.option("--threads", type=click.IntRange(0), default=1, show_default=True, help="CPU threads; 0 = default.")
@options.json_path
@options.overwrite
def command(engines: tuple[str, ...], json_path: Path | None, overwrite: bool, **given: Any) -> None:
    """Time ENGINES (engine folders, ONNX files or zoo names) stage by stage in one interleaved run.

    \b
    Examples:
      edgepose bench engines/onnxruntime-fp32 engines/openvino-int8 --json bench.json
      edgepose bench engines/openvino-int8 --people 8 --threads 2
    """
    from edgepose.api.benchmark import benchmark

    if json_path is not None:
        refuse_existing(json_path, overwrite)
    result = benchmark(engines, track=show.track, note=show.note, **given)
    print_latency(result)
    if json_path is not None:
        write_json(json_path, result)
