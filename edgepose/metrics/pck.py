"""PCK: the fraction of joints within a fraction of a reference length. Also the basis of PDJ and PCKh.

Yang & Ramanan, "Articulated Human Detection with Flexible Mixtures of Parts", PAMI 2013, take a fraction (0.1 on
PARSE, 0.2 on Buffy) of the larger side of the tight box around the person's labeled joints. That metric is called
`pck_box@0.2` here (`edgepose.metrics.pck_box`). The literature on LSP since Chen & Yuille (NIPS 2014) and Wei et al.
(CPM, CVPR 2016) takes the torso diameter, left_shoulder to right_hip. `pck@0.2` takes it too.

Which joints are counted:

- An unlabeled joint is not counted. Its value is NaN, neither a hit nor a miss.
- A person whose reference length is unknown (one end is not labeled) or zero has no joint counted.
- A joint that was not predicted (NaN or infinite) is counted, and it is a miss.
- A distance equal to the threshold is a hit, as in the evaluation code of MPII, MODEC, and Yang & Ramanan. The
  evaluation that came with the PyTorch stacked hourglass uses < instead; no number of its published row differs.

How joints are averaged, and which joints the mean of a paper leaves out, is defined in `edgepose.metrics.rows`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.metrics.curves import FRACTIONS, area_hits, trapezium, within
from edgepose.metrics.labels import Labels
from edgepose.metrics.lengths import Length, distance_px, torso
from edgepose.metrics.metric import FRACTION_OF_JOINTS, Declaration, MeanPlan, Metric, Plan, Skip, joints_in_mean


def relative_errors(pred_xy: Array, true_xy: Array, labeled: Array, reference_px: Array) -> Array:
    """Compute the distance of each joint from its label in units of the person's reference length.

    Args:
        pred_xy: [N, K, 2] float, in the same space as `true_xy`.
        true_xy: [N, K, 2] float.
        labeled: [N, K] bool.
        reference_px: [N] float, NaN where unknown.

    Returns:
        [N, K] float64, NaN where not counted, infinite where not predicted.
    """
    n, k = (check_array("true_xy", true_xy, ("N", "K", 2))[axis] for axis in "NK")
    check_array("pred_xy", pred_xy, (n, k, 2))
    check_array("labeled", labeled, (n, k), np.bool_)
    check_array("reference_px", reference_px, (n,))
    length = np.asarray(reference_px, np.float64)
    known = np.isfinite(length) & (length > 0)
    with np.errstate(over="ignore"):  # the quotient by a length close to zero may overflow, and infinity is right
        errors = distance_px(pred_xy, true_xy) / np.where(known, length, 1.0)[:, None]
    return np.where(labeled & known[:, None], np.where(np.isnan(errors), np.inf, errors), np.nan)


def hits(pred_xy: Array, true_xy: Array, labeled: Array, reference_px: Array, threshold: float) -> Array:
    """Compute which joints are within `threshold` of the reference length.

    Args:
        pred_xy: [N, K, 2] float, in the same space as `true_xy`.
        true_xy: [N, K, 2] float.
        labeled: [N, K] bool.
        reference_px: [N] float, NaN where unknown.
        threshold: A fraction of the reference length.

    Returns:
        [N, K] float64: 1 within the threshold, 0 beyond it, NaN where not counted.
    """
    return within(relative_errors(pred_xy, true_xy, labeled, reference_px), threshold)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The labels that a metric compares with, and what predictions go through before the comparison.

    Attributes:
        xy: [n, C, 2] float.
        labeled: [n, C] bool.
        length: The reference length.
        predictions: Turns predictions [n, C, 2] into the form of `xy`.
    """

    xy: Array
    labeled: Array
    length: Length
    predictions: Callable[[Array], Array] = lambda xy: xy

    def errors(self, predicted: Array) -> Array:
        """Compute the relative errors [n, C] of predictions [n, C, 2]."""
        return relative_errors(self.predictions(predicted), self.xy, self.labeled, self.length.px)


@dataclass(frozen=True, kw_only=True)
class FractionWithin(Metric):
    """The fraction of joints within a fraction of a reference length, or the area under its curve.

    Attributes:
        threshold: A fraction of the reference length; None for the area under the curve over 0 to 0.5.
        curve: Name of the curve that is reported with the metric, or "" for none.
    """

    declared: Declaration = FRACTION_OF_JOINTS
    threshold: float | None
    curve: str = ""

    @abstractmethod
    def prepare(self, labels: Labels) -> Prepared | Skip:
        """Choose the labels to compare with and their reference length."""

    def plan_on(self, labels: Labels) -> Plan | Skip:
        """Return a plan whose values are hits, or each joint's share of the area under the curve."""
        prepared = self.prepare(labels)
        if isinstance(prepared, Skip):
            return prepared
        counts = joints_in_mean(labels)
        if not (prepared.labeled & (prepared.length.px > 0)[:, None])[:, counts].any():
            return Skip(reason="nobody has both the reference length and a joint that the mean counts")
        return MeanPlan(
            note=self._how() + prepared.length.note,
            parts=labels.joints,
            values=lambda predicted: self._values(prepared.errors(predicted)),
            in_mean=counts,
            skeleton=labels.skeleton.name,
            curve=self.curve,
            errors=prepared.errors if self.curve else None,
        )

    def _values(self, errors: Array) -> Array:
        if self.threshold is None:
            return area_hits(errors, FRACTIONS, trapezium(FRACTIONS))
        return within(errors, self.threshold)

    def _how(self) -> str:
        if self.threshold is None:
            return "area under the curve over 0 to 0.5 of "
        return f"within {self.threshold:g} of "


def prepared(labels: Labels, length: Length | Skip) -> Prepared | Skip:
    """Compare with the labels as they are, with this reference length."""
    if isinstance(length, Skip):
        return length
    xy, labeled = labels.compared_joints()
    return Prepared(xy=xy, labeled=labeled, length=length)


@dataclass(frozen=True, kw_only=True)
class Pck(FractionWithin):
    """PCK with the torso diameter as reference length."""

    needs: tuple[str, ...] = ("torso",)
    references: tuple[str, ...] = (
        "Yang & Ramanan, Articulated Human Detection with Flexible Mixtures of Parts, PAMI 2013",
        "Wei et al., Convolutional Pose Machines, CVPR 2016",
    )

    def prepare(self, labels: Labels) -> Prepared | Skip:
        """Choose the torso diameter."""
        return prepared(labels, torso(labels))


METRICS = (Pck(name="pck@0.2", threshold=0.2), Pck(name="pck@0.1", threshold=0.1))
