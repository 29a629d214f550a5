"""What `edgepose eval` says of engines, and its JSON.

    {"data", "n_boot", "seed", "engines": [{
        "path", "onnx_sha256", "precision", "backend", "n", "joints", "boxes",
        "metrics": {"pck@0.2": {"value", "low", "high", "n", "per_joint": {joint: value},
                                "per_joint_interval": {joint: {"low", "high", "n"}}, "row": {column: value}}, ...},
        "curves": {"pdj": {"thresholds": [...], "pooled": [...], "per_joint": {joint: [...]}}, ...},
        "retention": {"pck@0.2": {"value", "low", "high", "smallest", "per_joint": {joint: {the same}}}, ...},
        "skipped": {metric: why}, "notes": {metric: how to read it}}]}

Values are 0..1 (a retention may be above 1). A metric's `n` is how many joints, limbs or people it is the share
of. `row` has the columns that papers on this skeleton print (`metrics/rows.py`). `smallest` is the smallest change
that so many people could have shown (`metrics/retention.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgepose.metrics.curves import Curve
from edgepose.metrics.retention import Interval, Kept


@dataclass(frozen=True, kw_only=True)
class Part:
    """A joint or limb of a metric, counted n times."""

    interval: Interval
    n: int


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric with its interval and, for hits, its value by joint or limb (those counted at least once)."""

    interval: Interval
    n: int
    parts: dict[str, Part] = field(default_factory=dict)
    row: dict[str, float] = field(default_factory=dict)
    kind: str = "per_joint"  # what parts are: per_joint or per_limb

    def to_json(self) -> dict[str, Any]:
        made = interval_json(self.interval) | {"n": self.n}
        if self.parts:
            made[self.kind] = {name: part.interval.value for name, part in self.parts.items()}
            made[f"{self.kind}_interval"] = {
                name: {"low": part.interval.low, "high": part.interval.high, "n": part.n}
                for name, part in self.parts.items()
            }
        return made | ({"row": dict(self.row)} if self.row else {})


@dataclass(frozen=True, kw_only=True)
class Retained:
    """What an engine keeps of a metric of the first engine, and of its joints or limbs."""

    kept: Kept
    parts: dict[str, Kept] = field(default_factory=dict)
    kind: str = "per_joint"

    def to_json(self) -> dict[str, Any]:
        parts = {name: _kept_json(kept) for name, kept in self.parts.items()}
        return _kept_json(self.kept) | ({self.kind: parts} if parts else {})


@dataclass(frozen=True, kw_only=True)
class EngineAccuracy:
    """One engine's numbers, 0..1. `retention` is against the first engine, empty for that one."""

    path: str
    precision: str
    backend: str
    onnx_sha256: str
    n: int
    boxes: str  # labels, or where they were detected
    joints: tuple[str, ...]
    metrics: dict[str, Metric]
    curves: dict[str, Curve]  # parts as `joints`
    retention: dict[str, Retained]
    skipped: dict[str, str]  # metric -> why it could not be measured
    notes: dict[str, str]  # metric -> how to read it

    def to_json(self) -> dict[str, Any]:
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
    """All engines on one data set."""

    data: str
    n_boot: int
    seed: int
    engines: tuple[EngineAccuracy, ...]

    def to_json(self) -> dict[str, Any]:
        """The content of `eval --json`."""
        head = {"data": self.data, "n_boot": self.n_boot, "seed": self.seed}
        return head | {"engines": [engine.to_json() for engine in self.engines]}


def interval_json(value: Interval) -> dict[str, Any]:
    return {"value": value.value, "low": value.low, "high": value.high}


def _kept_json(kept: Kept) -> dict[str, Any]:
    return interval_json(kept.interval) | {"smallest": kept.smallest}


def _curve_json(curve: Curve, joints: tuple[str, ...]) -> dict[str, Any]:
    """Joints that nobody has labeled are left out."""
    return {
        "thresholds": curve.thresholds.tolist(),
        "pooled": curve.pooled.tolist(),
        "per_joint": {
            joint: curve.parts[:, k].tolist() for k, joint in enumerate(joints) if np.isfinite(curve.parts[:, k]).all()
        },
    }
