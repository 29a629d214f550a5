"""The path: nested sets of float layers, ordered by the error that they remove for the time that they cost."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from edgepose.quantize.search.units import Group

Cost = Mapping[str, tuple[float, float]]  # node -> time in float and in int8, in any one unit
LEAST = 1e-3  # share of the network's time that a layer in float costs at least: a border to int8 costs something
STEP = 0.5  # each candidate leaves half of the error of the one before


@dataclass(frozen=True, kw_only=True)
class Times:
    """Estimated times of placements.

    Attributes:
        cost: Node -> time in float and in int8.
    """

    cost: Cost

    @property
    def total(self) -> float:
        """Time of the float network."""
        return sum(slow for slow, _ in self.cost.values()) or 1.0

    def known(self, nodes: Collection[str]) -> bool:
        """Whether the times of all of these nodes are known."""
        return all(name in self.cost for name in nodes)

    def gain(self, nodes: Collection[str]) -> float:
        """Return the share of the float network's time that these nodes in int8 save."""
        return sum(self.cost[name][0] - self.cost[name][1] for name in nodes if name in self.cost) / self.total

    def of(self, int8: Collection[str]) -> float:
        """Return the time of a placement relative to the float network."""
        return 1.0 - self.gain(int8)


def ordered(errors: Mapping[Group, float], times: Times) -> list[Group]:
    """Return the groups in the order in which they become float: most error removed for the time first."""
    return sorted(errors, key=lambda group: (-errors[group] / max(times.gain(group.nodes), LEAST), group.nodes))


def levels(order: Sequence[Group], errors: Mapping[Group, float], count: int) -> list[int]:
    """Return how many groups of the order are float in each candidate, from none to most.

    Args:
        order: Groups in the order in which they become float.
        errors: The error of each group alone.
        count: Largest number of candidates.
    """
    left = sum(errors.values())
    wanted, found = STEP * left, [0]
    for index, group in enumerate(order, 1):
        left -= errors[group]
        if left <= wanted and len(found) < count:
            found.append(index)
            wanted = STEP * left
    return found
