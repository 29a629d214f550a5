"""input.size: crops of people are higher than wide, so a landscape size was probably given as (width, height).

Where the graph fixes the size, the import refuses a contract that says another. Only where the graph takes images of
any size can the contract be wrong.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgepose.measure.plausible.finding import WARNING, Evidence, Finding


def check_size(evidence: Evidence) -> Iterator[Finding]:
    """Doubt a landscape size of a top-down network with a free size."""
    spec = evidence.spec
    height, width = spec.input.size
    if not evidence.free_size or spec.codec.finds_people or width <= height:
        return
    yield Finding(
        severity=WARNING,
        what=f"input.size = {[height, width]}",
        evidence=f"that is {height} high and {width} wide, and the graph takes any size; crops of people are higher "
        "than wide",
        remedy=f"a size is [HEIGHT, WIDTH]: use {[width, height]} unless the network was trained on landscape crops",
    )
