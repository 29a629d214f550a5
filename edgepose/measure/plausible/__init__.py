"""Contracts that cannot be right: each module here judges one kind of evidence.

    findings = judge(Evidence(spec=spec, outputs=outputs, source="8 calibration images"))

A check is a function that yields a `Finding` for everything that it doubts, and nothing where it has no evidence. To
add one, write a module with the function and add a line to `CHECKS`. A check must give no finding on a contract that
is right, so its thresholds are far from everything that published networks do.
"""

from __future__ import annotations

from edgepose.measure.plausible.coordinates import check_coordinates
from edgepose.measure.plausible.finding import ERROR, WARNING, Check, Evidence, Finding
from edgepose.measure.plausible.finite import check_finite
from edgepose.measure.plausible.form import check_form
from edgepose.measure.plausible.grid import check_grid
from edgepose.measure.plausible.heatmaps import check_heatmaps
from edgepose.measure.plausible.pixels import check_pixels
from edgepose.measure.plausible.size import check_size

__all__ = ["CHECKS", "ERROR", "WARNING", "Evidence", "Finding", "judge"]

CHECKS: tuple[Check, ...] = (check_pixels, check_size, check_finite, check_coordinates, check_heatmaps, check_grid)


def judge(evidence: Evidence) -> tuple[Finding, ...]:
    """Return everything that the evidence speaks against, errors first.

    Args:
        evidence: What is known about a network and its contract.
    """
    if unreadable := tuple(check_form(evidence)):  # then no other check can read the outputs
        return unreadable
    found = [finding for check in CHECKS for finding in check(evidence)]
    return tuple(sorted(found, key=lambda item: item.severity != ERROR))
