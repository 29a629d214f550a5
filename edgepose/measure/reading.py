"""Reading the JSON of `edgepose eval` and `edgepose bench` into the types that the verbs return.

msgspec checks every field. A file of another kind, of another format, or with a damaged field is refused with one
message that names the field.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from edgepose._files import read_json
from edgepose.errors import EdgeposeError
from edgepose.measure import results, timings
from edgepose.measure.results import EngineAccuracy, Evaluation, MetricValue, Part, Retained
from edgepose.measure.timings import BenchResult
from edgepose.metrics.curves import Curve
from edgepose.metrics.metric import Declaration, Direction, Kind
from edgepose.metrics.retention import Interval, Retention

T = TypeVar("T")


class _Bounds(msgspec.Struct):
    low: float
    high: float
    n: int


class _Metric(msgspec.Struct):
    value: float
    low: float
    high: float
    n: int
    kind: Kind
    unit: str
    direction: Direction
    percent: bool
    decimals: int
    per_joint: dict[str, float] = {}
    per_joint_interval: dict[str, _Bounds] = {}
    per_limb: dict[str, float] = {}
    per_limb_interval: dict[str, _Bounds] = {}
    row: dict[str, float] = {}

    def typed(self) -> MetricValue:
        values, bounds = self.per_joint | self.per_limb, self.per_joint_interval | self.per_limb_interval
        return MetricValue(
            interval=Interval(value=self.value, low=self.low, high=self.high),
            n=self.n,
            parts={name: _part(values[name], bound) for name, bound in bounds.items()},
            row=self.row,
            declared=Declaration(
                kind=self.kind,
                unit=self.unit,
                direction=self.direction,
                percent=self.percent,
                decimals=self.decimals,
            ),
        )


class _Retention(msgspec.Struct):
    value: float
    low: float
    high: float
    detectable: float

    def typed(self) -> Retention:
        return Retention(interval=Interval(value=self.value, low=self.low, high=self.high), detectable=self.detectable)


class _Retained(_Retention):
    per_joint: dict[str, _Retention] = {}
    per_limb: dict[str, _Retention] = {}


class _Curve(msgspec.Struct):
    thresholds: list[float]
    pooled: list[float]
    per_joint: dict[str, list[float]]

    def typed(self, joints: tuple[str, ...]) -> Curve:
        nothing = [float("nan")] * len(self.thresholds)
        parts = [self.per_joint.get(joint, nothing) for joint in joints]
        return Curve(thresholds=np.array(self.thresholds), pooled=np.array(self.pooled), parts=np.array(parts).T)


class _Engine(msgspec.Struct):
    path: str
    onnx_sha256: str
    precision: str
    backend: str
    n: int
    boxes: str
    joints: tuple[str, ...]
    metrics: dict[str, _Metric]
    curves: dict[str, _Curve]
    retention: dict[str, _Retained]
    skipped: dict[str, str]
    notes: dict[str, str]

    def typed(self) -> EngineAccuracy:
        return EngineAccuracy(
            path=self.path,
            onnx_sha256=self.onnx_sha256,
            precision=self.precision,
            backend=self.backend,
            n=self.n,
            boxes=self.boxes,
            joints=self.joints,
            metrics={name: metric.typed() for name, metric in self.metrics.items()},
            curves={name: curve.typed(self.joints) for name, curve in self.curves.items()},
            retention={name: _retained(kept, self.metrics[name].kind) for name, kept in self.retention.items()},
            skipped=self.skipped,
            notes=self.notes,
        )


class _Evaluation(msgspec.Struct):
    data: str
    n_boot: int
    seed: int
    engines: tuple[_Engine, ...]
    flip_test: bool


def _part(value: float, bounds: _Bounds) -> Part:
    return Part(interval=Interval(value=value, low=bounds.low, high=bounds.high), n=bounds.n)


def _retained(kept: _Retained, kind: Kind) -> Retained:
    parts = {name: part.typed() for name, part in (kept.per_joint | kept.per_limb).items()}
    return Retained(kept=kept.typed(), parts=parts, kind=kind)


def read_evaluation(path: Path) -> Evaluation:
    """Read what `edgepose eval --json` wrote.

    Raises:
        EdgeposeError: The file cannot be read, or is not the result of an evaluation in this format.
    """
    found = _read(path, "eval", results.FORMAT, _Evaluation)
    try:
        engines = tuple(engine.typed() for engine in found.engines)
    except (KeyError, ValueError) as error:  # parts without their value, or curves of unequal lengths
        raise _refused(path, "eval", str(error)) from error
    if not engines:
        raise _refused(path, "eval", "it has no engine")
    return Evaluation(data=found.data, n_boot=found.n_boot, seed=found.seed, engines=engines, flip_test=found.flip_test)


def read_benchmark(path: Path) -> BenchResult:
    """Read what `edgepose bench --json` wrote.

    Raises:
        EdgeposeError: The file cannot be read, or is not the result of a benchmark in this format.
    """
    found = _read(path, "bench", timings.FORMAT, BenchResult)
    if not found.engines:
        raise _refused(path, "bench", "it has no engine")
    return found


def _read(path: Path, verb: str, newest: int, kind: type[T]) -> T:
    """Read a JSON file of one format and check it against a type."""
    value: Any = read_json(path, verb)
    found = value.get("format") if isinstance(value, dict) else None
    if found != newest:
        raise _refused(path, verb, f"its format is {found}, and this version reads {newest}")
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _refused(path, verb, str(error)) from error


def _refused(path: Path, verb: str, why: str) -> EdgeposeError:
    return EdgeposeError(f"{path} is no result of edgepose {verb}: {why}; make it again with edgepose {verb} --json")
