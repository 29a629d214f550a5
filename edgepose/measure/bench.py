"""Latency of engines, stage by stage, on one frame: what an application would see, decoding the video aside.

All engines and stages are timed in one interleaved run (`latency.time_interleaved`):

    preprocess   the frame -> crops            decode       outputs -> joints in the image
    inference    crops -> outputs              end_to_end   the three of them in one go
    network      the session alone on crops cut beforehand: what `end_to_end` is held against

An engine on a GPU runs all of it there ("pipeline": "device"): preprocess begins with the frame's upload, decode ends
with the joints on the host, and each stage alone waits for the GPU, which `end_to_end` does once.

A network that finds people itself (codec paf) takes the whole frame once, whatever the number of people.

Between the rounds the machine's sensors are read: `sensors` says how warm it was, what it drew, and which clock moved.
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
from edgepose.backends.session import OpenOptions
from edgepose.errors import UsageError
from edgepose.measure.latency import percentiles, ratio, time_interleaved
from edgepose.measure.machine import describe
from edgepose.measure.sensors import Recorder, open_sensors
from edgepose.runtime.bottomup import BottomUp
from edgepose.runtime.device import DeviceTopDown, open_topdown, slowed_by
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
    network: TopDown | DeviceTopDown | BottomUp

    def batch(self, boxes_xyxy: Array) -> int:
        """What one run is of: people, or a frame with everyone in it."""
        return 1 if isinstance(self.network, BottomUp) else len(boxes_xyxy)


def bench(
    engines: Sequence[Path],
    image: Array,  # [H, W, 3] uint8 BGR
    boxes_xyxy: Array,  # [N, 4], the people to run as one batch
    options: BenchOptions,
    track: Track = quiet,
    root: Path = Path("/"),
) -> dict[str, Any]:
    """DESIGN's `bench --json` value and `sensors` (`Recorder.summary`), whose files are looked for under `root`.

    Raises what opening an engine raises; UsageError without engines.
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
        slow = [slowed_by(subject.network) for subject in subjects]
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
        "sensors": recorder.summary(gpu=any(about(subject.manifest.backend).on_gpu for subject in subjects)),
    }


def _open(path: Path, options: BenchOptions, enter: Callable[[Any], Any]) -> _Subject:
    session, manifest = open_engine(path, OpenOptions(threads=options.threads))
    enter(session)
    if manifest.spec.codec.type == "paf":
        return _Subject(path, manifest, BottomUp(session, manifest.spec))
    return _Subject(path, manifest, enter(open_topdown(session, manifest.spec, threads=options.threads)))


def _subjects(subject: _Subject, image: Array, boxes: Array) -> dict[str, Callable[[], object]]:
    """What each of STAGES calls."""
    net = subject.network
    if isinstance(net, DeviceTopDown):
        return net.stages(image, boxes)
    people = () if isinstance(net, BottomUp) else (boxes,)
    crops, inverse = net.preprocess(image, *people)
    outputs = net.infer(crops)
    feed = {net.spec.input.name: crops}
    return {
        "preprocess": lambda: net.preprocess(image, *people),
        "inference": lambda: net.infer(crops),
        "decode": lambda: net.decode(outputs, inverse, *people),
        "end_to_end": lambda: net(image, *people),
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
        "pipeline": "device" if isinstance(subject.network, DeviceTopDown) else "host",
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
