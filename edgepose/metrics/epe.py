"""End-point error: the mean distance between predicted and labeled joints, in pixels of the image.

Every labeled joint of every counted person weighs the same, apart from the joints that the mean of the skeleton's
literature leaves out (`edgepose.metrics.rows`). The error is in pixels of the photograph, so it grows with the size of
the people, and a single joint that is far off moves it: use PCK to compare data sets, and this metric to see how far
joints move. A joint that was not predicted has no distance. The metric is then skipped for that engine, because any
number that stood in for the distance would decide the result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.metrics.labels import Labels
from edgepose.metrics.lengths import distance_px
from edgepose.metrics.metric import ERROR_IN_PIXELS, Declaration, MeanPlan, Metric, Plan, Skip, joints_in_mean


def errors_px(pred_xy: Array, true_xy: Array, labeled: Array) -> Array:
    """Compute the distance of each joint from its label.

    Args:
        pred_xy: [N, K, 2] float, in pixels.
        true_xy: [N, K, 2] float, in pixels.
        labeled: [N, K] bool.

    Returns:
        [N, K] float64 pixels, NaN where not labeled, infinite where not predicted.
    """
    n, k = (check_array("true_xy", true_xy, ("N", "K", 2))[axis] for axis in "NK")
    check_array("pred_xy", pred_xy, (n, k, 2))
    check_array("labeled", labeled, (n, k), np.bool_)
    away = distance_px(pred_xy, true_xy)
    return np.where(labeled, np.where(np.isfinite(away), away, np.inf), np.nan)


@dataclass(frozen=True, kw_only=True)
class EndPointError(Metric):
    """The mean distance in pixels of the image. Lower is better."""

    declared: Declaration = ERROR_IN_PIXELS
    best: float = 0.0

    def plan_on(self, labels: Labels) -> Plan | Skip:
        """Return a plan whose values are distances in pixels."""
        xy, labeled = labels.compared_joints()
        counts = joints_in_mean(labels)
        if not labeled[:, counts].any():
            return Skip(reason="nobody has a joint labeled that the mean counts")
        return MeanPlan(
            note="mean distance between predicted and labeled joints, in pixels of the image; lower is better",
            parts=labels.joints,
            values=lambda predicted: errors_px(predicted, xy, labeled),
            in_mean=counts,
            skeleton=labels.skeleton.name,
        )


METRICS = (EndPointError(name="epe"),)
