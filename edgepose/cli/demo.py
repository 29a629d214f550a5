"""`edgepose demo`: the whole job on rendered figures: build, run, evaluate, time, report. Needs no download."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from edgepose._files import refuse_existing, replacing, write_json
from edgepose._optional import optional
from edgepose.cli import options, show
from edgepose.errors import EdgeposeError

PEOPLE = 200  # figures the engines are compared on
FRAMES = 120
SEED = 1  # lite was trained on figures of seed 0


@click.command()
@click.option("--out", type=options.NEW_FOLDER, default=Path("demo-out"), show_default=True, help="Where it all goes.")
@click.option("--people", type=click.IntRange(32), default=PEOPLE, show_default=True, help="Figures to evaluate on.")
@click.option("--frames", type=click.IntRange(2), default=FRAMES, show_default=True, help="Frames of the clip.")
@click.option("--rounds", type=click.IntRange(1), default=60, show_default=True, help="Timed runs of each engine.")
@options.overwrite
def command(out: Path, people: int, frames: int, rounds: int, overwrite: bool) -> None:
    """Build, run, evaluate and time the model that ships, on rendered figures.

    \b
    It shows the whole pipeline on any machine. Rendered figures say nothing about accuracy on photographs:
    for that see docs/results, or run edgepose eval on LSP.

    \b
    Example:
      edgepose demo --out demo-out
    """
    from edgepose.cli.bench import bench_engines, print_latency
    from edgepose.cli.build import build_all
    from edgepose.cli.evaluate import EvalRequest, evaluate_engines, print_accuracy
    from edgepose.cli.graphs import BuildRequest
    from edgepose.cli.run import RunRequest, run_source
    from edgepose.report.page import write_page

    refuse_existing(out / "report.html", overwrite)
    optional("matplotlib")  # step 5 needs it: say so before the work, not after
    show.note("1/5 engines of lite in FP32 and INT8")
    engines = build_all(
        BuildRequest(
            model="lite",
            out=out / "engines",
            overwrite=True,
            command=shlex.join(["edgepose", "build", "lite", "--out", str(out / "engines")]),
        )
    )
    show.note("2/5 a clip, and its poses by the INT8 engine")
    clip, boxes = write_clip(out, frames)
    run_source(
        RunRequest(
            engine=engines[-1],
            source=str(clip),
            detector=str(boxes),
            out_video=out / "overlay.mp4",
            out_json=out / "poses.json",
            overwrite=True,
        )
    )
    _still(out / "overlay.mp4", out / "overlay.png", frames // 3)
    show.note(f"3/5 accuracy on {people} rendered figures")
    accuracy = evaluate_engines(EvalRequest(engines=engines, data=f"synthetic:{people}:{SEED}"))
    write_json(out / "eval.json", accuracy.to_json())
    show.note("4/5 latency, interleaved, one thread")
    latency = bench_engines(tuple(engines), source=None, people=1, rounds=rounds, threads=1)
    write_json(out / "bench.json", latency.to_json())
    print_accuracy(accuracy)
    print_latency(latency)
    show.note("5/5 report")
    write_page(out, out / "report.html")
    for name in ("report.html", "overlay.mp4", "poses.json"):
        click.echo(out / name)


def write_clip(out: Path, frames: int) -> tuple[Path, Path]:
    """A rendered clip and the boxes of its people: (clip.mp4, boxes.json)."""
    from edgepose.datasets.rendering import render_clip
    from edgepose.media.video import VideoWriter

    clip, boxes = out / "clip.mp4", out / "boxes.json"
    entries = []
    with VideoWriter(clip, 25.0) as video:
        for index, scene in enumerate(show.track(render_clip(7, frames=frames), "rendering", frames)):
            video.write(scene.image)
            for x0, y0, x1, y1 in scene.boxes_xyxy.tolist():
                box = [x0, y0, x1 - x0, y1 - y0]
                entries.append({"image_id": index, "category_id": 1, "bbox": box, "score": 1.0})
    write_json(boxes, entries)
    return clip, boxes


def _still(video: Path, picture: Path, index: int) -> None:
    """One frame of a video as a PNG."""
    import itertools

    import cv2

    from edgepose.media.sources import open_source

    with open_source(str(video)) as source:
        frame = next(itertools.islice(source, index, None))
    with replacing(picture) as beside:
        if not cv2.imwrite(str(beside), frame.image):
            raise EdgeposeError(f"cannot write {picture}: is the disk full?")
