"""Two metrics in one file, which tests register with one line: a horizontal error, and a fraction of people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array
from edgepose.metrics.labels import Labels
from edgepose.metrics.metric import Declaration, MeanPlan, Metric, Plan, Skip

MILLI = Declaration(kind="per_joint", unit="millipixels", direction="lower", percent=False, decimals=1)
PEOPLE = Declaration(kind="per_person")


@dataclass(frozen=True, kw_only=True)
class Toy(Metric):
    """The mean horizontal error in thousandths of a pixel. Lower is better."""

    declared: Declaration = MILLI
    best: float = 0.0

    def plan_on(self, labels: Labels) -> Plan | Skip:
        xy, labeled = labels.compared_joints()

        def values(predicted: Array) -> Array:
            return np.where(labeled, 1000 * np.abs(predicted - xy)[..., 0], np.nan)

        every = np.ones(len(labels.joints), bool)
        return MeanPlan(note="toy", parts=labels.joints, values=values, in_mean=every)


@dataclass(frozen=True, kw_only=True)
class ToyPerson(Metric):
    """The fraction of people whose joints are all within 30 px. Each person is one value."""

    declared: Declaration = PEOPLE

    def plan_on(self, labels: Labels) -> Plan | Skip:
        xy, labeled = labels.compared_joints()

        def values(predicted: Array) -> Array:
            near = np.linalg.norm(predicted - xy, axis=-1) <= 30
            return (near | ~labeled).all(axis=1, keepdims=True).astype(np.float64)

        return MeanPlan(note="toy", parts=("person",), values=values, in_mean=np.ones(1, bool))


METRICS = (Toy(name="toy"), ToyPerson(name="toy_person"))
