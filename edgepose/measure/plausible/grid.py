"""codec.grid: the joints of a person and of the mirror image must agree."""

from __future__ import annotations

from collections.abc import Iterator

from edgepose.measure.plausible.finding import WARNING, Evidence, Finding


def check_grid(evidence: Evidence) -> Iterator[Finding]:
    """Doubt a grid by which the joints of a crop and of its mirror image lie apart."""
    found = evidence.grid
    if found is None or found.proposed is None:
        return
    yield Finding(
        severity=WARNING,
        what="codec.grid",
        evidence=f"with {found.given}, {found.evidence()}",
        remedy=found.remedy(),
    )
