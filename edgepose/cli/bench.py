"""`edgepose bench`: latency stage by stage, engines interleaved; ratios against the first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgepose._files import refuse_existing, write_json
from edgepose.cli import options, show

if TYPE_CHECKING:
    from edgepose.measure.timings import BenchResult


def bench_engines(
    engines: tuple[Path, ...], *, source: Path | None, people: int, rounds: int, threads: int
) -> BenchResult:
    """Time engines on one frame; without a source the frame is a rendered one of 1280x720 pixels."""
    import numpy as np

    from edgepose.datasets.rendering import render_clip
    from edgepose.measure.bench import BenchOptions, bench
    from edgepose.media.images import read_image

    if source is not None:
        image = read_image(source)
        height, width = image.shape[:2]
        boxes = np.array([[0, 0, width - 1, height - 1]], np.float32)
    else:
        scene = next(iter(render_clip(0, frames=1, size=(720, 1280), people=1)))
        image, boxes = scene.image, scene.boxes_xyxy[:1].astype(np.float32)
    repeated = np.repeat(boxes, people, axis=0)
    return bench(engines, image, repeated, BenchOptions(rounds=rounds, threads=threads), show.track)


def print_latency(result: BenchResult) -> None:
    """Print the percentiles, the ratios, the readings of the sensors, and a warning for each clock that moved."""
    from edgepose.report import tables

    show.table(tables.latency_title(result), *tables.latency(result))
    show.table("speed", *tables.speed(result))
    if tables.sensors(result)[1]:
        show.table("sensors", *tables.sensors(result))
    show.note(tables.machine_line(result.machine))
    for engine in result.engines:
        if engine.slowed_by:
            show.note(f"{engine.path}: {engine.slowed_by}")
    for line in result.sensors.warnings:
        show.note(line)
    if any(engine.precision.startswith("int8") for engine in result.engines):
        show.warn_without_int8()


@click.command()
@click.argument("engines", nargs=-1, required=True, type=options.ENGINE)
@click.option("--source", type=options.FILE, help="A photograph instead of the rendered 1280x720 frame.")
@click.option(
    "--people", type=click.IntRange(1, 64), default=1, show_default=True, help="Crops of the frame, one batch."
)
@click.option("--rounds", type=click.IntRange(1), default=100, show_default=True, help="Timed runs of each engine.")
@click.option("--threads", type=click.IntRange(0), default=1, show_default=True, help="CPU threads; 0 = default.")
@click.option("--json", "json_path", type=options.NEW_FILE, help="Write the numbers here.")
@options.overwrite
def command(
    engines: tuple[Path, ...],
    source: Path | None,
    people: int,
    rounds: int,
    threads: int,
    json_path: Path | None,
    overwrite: bool,
) -> None:
    """Time ENGINES stage by stage in one interleaved run.

    \b
    Examples:
      edgepose bench engines/onnxruntime-fp32 engines/openvino-int8 --json bench.json
      edgepose bench engines/openvino-int8 --people 8 --threads 2
    """
    if json_path is not None:
        refuse_existing(json_path, overwrite)
    result = bench_engines(engines, source=source, people=people, rounds=rounds, threads=threads)
    print_latency(result)
    if json_path is not None:
        write_json(json_path, result.to_json())
