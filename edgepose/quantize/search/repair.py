"""Repair of the order where the errors of units do not add up.

The error of a unit alone says little where units interact: the noise of one may hide that of another, or amplify it.
The opposite measure is then better: the error that is left when one more unit becomes float in the real graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgepose._progress import Track
from edgepose.quantize.search.path import Times, ordered
from edgepose.quantize.search.trials import Trials
from edgepose.quantize.search.units import Group

WRONG = 1.5  # measured over predicted error, or the inverse, from which on errors do not add up


def is_wrong(predicted: float, found: float) -> bool:
    """Whether the measured error of a candidate is far from the sum of the errors of its units."""
    return not predicted / WRONG <= found <= predicted * WRONG


def gains(
    trials: Trials,
    keep_float: Sequence[str],
    groups: Sequence[Group],
    crops: Sequence[int],
    track: Track,
) -> dict[Group, float]:
    """Measure by how much the error falls when one group more becomes float.

    Args:
        trials: Runs graphs.
        keep_float: The nodes that are float already.
        groups: The groups to measure.
        crops: Indexes of the crops to measure on.
        track: Progress callback.

    Returns:
        Group -> the error that it removes, at least 0.
    """
    before = trials.without(keep_float, crops)
    return {
        group: max(0.0, before - trials.without((*keep_float, *group.nodes), crops))
        for group in track(groups, "search: the error that each of the next layers removes", None)
    }


def reordered(order: Sequence[Group], end: int, found: Mapping[Group, float], times: Times) -> list[Group]:
    """Return the order with the measured groups behind position `end` sorted by their gain, in front of the others.

    Args:
        order: Groups in the order in which they become float.
        end: Number of groups that are float already.
        found: Measured groups -> the error that they remove.
        times: Estimated times.
    """
    others = [group for group in order[end:] if group not in found]
    return [*order[:end], *ordered(found, times), *others]
