"""How much time a search may take: `--effort fast|default|thorough`."""

from __future__ import annotations

from dataclasses import dataclass

from edgepose.errors import UsageError, nearest


@dataclass(frozen=True, kw_only=True)
class Effort:
    """The limits of a search.

    Attributes:
        crops: Number of crops, the hardest of the sample, that single units are measured on.
        probes: Largest number of graphs that measure the error of a unit or of a group of units.
        candidates: Largest number of candidates on the path.
        repairs: Largest number of graphs that find the most useful unit to add where the errors of units do not add up.
    """

    crops: int
    probes: int
    candidates: int
    repairs: int


EFFORTS = {
    "fast": Effort(crops=16, probes=32, candidates=6, repairs=0),
    "default": Effort(crops=32, probes=96, candidates=10, repairs=24),
    "thorough": Effort(crops=64, probes=1000, candidates=10, repairs=96),
}


def effort_of(name: str) -> Effort:
    """Return the limits of an effort by name.

    Raises:
        UsageError: There is no such effort.
    """
    if name not in EFFORTS:
        raise UsageError(f"unknown effort {name!r}{nearest(name, tuple(EFFORTS))}")
    return EFFORTS[name]
