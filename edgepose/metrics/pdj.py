"""PDJ: the percentage of detected joints, within a fraction of the torso diameter.

Sapp & Taskar, "MODEC", CVPR 2013; Toshev & Szegedy, "DeepPose", CVPR 2014. The papers print it joint by joint over
thresholds up to 0.5; `pdj_auc` is the area under that curve by the trapezium rule. At one threshold PDJ equals PCK
with the torso diameter.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgepose.metrics.labels import Labels
from edgepose.metrics.lengths import torso
from edgepose.metrics.metric import Skip
from edgepose.metrics.pck import FractionWithin, Prepared, prepared


@dataclass(frozen=True, kw_only=True)
class Pdj(FractionWithin):
    """PDJ with the torso diameter as reference length."""

    needs: tuple[str, ...] = ("torso",)
    references: tuple[str, ...] = (
        "Sapp & Taskar, MODEC: Multimodal Decomposable Models for Human Pose Estimation, CVPR 2013",
        "Toshev & Szegedy, DeepPose, CVPR 2014",
    )

    def prepare(self, labels: Labels) -> Prepared | Skip:
        """Choose the torso diameter."""
        return prepared(labels, torso(labels))


METRICS = (Pdj(name="pdj@0.2", threshold=0.2), Pdj(name="pdj_auc", threshold=None, curve="pdj"))
