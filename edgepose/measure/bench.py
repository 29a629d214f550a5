"""Latency of engines on one frame, stage by stage: the latency that an application sees, without decoding the video.

All engines and stages are timed in one interleaved run (`latency.time_interleaved`):

    preprocess   the frame -> crops
    inference    crops -> outputs
    decode       outputs -> joints in the image
    end_to_end   the three stages above in one call
    network      the session alone, on crops cut beforehand: the reference for `end_to_end`

An engine on a GPU runs all stages there ("pipeline": "device"). Its preprocess stage begins with the upload of the
frame, and its decode stage ends with the joints on the host. Each stage that is timed alone waits for the GPU;
`end_to_end` waits once.

A network that finds people by itself takes the whole frame once, whatever the number of people.

The machine's sensors are read between the rounds. `sensors` of the result says how warm the machine was, how much power
it drew, and which clock moved.
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
from edgepose.backends import about
from edgepose.backends.engine import open_engine
from edgepose.backends.int8_share import share_that_runs
from edgepose.backends.session import OpenOptions
from edgepose.errors import UsageError
from edgepose.measure.latency import percentiles, ratio, time_interleaved
from edgepose.measure.machine import describe
from edgepose.measure.sensors import Recorder, open_sensors
from edgepose.measure.timings import BenchResult, EngineLatency, Speedup
from edgepose.runtime.pipeline import Pipeline, open_pipeline

STAGES = ("preprocess", "inference", "decode", "end_to_end", "network")


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """How to time.

    Attributes:
        rounds: Number of timed runs of each engine.
        warmup: Number of untimed runs of each engine before the first round.
        threads: CPU threads of the inference library and of preprocessing; 0 for the library's default.
        seed: Seed of the order within each round.
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
    int8_share: float | None

    def boxes(self, boxes_xyxy: Array) -> Array | None:
        """Return the boxes that the pipeline takes: none where it finds people by itself."""
        return None if self.pipeline.finds_people else boxes_xyxy

    def batch(self, boxes_xyxy: Array) -> int:
        """Return how many crops one run takes: one per person, or one frame with everyone in it."""
        return 1 if self.pipeline.finds_people else len(boxes_xyxy)


def bench(
    engines: Sequence[Path],
    image: Array,
    boxes_xyxy: Array,
    options: BenchOptions,
    track: Track = quiet,
    root: Path = Path("/"),
) -> BenchResult:
    """Time engines stage by stage in one interleaved run.

    Args:
        engines: Engine folders. Ratios are relative to the first.
        image: [H, W, 3] uint8 BGR, the frame.
        boxes_xyxy: [N, 4] float32, the people that are run as one batch, in pixels of the frame.
        options: Rounds and threads.
        track: Progress callback over the rounds.
        root: The folder under which the files of the machine's sensors are looked for.

    Raises:
        UsageError: There is no engine, or no round.
        EdgeposeError: An engine cannot be opened.
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
    return BenchResult(
        machine=machine,
        frame=(int(image.shape[0]), int(image.shape[1])),
        batch=len(boxes_xyxy),
        threads=options.threads,
        rounds=options.rounds,
        engines=tuple(
            _entry(subject, times, subject.batch(boxes_xyxy), reason)
            for subject, times, reason in zip(subjects, seconds, slow, strict=True)
        ),
        ratios=_ratios(seconds),
        sensors=recorder.summary(gpu=any(about(subject.manifest.backend).on_gpu for subject in subjects)),
    )


def _open(path: Path, options: BenchOptions, enter: Callable[[Any], Any]) -> _Subject:
    session, manifest = open_engine(path, OpenOptions(threads=options.threads))
    enter(session)
    int8 = manifest.precision.startswith("int8") and manifest.multiply_adds
    share = share_that_runs(manifest.multiply_adds, session.layers()) if int8 else None
    return _Subject(path, manifest, enter(open_pipeline(session, manifest.spec, threads=options.threads)), share)


def _interleave(
    subjects: list[_Subject], image: Array, boxes: Array, options: BenchOptions, track: Track
) -> list[dict[str, Array]]:
    """Time all engines in the same rounds; return stage -> [rounds] float64 seconds for each engine."""
    calls = {
        f"{i}/{stage}": call
        for i, subject in enumerate(subjects)
        for stage, call in subject.pipeline.stages(image, subject.boxes(boxes)).items()
    }
    seconds = time_interleaved(calls, options.rounds, options.warmup, track, seed=options.seed)
    return [{stage: seconds[f"{i}/{stage}"] for stage in STAGES} for i in range(len(subjects))]


def _entry(subject: _Subject, seconds: dict[str, Array], batch: int, slowed: str | None) -> EngineLatency:
    end_to_end, alone = (float(np.median(seconds[name])) for name in ("end_to_end", "network"))
    return EngineLatency(
        path=str(subject.path),
        onnx_sha256=subject.manifest.onnx_sha256,
        precision=subject.manifest.precision,
        backend=subject.manifest.backend,
        backend_version=subject.manifest.backend_version,
        stages={name: percentiles(times) for name, times in seconds.items()},
        pipeline=subject.pipeline.kind,
        throughput_ips=batch / end_to_end,
        pipeline_over_network=end_to_end / alone,
        slowed_by=slowed,
        int8_share=subject.int8_share,
    )


def _ratios(seconds: list[dict[str, Array]]) -> tuple[Speedup, ...]:
    """Compute how many times faster each engine is than the first, the network alone and end to end."""
    return tuple(
        Speedup(
            engine=i,
            against=0,
            network=ratio(seconds[0]["network"], seconds[i]["network"]),
            end_to_end=ratio(seconds[0]["end_to_end"], seconds[i]["end_to_end"]),
        )
        for i in range(1, len(seconds))
    )
