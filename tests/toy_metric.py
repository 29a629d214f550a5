"""A metric in one file, registered by tests with one line: the mean horizontal error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array
from edgepose.metrics.labels import Labels
from edgepose.metrics.metric import Declaration, MeanPlan, Metric, Plan, Skip

MILLI = Declaration(kind="per_joint", unit="millipixels", direction="lower", percent=False, decimals=1)


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


METRICS = (Toy(name="toy"),)
