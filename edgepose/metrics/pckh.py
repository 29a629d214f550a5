"""PCKh: the fraction of joints within a fraction of the head size.

Andriluka et al., "2D Human Pose Estimation: New Benchmark and State of the Art Analysis", CVPR 2014, take half of the
head size. MPII defines the head size as 0.6 of the diagonal of the labeled head box. Where the labels have no head box
but have head_top and neck, as in LSP, the distance between these two joints is taken. The numbers of the two
definitions are not comparable, so the note of the result says which one was used.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgepose.metrics.labels import Labels
from edgepose.metrics.lengths import head
from edgepose.metrics.metric import Skip
from edgepose.metrics.pck import FractionWithin, Prepared, prepared


@dataclass(frozen=True, kw_only=True)
class Pckh(FractionWithin):
    """PCK with the head size as reference length."""

    needs: tuple[str, ...] = ("head size",)
    references: tuple[str, ...] = (
        "Andriluka et al., 2D Human Pose Estimation: New Benchmark and State of the Art Analysis, CVPR 2014",
    )

    def prepare(self, labels: Labels) -> Prepared | Skip:
        """Choose the head size."""
        return prepared(labels, head(labels))


METRICS = (
    Pckh(name="pckh@0.5", threshold=0.5),
    Pckh(name="pckh@0.1", threshold=0.1),
    Pckh(name="pckh_auc", threshold=None, curve="pckh"),
)
