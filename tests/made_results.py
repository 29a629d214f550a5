"""Results of `eval` and `bench` made by hand, for tests of what is printed and read."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepose.artifacts.certificate import CandidateResult, Certificate, MetricBound
from edgepose.measure.latency import Percentiles
from edgepose.measure.machine import Machine
from edgepose.measure.results import EngineAccuracy, Evaluation, MetricValue, Part, Retained
from edgepose.measure.timings import BenchResult, EngineLatency, SensorRange, SensorReadings, Speedup
from edgepose.metrics.curves import Curve
from edgepose.metrics.metric import ERROR_IN_PIXELS
from edgepose.metrics.retention import Interval, Retention

STAGES = ("preprocess", "inference", "decode", "end_to_end", "network")


def interval(value: float, spread: float = 0.01) -> Interval:
    return Interval(value=value, low=value - spread, high=value + spread)


def accuracy(precision: str, value: float, retained: float | None, error_px: float | None = None) -> EngineAccuracy:
    """An engine with PCK@0.2 and, if given, an error in pixels."""
    part = {"left_wrist": Part(interval=interval(value), n=7)}
    metrics = {"pck@0.2": MetricValue(interval=interval(value), n=7, parts=part, row={"wrist": value})}
    if error_px is not None:
        metrics["epe"] = MetricValue(interval=interval(error_px, 1), n=7, declared=ERROR_IN_PIXELS)
    kept = (
        None if retained is None else Retention(interval=Interval(value=retained, low=0.9, high=1), detectable=0.0213)
    )
    return EngineAccuracy(
        path=precision,
        precision=precision,
        backend="openvino",
        onnx_sha256="0" * 64,
        n=7,
        boxes="labels",
        joints=("left_wrist",),
        metrics=metrics,
        retention={} if not kept else {"pck@0.2": Retained(kept=kept, parts={"left_wrist": kept})},
    )


def evaluation(*engines: EngineAccuracy, data: str = "lsp:x:test") -> Evaluation:
    made = engines or (accuracy("fp32", 0.75, None), accuracy("int8", 0.74, 0.98667))
    return Evaluation(data=data, n_boot=10, seed=0, engines=made)


def curve() -> Curve:
    return Curve(thresholds=np.array([0.0, 0.5]), pooled=np.array([0.25, 0.75]), parts=np.array([[0.25], [0.75]]))


def latency(precision: str = "fp32", throughput: float = 1.0) -> EngineLatency:
    times = Percentiles(p50_ms=1.0, p90_ms=1.0, p95_ms=1.0, p99_ms=1.0)
    return EngineLatency(
        path="e",
        onnx_sha256="0" * 64,
        precision=precision,
        backend="openvino",
        backend_version="1",
        stages=dict.fromkeys(STAGES, times),
        pipeline="host",
        throughput_ips=throughput,
        pipeline_over_network=1.1,
    )


def machine() -> Machine:
    return Machine(
        cpu="c", cpu_flags=(), int8="integers", cores=1, cores_usable=1, memory_gib=1.0, system="Linux 6",
        architecture="x86_64", python="3.12", versions={}, load_average=(0.0, 0.0, 0.0),
    )  # fmt: skip


def readings(warnings: tuple[str, ...] = (), **kinds: dict[str, dict[str, float]]) -> SensorReadings:
    """temperature_c, power_w, clock_mhz: sensor -> the fields of a `SensorRange`."""
    ranges: dict[str, Any] = {
        kind: {name: SensorRange(**values) for name, values in found.items()} for kind, found in kinds.items()
    }
    return SensorReadings(samples=4, seconds=2.5, warnings=warnings, **ranges)


def bench_result(
    sensors: SensorReadings | None = None,
    engines: tuple[EngineLatency, ...] | None = None,
    ratios: tuple[Speedup, ...] = (),
) -> BenchResult:
    return BenchResult(
        machine=machine(),
        frame=(72, 128),
        batch=1,
        threads=1,
        rounds=3,
        engines=(latency(),) if engines is None else engines,
        ratios=ratios,
        sensors=sensors or readings(),
    )


def certificate(count: int = 3) -> Certificate:
    """A path of candidates: the last is not tested, and the one before it (or the only one) is chosen."""
    chosen = max(0, count - 2)
    path = []
    for i in range(count):
        kept, low = 1 - 0.001 * (i + 1), 0.998 - 0.002 * i
        bounds = {name: MetricBound(retention=kept, bound=low, floor=0.99) for name in ("pck@0.2", "pck@0.1")}
        int8, time = 0.3 + 0.6 * i / count, 0.9 - 0.4 * i / count
        metrics = bounds if i <= chosen else {}
        path.append(CandidateResult(float_layers=40 - i, int8_share=int8, time=time, metrics=metrics))
    return Certificate(
        answer="kept", candidates=tuple(path), chosen=chosen, data="images:photos", test="moved joints", people=800,
        images=800,
    )  # fmt: skip
