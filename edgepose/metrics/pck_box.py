"""PCK with the larger side of the tight box around the labeled joints, as Yang & Ramanan (PAMI 2013) defined it.

Their code counts both edge pixels of the box, hence the plus one in `lengths.box_side_px`.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgepose.metrics.labels import Labels
from edgepose.metrics.lengths import box
from edgepose.metrics.metric import Skip
from edgepose.metrics.pck import FractionWithin, Prepared, prepared


@dataclass(frozen=True, kw_only=True)
class PckBox(FractionWithin):
    """PCK with the side of the box around the joints as reference length."""

    references: tuple[str, ...] = (
        "Yang & Ramanan, Articulated Human Detection with Flexible Mixtures of Parts, PAMI 2013",
    )

    def prepare(self, labels: Labels) -> Prepared | Skip:
        """Choose the side of the box."""
        return prepared(labels, box(labels))


METRICS = (PckBox(name="pck_box@0.2", threshold=0.2), PckBox(name="pck_box@0.1", threshold=0.1))
