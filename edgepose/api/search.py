"""What a search of float layers is given by a build: who judges outputs, and what layers cost on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec

if TYPE_CHECKING:
    from edgepose.quantize.search import Judge


def joint_judge(spec: ModelSpec) -> Judge:
    """Return what predicts the retention of each metric from the joints that a graph moves.

    Args:
        spec: The contract, whose codec decodes the outputs. Where it finds people by itself, whose joints cannot be
            compared one by one, nothing is predicted.
    """
    from edgepose.measure.acceptance import joints_of
    from edgepose.measure.displacement import displacement, predicted_retention

    def judge(expected: Mapping[str, Array], found: Mapping[str, Array]) -> Mapping[str, float]:
        wanted, got = joints_of(spec, expected), joints_of(spec, found)
        if wanted is None:
            return {}
        if got is None:  # outputs that are not finite: nothing is retained
            nothing = displacement(wanted[..., :2], wanted[..., :2] * float("nan"), spec.skeleton)
            return predicted_retention(nothing)
        moved = displacement(wanted[..., :2], got[..., :2], spec.skeleton, expected_scores=wanted[..., 2])
        return predicted_retention(moved)

    return judge
