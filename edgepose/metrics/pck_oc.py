"""Observer-centric PCK: `pck@0.2` after left and right were exchanged for everybody who shows the back.

The rule and its origin are in `edgepose.metrics.observer`. Observer-centric numbers are higher than person-centric
ones, so the two must not be compared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgepose.metrics.labels import Labels
from edgepose.metrics.lengths import TORSO, between
from edgepose.metrics.metric import Skip
from edgepose.metrics.observer import (
    CANNOT_JUDGE,
    NOTE,
    REFERENCE,
    can_judge,
    observer_centric,
    observer_centric_predictions,
)
from edgepose.metrics.pck import FractionWithin, Prepared


@dataclass(frozen=True, kw_only=True)
class PckObserverCentric(FractionWithin):
    """PCK with the torso diameter, on observer-centric labels and predictions."""

    needs: tuple[str, ...] = ("torso", "shoulders and hips")
    references: tuple[str, ...] = (REFERENCE,)

    def prepare(self, labels: Labels) -> Prepared | Skip:
        """Exchange left and right in the labels, then choose the torso diameter."""
        if not can_judge(labels.joints):
            return Skip(reason=CANNOT_JUDGE)
        length = between(labels, TORSO, *observer_centric(*labels.all_joints(), labels.skeleton))
        if isinstance(length, Skip):
            return length
        skeleton = labels.compared_skeleton
        xy, labeled = observer_centric(*labels.compared_joints(), skeleton)
        return Prepared(
            xy=xy,
            labeled=labeled,
            length=replace(length, note=length.note + NOTE),
            predictions=lambda predicted: observer_centric_predictions(predicted, skeleton),
        )


METRICS = (PckObserverCentric(name="pck_oc@0.2", threshold=0.2),)
