"""Sensitivity: what each unit of a placement alone does to the outputs, measured from coarse groups to single units.

The errors of single layers add up to about the error of all. A network of hundreds of layers is therefore measured in
groups of neighbors first, and the group with the largest error is split in two until the number of graphs is used up:
most layers do no harm, and need no measurement of their own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from edgepose._progress import Track
from edgepose.quantize.search.trials import Trials
from edgepose.quantize.search.units import Group, Unit, groups_of

START = 0.5  # share of the graphs that measures the first groups; the rest splits the worst of them


def sensitivities(
    trials: Trials, units: Sequence[Unit], keep_float: Collection[str], crops: Sequence[int], probes: int, track: Track
) -> dict[Group, float]:
    """Measure groups of units, each alone in int8.

    Args:
        trials: Runs graphs.
        units: The units, in graph order.
        keep_float: Nodes that are float in every candidate.
        crops: Indexes of the crops to measure on.
        probes: Largest number of graphs.
        track: Progress callback.

    Returns:
        Group -> relative squared error of the outputs. Every unit is in exactly one group.
    """

    def error(group: Group) -> float:
        return trials.alone(group.nodes, keep_float, crops)

    first = groups_of(units, probes if len(units) <= probes else int(START * probes))
    found = {group: error(group) for group in track(first, "search: the error of each layer", None)}
    left = probes - len(first)
    for _ in track(range(max(left, 0) // 2), "search: the layers of the worst groups", None):
        wide = [group for group in found if len(group.units) > 1]
        if not wide:
            break
        worst = max(wide, key=lambda group: found[group])
        del found[worst]
        found |= {half: error(half) for half in worst.halves()}
    return found
