"""Measure the latency of engines, stage by stage, in one interleaved run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgepose._files import write_json
from edgepose._outputs import refuse_existing
from edgepose._progress import Note, Track, quiet, silent
from edgepose.api.cache import engine_folders
from edgepose.datasets.rendering import render_clip
from edgepose.errors import UsageError
from edgepose.measure.bench import BenchOptions, bench
from edgepose.measure.timings import BenchResult
from edgepose.media.images import read_image


def benchmark(
    engines: str | Path | Sequence[str | Path],
    *,
    source: str | Path | None = None,
    people: int = 1,
    rounds: int = 100,
    threads: int = 1,
    out: str | Path | None = None,
    overwrite: bool = False,
    track: Track = quiet,
    note: Note = silent,
) -> BenchResult:
    """Time engines on one frame; speeds are compared with the first engine.

    Args:
        engines: An engine folder, a zoo name or an ONNX file, or several of them.
        source: An image; by default a rendered frame of 1280 x 720 pixels.
        people: Number of crops of the frame, which run as one batch.
        rounds: Number of timed runs of each engine.
        threads: CPU threads; 0 lets the backend choose.
        out: The JSON file to write; without it nothing is written.
        overwrite: Whether to replace `out`.
        track: Shows the progress.
        note: Receives lines about builds.

    Returns:
        The machine, latency percentiles of each stage in milliseconds, ratios and sensors.

    Raises:
        EngineError: An engine is damaged or was made for another machine.
        UsageError: `out` exists, there is no engine, or `people` or `rounds` is below 1.

    Examples:
        >>> benchmark(["lite"], rounds=20).engines[0].stages["end_to_end"].p50_ms
    """
    if out is not None:
        several = [engines] if isinstance(engines, (str, Path)) else engines
        refuse_existing(Path(out), overwrite, [*several, source])
    if people < 1:
        raise UsageError(f"people = {people}; expected 1 or more")
    folders = engine_folders(engines, track=track, note=note)
    if source is not None:
        image = read_image(Path(source))
        height, width = image.shape[:2]
        boxes = np.array([[0, 0, width - 1, height - 1]], np.float32)
    else:
        scene = next(iter(render_clip(0, frames=1, size=(720, 1280), people=1)))
        image, boxes = scene.image, scene.boxes_xyxy[:1].astype(np.float32)
    repeated = np.repeat(boxes, people, axis=0)
    result = bench(folders, image, repeated, BenchOptions(rounds=rounds, threads=threads), track)
    if out is not None:
        write_json(Path(out), result.to_json())
    return result
