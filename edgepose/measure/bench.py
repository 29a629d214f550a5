"""Measure the latency of engines, stage by stage, on one frame: what an application pays, except video decoding.

All engines and stages are timed in one interleaved run (`latency.time_interleaved`):

    preprocess   the frame -> crops            decode       outputs -> joints in the image
    inference    crops -> outputs              end_to_end   the three of them in one call
    network      the session alone on crops that were cut before; `end_to_end` is compared with it

An engine on a GPU runs all stages there ("pipeline": "device"): preprocess contains the upload of the frame and decode
the download of the joints. Each stage alone waits for the GPU, while `end_to_end` waits once.

A network that finds people by itself takes the whole frame once, whatever the number of people.

The sensors of the machine are read between the rounds: `sensors` reports temperature, power, and every clock that
changed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgepose._checks import Array
from edgepose._progress import Track, quiet
from edgepose.artifacts.manifest import Manifest
from edgepose.backends.engine import open_engine
from edgepose.backends.session import OpenOptions
from edgepose.errors import UsageError
from edgepose.measure.latency import percentiles, ratio, time_interleaved
from edgepose.measure.machine import describe
from edgepose.measure.sensors import Recorder, open_sensors
from edgepose.runtime.pipeline import Pipeline, open_pipeline

ON_GPU = ("tensorrt", "tensorrt_rtx")
STAGES = ("preprocess", "inference", "decode", "end_to_end", "network")


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """Options of a benchmark.

    Attributes:
        rounds: Timed runs of each engine.
        warmup: Untimed runs before them.
        threads: CPU threads of the inference library and of cropping.
        seed: The seed of the order in which engines and stages are timed.
    """

    rounds: int = 100
    warmup: int = 10
    threads: int = 1
    seed: int = 0


@dataclass(frozen=True)
class _Subject:
    path: Path
    manifest: Manifest
    pipeline: Pipeline

    def boxes(self, boxes_xyxy: Array) -> Array | None:
        """Return the boxes that the pipeline takes: none where it finds people by itself."""
        return None if self.pipeline.finds_people else boxes_xyxy

    def batch(self, boxes_xyxy: Array) -> int:
        """Return how many crops one run takes: one for each person, or one frame with all people in it."""
        return 1 if self.pipeline.finds_people else len(boxes_xyxy)


def bench(
    engines: Sequence[Path],
    image: Array,  # [H, W, 3] uint8 BGR
    boxes_xyxy: Array,  # [N, 4], the people to run as one batch
    options: BenchOptions,
    track: Track = quiet,
    root: Path = Path("/"),
) -> dict[str, Any]:
    """Time engines on one frame.

    Args:
        engines: Engine folders. Ratios are those to the first one.
        image: The frame, [H, W, 3] uint8 BGR.
        boxes_xyxy: The people to run as one batch, [N, 4].
        options: What to time and how often.
        track: Reports progress.
        root: The folder under which the files of the sensors are looked for.

    Returns:
        The JSON value of `edgepose bench --json`, with `sensors` (`Recorder.summary`).

    Raises:
        UsageError: There is no engine, or an option is out of range.
        EngineError: An engine cannot be opened.
    """
    if not engines:
        raise UsageError("no engine to time; give one or more engine folders")
    if options.rounds < 1 or options.warmup < 0:
        raise UsageError(f"rounds {options.rounds} and warmup {options.warmup}: expected at least 1 and 0")
    machine = describe()
    with contextlib.ExitStack() as stack:
        subjects = [_open(path, options, stack.enter_context) for path in engines]
        recorder = Recorder(stack.enter_context(open_sensors(root)))
        seconds = _interleave(subjects, image, boxes_xyxy, options, recorder.during(track))
        slow = [subject.pipeline.slowed_by for subject in subjects]
    return {
        "machine": machine,
        "frame": [int(image.shape[0]), int(image.shape[1])],
        "batch": len(boxes_xyxy),
        "threads": options.threads,
        "rounds": options.rounds,
        "engines": [
            _entry(subject, seconds[i], subject.batch(boxes_xyxy)) | {"slowed_by": slow[i]}
            for i, subject in enumerate(subjects)
        ],
        "ratios": _ratios(seconds),
        "sensors": recorder.summary(gpu=any(subject.manifest.backend in ON_GPU for subject in subjects)),
    }


def _open(path: Path, options: BenchOptions, enter: Callable[[Any], Any]) -> _Subject:
    session, manifest = open_engine(path, OpenOptions(threads=options.threads))
    enter(session)
    return _Subject(path, manifest, enter(open_pipeline(session, manifest.spec, threads=options.threads)))


def _interleave(
    subjects: list[_Subject], image: Array, boxes: Array, options: BenchOptions, track: Track
) -> list[dict[str, Array]]:
    """Return for each engine: stage -> seconds of each round, [rounds] float64."""
    calls = {
        f"{i}/{stage}": call
        for i, subject in enumerate(subjects)
        for stage, call in subject.pipeline.stages(image, subject.boxes(boxes)).items()
    }
    seconds = time_interleaved(calls, options.rounds, options.warmup, track, seed=options.seed)
    return [{stage: seconds[f"{i}/{stage}"] for stage in STAGES} for i in range(len(subjects))]


def _entry(subject: _Subject, seconds: dict[str, Array], batch: int) -> dict[str, Any]:
    end_to_end, alone = (float(np.median(seconds[name])) for name in ("end_to_end", "network"))
    return {
        "path": str(subject.path),
        "onnx_sha256": subject.manifest.onnx_sha256,
        "precision": subject.manifest.precision,
        "backend": subject.manifest.backend,
        "backend_version": subject.manifest.backend_version,
        "stages": {name: percentiles(times) for name, times in seconds.items()},
        "pipeline": subject.pipeline.kind,
        "throughput_ips": batch / end_to_end,
        "pipeline_over_network": end_to_end / alone,
    }


def _ratios(seconds: list[dict[str, Array]]) -> list[dict[str, Any]]:
    """Return how many times faster each engine is than the first one, the network alone and end to end."""
    return [
        {"engine": i, "against": 0}
        | {name: ratio(seconds[0][name], seconds[i][name]) for name in ("network", "end_to_end")}
        for i in range(1, len(seconds))
    ]
