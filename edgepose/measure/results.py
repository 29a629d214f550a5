"""The result of `edgepose eval`, and its JSON.

    {"format": 1, "data", "n_boot", "seed", "flip_test", "engines": [{
        "path", "onnx_sha256", "precision", "backend", "n", "boxes", "joints",
        "metrics": {"pck@0.2": {"value", "low", "high", "n", "kind", "unit", "direction", "percent", "decimals",
                                "per_joint": {joint: value},
                                "per_joint_interval": {joint: {"low", "high", "n"}}, "row": {column: value}}, ...},
        "curves": {"pdj": {"thresholds": [...], "pooled": [...], "per_joint": {joint: [...]}}, ...},
        "retention": {"pck@0.2": {"value", "low", "high", "detectable", "per_joint": {joint: {the same}}}, ...},
        "skipped": {metric: reason}, "notes": {metric: how to read it}}]}

- `value` is in the metric's `unit`: a fraction is 0..1, an error is in pixels. `direction` is "higher" or "lower",
  whichever is better. `percent` and `decimals` say how tables print the value. `n` is how many joints, limbs or people
  the value is the mean of.
- `per_limb` stands in the place of `per_joint` for metrics of limbs. Both are absent for metrics of whole people.
- `row` has the columns that papers on this skeleton print (`edgepose.metrics.rows`).
- A retention is defined in `edgepose.metrics.retention`: 1 means that nothing was lost, and it may be above 1.
  `detectable` is the smallest retention loss that this sample size can detect at 95 % confidence.
- `format` changes when a key changes its meaning or goes. `edgepose.measure.reading` reads the file.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from edgepose.metrics.curves import Curve
from edgepose.metrics.metric import FRACTION_OF_JOINTS, Declaration
from edgepose.metrics.retention import Interval, Retention

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Part:
    """A joint or limb of a metric, counted n times."""

    interval: Interval
    n: int


@dataclass(frozen=True, kw_only=True)
class MetricValue:
    """The value of a metric.

    Attributes:
        interval: The value with its 95 % interval.
        n: How many joints, limbs or people are counted.
        parts: Joint or limb -> its value, for those counted at least once.
        row: Column -> value, as papers on this skeleton print it.
        declared: Kind, unit, direction and print format of the metric.
    """

    interval: Interval
    n: int
    parts: dict[str, Part] = field(default_factory=dict)
    row: dict[str, float] = field(default_factory=dict)
    declared: Declaration = FRACTION_OF_JOINTS

    def to_json(self) -> dict[str, Any]:
        """Convert to the JSON value of `metrics`."""
        made = interval_json(self.interval) | {"n": self.n} | asdict(self.declared)
        if self.parts:
            kind = self.declared.kind
            made[kind] = {name: part.interval.value for name, part in self.parts.items()}
            made[f"{kind}_interval"] = {
                name: {"low": part.interval.low, "high": part.interval.high, "n": part.n}
                for name, part in self.parts.items()
            }
        return made | ({"row": dict(self.row)} if self.row else {})


@dataclass(frozen=True, kw_only=True)
class Retained:
    """How much an engine retains of a metric of the first engine, in total and by joint or limb."""

    kept: Retention
    parts: dict[str, Retention] = field(default_factory=dict)
    kind: str = "per_joint"

    def to_json(self) -> dict[str, Any]:
        """Convert to the JSON value of `retention`."""
        parts = {name: _retention_json(kept) for name, kept in self.parts.items()}
        return _retention_json(self.kept) | ({self.kind: parts} if parts else {})


@dataclass(frozen=True, kw_only=True)
class EngineAccuracy:
    """The accuracy of one engine.

    Attributes:
        path: The engine's folder.
        precision: "fp32", "fp16", "int8", ...
        backend: Name of the backend.
        onnx_sha256: Hash of the ONNX file that the engine was built from.
        n: Number of counted people.
        boxes: "labels", or what the boxes were detected with.
        joints: The compared joints.
        metrics: Metric -> its value.
        curves: Curve -> its points; the parts of a curve are in the order of `joints`.
        retention: Metric -> retention relative to the first engine; empty for the first engine.
        skipped: Metric -> why it was not measured.
        notes: Metric -> how to read it.
    """

    path: str
    precision: str
    backend: str
    onnx_sha256: str
    n: int
    boxes: str
    joints: tuple[str, ...]
    metrics: dict[str, MetricValue]
    curves: dict[str, Curve] = field(default_factory=dict)
    retention: dict[str, Retained] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Convert to an entry of `engines`."""
        return {
            "path": self.path,
            "onnx_sha256": self.onnx_sha256,
            "precision": self.precision,
            "backend": self.backend,
            "n": self.n,
            "boxes": self.boxes,
            "joints": list(self.joints),
            "metrics": {name: metric.to_json() for name, metric in self.metrics.items()},
            "curves": {name: _curve_json(curve, self.joints) for name, curve in self.curves.items()},
            "retention": {name: kept.to_json() for name, kept in self.retention.items()},
            "skipped": dict(self.skipped),
            "notes": dict(self.notes),
        }


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The accuracy of several engines on one data set.

    Attributes:
        data: Name of the data set.
        n_boot: Number of bootstrap draws.
        seed: Seed of the bootstrap.
        engines: The engines; retention is relative to the first.
        flip_test: Whether predictions are averaged with those of the mirrored crop.
    """

    data: str
    n_boot: int
    seed: int
    engines: tuple[EngineAccuracy, ...]
    flip_test: bool = False

    def to_json(self) -> dict[str, Any]:
        """Convert to the content of `eval --json`."""
        head = {"format": FORMAT, "data": self.data, "n_boot": self.n_boot, "seed": self.seed}
        engines = [engine.to_json() for engine in self.engines]
        return head | {"engines": engines, "flip_test": self.flip_test}


def interval_json(value: Interval) -> dict[str, Any]:
    """Convert an interval to JSON."""
    return {"value": value.value, "low": value.low, "high": value.high}


def _retention_json(kept: Retention) -> dict[str, Any]:
    return interval_json(kept.interval) | {"detectable": kept.detectable}


def _curve_json(curve: Curve, joints: tuple[str, ...]) -> dict[str, Any]:
    """Convert a curve to JSON. Joints that nobody has labeled are left out."""
    return {
        "thresholds": curve.thresholds.tolist(),
        "pooled": curve.pooled.tolist(),
        "per_joint": {
            joint: curve.parts[:, k].tolist() for k, joint in enumerate(joints) if np.isfinite(curve.parts[:, k]).all()
        },
    }
