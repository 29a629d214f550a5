"""Latency of engines, stage by stage, on one frame: what an application would see, decoding the video aside.

All engines and stages are timed in one interleaved run (`latency.time_interleaved`):

    preprocess   the frame -> crops            decode       outputs -> joints in the image
    inference    crops -> outputs              end_to_end   the three of them in one go
    network      the session alone on crops cut beforehand: what `end_to_end` is held against
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
from edgepose.runtime.topdown import TopDown

STAGES = ("preprocess", "inference", "decode", "end_to_end", "network")


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """rounds: timed runs of each engine; warmup: untimed ones before. threads: of the inference library and of
    cutting people out."""

    rounds: int = 100
    warmup: int = 10
    threads: int = 1
    seed: int = 0


@dataclass(frozen=True)
class _Subject:
    path: Path
    manifest: Manifest
    network: TopDown


def bench(
    engines: Sequence[Path],
    image: Array,  # [H, W, 3] uint8 BGR
    boxes_xyxy: Array,  # [N, 4], the people to run as one batch
    options: BenchOptions,
    track: Track = quiet,
) -> dict[str, Any]:
    """DESIGN's `bench --json` value. Raises what opening an engine raises; UsageError without engines."""
    if not engines:
        raise UsageError("no engine to time; give one or more engine folders")
    if options.rounds < 1 or options.warmup < 0:
        raise UsageError(f"rounds {options.rounds} and warmup {options.warmup}: expected at least 1 and 0")
    machine = describe()
    with contextlib.ExitStack() as stack:
        subjects = [_open(path, options, stack.enter_context) for path in engines]
        seconds = _interleave(subjects, image, boxes_xyxy, options, track)
    return {
        "machine": machine,
        "frame": [int(image.shape[0]), int(image.shape[1])],
        "batch": len(boxes_xyxy),
        "threads": options.threads,
        "rounds": options.rounds,
        "engines": [_entry(subject, seconds[i], len(boxes_xyxy)) for i, subject in enumerate(subjects)],
        "ratios": _ratios(seconds),
    }


def _open(path: Path, options: BenchOptions, enter: Callable[[Any], Any]) -> _Subject:
    session, manifest = open_engine(path, OpenOptions(threads=options.threads))
    return _Subject(path, manifest, TopDown(enter(session), manifest.spec, threads=options.threads))


def _subjects(subject: _Subject, image: Array, boxes: Array) -> dict[str, Callable[[], object]]:
    """What each of STAGES calls."""
    net = subject.network
    crops, inverse = net.preprocess(image, boxes)
    outputs = net.infer(crops)
    feed = {net.spec.input.name: crops}
    return {
        "preprocess": lambda: net.preprocess(image, boxes),
        "inference": lambda: net.infer(crops),
        "decode": lambda: net.decode(outputs, inverse, boxes),
        "end_to_end": lambda: net(image, boxes),
        "network": lambda: net.session.run(feed),
    }


def _interleave(
    subjects: list[_Subject], image: Array, boxes: Array, options: BenchOptions, track: Track
) -> list[dict[str, Array]]:
    """For each engine, stage -> [rounds] float64 seconds."""
    calls = {
        f"{i}/{stage}": call
        for i, subject in enumerate(subjects)
        for stage, call in _subjects(subject, image, boxes).items()
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
        "throughput_ips": batch / end_to_end,
        "pipeline_over_network": end_to_end / alone,
    }


def _ratios(seconds: list[dict[str, Array]]) -> list[dict[str, Any]]:
    """How many times faster each engine is than the first, the network alone and end to end."""
    return [
        {"engine": i, "against": 0}
        | {name: ratio(seconds[0][name], seconds[i][name]) for name in ("network", "end_to_end")}
        for i in range(1, len(seconds))
    ]
