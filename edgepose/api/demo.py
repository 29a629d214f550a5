"""The whole job on rendered figures: build, run, evaluate, measure latency, report. It needs no download."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgepose._files import replacing, write_json
from edgepose._optional import optional
from edgepose._outputs import refuse_existing
from edgepose._progress import Note, Track, quiet, silent
from edgepose.errors import EdgeposeError

if TYPE_CHECKING:
    from edgepose.measure.results import Evaluation
    from edgepose.measure.timings import BenchResult

SEED = 1  # lite was trained on figures of seed 0


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the demo made.

    Attributes:
        accuracy: Every metric of the engines.
        latency: Their latency.
        report: The HTML page.
        overlay: The clip with the poses drawn over it.
        poses: The poses as COCO keypoint results.
    """

    accuracy: Evaluation
    latency: BenchResult
    report: Path
    overlay: Path
    poses: Path


def demo(
    *,
    out: str | Path = "demo-out",
    people: int = 200,
    frames: int = 120,
    rounds: int = 60,
    overwrite: bool = False,
    track: Track = quiet,
    note: Note = silent,
) -> DemoResult:
    """Build, run, evaluate and time the model that ships, on rendered figures.

    Args:
        out: Folder of everything that the demo makes.
        people: Number of figures to evaluate on.
        frames: Number of frames of the clip.
        rounds: Number of timed runs of each engine.
        overwrite: Whether to replace the results of an earlier demo.
        track: Shows the progress.
        note: Receives a line about each step.

    Returns:
        The results and the files.

    Raises:
        UsageError: A file of the demo exists and `overwrite` is not set.
        MissingPackage: matplotlib or every backend is not installed.

    Examples:
        >>> demo(out="demo-out").report
        PosixPath('demo-out/report.html')
    """
    from edgepose.api.benchmark import benchmark
    from edgepose.api.build import build
    from edgepose.api.evaluate import evaluate
    from edgepose.api.report import report
    from edgepose.api.run import RunOptions, run

    folder = Path(out)
    page, overlay, poses = folder / "report.html", folder / "overlay.mp4", folder / "poses.json"
    others = ("overlay.png", "clip.mp4", "boxes.json", "eval.json", "bench.json")
    for path in (page, overlay, poses, *(folder / name for name in others)):
        refuse_existing(path, overwrite)
    optional("matplotlib")  # the report needs it: fail before the work, not after
    note("1/5 engines of lite in FP32 and INT8")
    engines = build("lite", out=folder / "engines", overwrite=True, track=track, note=note).engines
    note("2/5 a clip, and its poses by the INT8 engine")
    clip, boxes = write_clip(folder, frames, track)
    outputs = RunOptions(detector=str(boxes), out_video=overlay, out_json=poses)
    run(engines[-1], source=clip, options=outputs, overwrite=True, track=track, note=note)
    _still(overlay, folder / "overlay.png", frames // 3)
    note(f"3/5 accuracy on {people} rendered figures")
    accuracy = evaluate(
        engines, data=f"synthetic:{people}:{SEED}", out=folder / "eval.json", overwrite=True, track=track
    )
    note("4/5 latency, interleaved, one thread")
    latency = benchmark(engines, rounds=rounds, out=folder / "bench.json", overwrite=True, track=track)
    note("5/5 report")
    report(folder, out=page, overwrite=True)
    return DemoResult(accuracy=accuracy, latency=latency, report=page, overlay=overlay, poses=poses)


def write_clip(out: Path, frames: int, track: Track = quiet) -> tuple[Path, Path]:
    """Render a clip and write it with the boxes of its people: clip.mp4 and boxes.json in `out`."""
    from edgepose.datasets.rendering import render_clip
    from edgepose.media.video import VideoWriter

    clip, boxes = out / "clip.mp4", out / "boxes.json"
    entries = []
    with VideoWriter(clip, 25.0) as video:
        for index, scene in enumerate(track(render_clip(7, frames=frames), "rendering", frames)):
            video.write(scene.image)
            for x0, y0, x1, y1 in scene.boxes_xyxy.tolist():
                box = [x0, y0, x1 - x0, y1 - y0]
                entries.append({"image_id": index, "category_id": 1, "bbox": box, "score": 1.0})
    write_json(boxes, entries)
    return clip, boxes


def _still(video: Path, picture: Path, index: int) -> None:
    """Write one frame of a video as a PNG."""
    import cv2

    from edgepose.media.sources import open_source

    with open_source(str(video)) as source:
        frame = next(itertools.islice(source, index, None))
    with replacing(picture) as unfinished:
        if not cv2.imwrite(str(unfinished), frame.image):
            raise EdgeposeError(f"cannot write {picture}: is the disk full?")
