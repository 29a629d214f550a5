"""The result of `edgepose bench`, and its JSON: the fields of `BenchResult` with their names, and `"format"`.

    {"format": 1, "machine": {"cpu", "cpu_flags", "int8", "cores", ...}, "frame": [height, width], "batch", "threads",
     "rounds",
     "engines": [{"path", "onnx_sha256", "precision", "backend", "backend_version",
                  "stages": {"preprocess": {"p50_ms", "p90_ms", "p95_ms", "p99_ms"}, "inference", "decode",
                             "end_to_end", "network"},
                  "pipeline": "host" or "device", "throughput_ips", "pipeline_over_network", "slowed_by",
                 "int8_share"}],
     "ratios": [{"engine": 1, "against": 0, "network": {"value", "low", "high"}, "end_to_end": {the same}}],
     "sensors": {"samples", "seconds", "temperature_c": {name: {"first", "min", "median", "max", "last"}}, "power_w",
                 "clock_mhz", "warnings"}}

`ratios` say how many times faster an engine is than the first. `edgepose.measure.reading` reads the file.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from edgepose.backends.int8_share import too_little
from edgepose.measure.latency import Percentiles
from edgepose.measure.machine import Machine
from edgepose.metrics.retention import Interval

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class EngineLatency:
    """The latency of one engine.

    Attributes:
        path: The engine's folder.
        onnx_sha256: Hash of the ONNX file that the engine was built from.
        precision: "fp32", "fp16", "int8", ...
        backend: Name of the backend.
        backend_version: Version of the backend's library.
        stages: Stage -> its latency; the stages are described in `edgepose.measure.bench`.
        pipeline: "host", or "device" where all stages run on the GPU.
        throughput_ips: Crops (or frames, for a network that finds people itself) per second.
        pipeline_over_network: Median latency end to end divided by that of the network alone.
        slowed_by: What keeps the engine from its fastest pipeline, or None.
        int8_share: Share of the multiply-adds of an INT8 engine that run in int8 on this machine; None where that is
            not known, and for other engines.
    """

    path: str
    onnx_sha256: str
    precision: str
    backend: str
    backend_version: str
    stages: dict[str, Percentiles]
    pipeline: str
    throughput_ips: float
    pipeline_over_network: float
    slowed_by: str | None = None
    int8_share: float | None = None


@dataclass(frozen=True, kw_only=True)
class Speedup:
    """How many times faster `engine` is than `against`, both indices into the engines."""

    engine: int
    against: int
    network: Interval
    end_to_end: Interval


@dataclass(frozen=True, kw_only=True)
class SensorRange:
    """What one sensor read while engines were timed, in its unit."""

    first: float
    min: float
    median: float
    max: float
    last: float


@dataclass(frozen=True, kw_only=True)
class SensorReadings:
    """The sensors of the machine while engines were timed.

    Attributes:
        samples: How often the sensors were read.
        seconds: Time between the first and the last reading.
        temperature_c: Sensor -> degrees Celsius.
        power_w: Sensor -> watts.
        clock_mhz: Clock -> MHz.
        warnings: A sentence for each clock that moved.
    """

    samples: int
    seconds: float
    temperature_c: dict[str, SensorRange] = field(default_factory=dict)
    power_w: dict[str, SensorRange] = field(default_factory=dict)
    clock_mhz: dict[str, SensorRange] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Convert to the JSON value of `sensors`."""
        return _plain(self)


@dataclass(frozen=True, kw_only=True)
class BenchResult:
    """The latency of several engines, timed in one interleaved run.

    Attributes:
        machine: What machine the timings are of.
        frame: (height, width) of the frame in pixels.
        batch: Number of crops that are run as one batch.
        threads: CPU threads; 0 for the library's default.
        rounds: How often every stage was timed.
        engines: The engines.
        ratios: How many times faster each engine is than the first.
        sensors: What the machine's sensors read meanwhile.
    """

    machine: Machine
    frame: tuple[int, int]
    batch: int
    threads: int
    rounds: int
    engines: tuple[EngineLatency, ...]
    ratios: tuple[Speedup, ...]
    sensors: SensorReadings

    def warnings(self) -> tuple[str, ...]:
        """Return what speaks against an engine as a fast one, one line each."""
        slow = [(engine.path, engine.slowed_by) for engine in self.engines]
        slow += [(engine.path, too_little(None, engine.int8_share)) for engine in self.engines]
        return tuple(f"{path}: {reason}" for path, reason in slow if reason)

    def to_json(self) -> dict[str, Any]:
        """Convert to the content of `bench --json`."""
        return {"format": FORMAT} | _plain(self)


def _plain(result: SensorReadings | BenchResult) -> dict[str, Any]:
    """Convert to dictionaries, lists, numbers and text; ValueError for NaN, which JSON does not have."""
    made: dict[str, Any] = json.loads(json.dumps(asdict(result), allow_nan=False))
    return made
