"""The path: nested sets of float layers, ordered by the error that they remove for the time that they cost."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from edgepose.quantize.search.units import Group

Cost = Mapping[str, tuple[float, float]]  # node -> time in float and in int8, in any one unit
LEAST = 1e-3  # share of the network's time that a layer in float costs at least: a border to int8 costs something
STEP = 0.5  # share of the error that each candidate leaves of the one before, at most
GOOD = 3e-4  # relative squared error of outputs whose joints hardly move


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
    """Return how many groups of the order are float in each candidate, from none upward.

    Each candidate leaves the same share of the error of the one before: half, or less where the whole error is so large
    that `count` steps of a half do not reach `GOOD`.

    Args:
        order: Groups in the order in which they become float.
        errors: The error of each group alone.
        count: Number of candidates within which the error should fall to `GOOD`.
    """
    left = total = sum(errors.values())
    step = min(STEP, (GOOD / max(total, GOOD)) ** (1 / max(count - 1, 1)))
    wanted, found = step * total, [0]
    for index, group in enumerate(order, 1):
        left -= errors[group]
        if left <= wanted or index == len(order):
            found.append(index)
            wanted = step * max(left, 0.0)
    return found


def between(order: Sequence[Group], errors: Mapping[Group, float], low: int, high: int) -> int | None:
    """Return the number of float groups that leaves the geometric mean of the errors of two candidates, or None.

    Args:
        order: Groups in the order in which they become float.
        errors: The error of each group alone.
        low: Number of float groups of the one candidate.
        high: The larger number of the other.
    """
    if high - low < 2:
        return None
    left = [sum(errors[group] for group in order[end:]) for end in range(low, high + 1)]
    wanted = (left[0] * max(left[-1], 0.1 * left[0])) ** 0.5
    inner = range(1, high - low)
    return low + min(inner, key=lambda index: abs(left[index] - wanted))


def undominated(losses: Sequence[float]) -> list[int]:
    """Return the positions of the candidates that are worth testing, from most float layers to most int8 layers.

    Errors of layers do not always add up: with a layer in float, another one may do more harm. A candidate that is
    predicted to lose too much is left out where one with more int8 layers loses no more, because the guard stops at the
    first candidate that fails. The first one always stays, as the last resort.

    Args:
        losses: The predicted loss of each candidate as a fraction of what is allowed.
    """
    return [
        index
        for index, loss in enumerate(losses)
        if index == 0 or loss <= 1 or all(other > loss for other in losses[index + 1 :])
    ]
