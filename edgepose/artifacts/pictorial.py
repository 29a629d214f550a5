"""The springs of a contract whose heatmaps are decoded as a body (pictorial structures, `codecs.pictorial`)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from edgepose.artifacts.values import scalar, tuple_of


@dataclass(frozen=True, kw_only=True)
class PictorialSpec:
    """A tree of joints held by springs, see `codecs.pictorial`. One entry a joint.

    parents: the joint each hangs on, by index, -1 for the one root. mean, variance: of its displacement from
    there, x and y, in heights of the crop (the root's mean nothing). weight: of springs against maps; 0 is
    none, and 1 takes maps for likelihoods, which they are not: on LSP 0.1 and 0.2 are best. floor: what a map is
    worth at least, so that a joint it does not show can be where the body wants it.
    """

    parents: tuple[int, ...]
    mean: tuple[tuple[float, float], ...]
    variance: tuple[tuple[float, float], ...]
    weight: float = 0.1
    floor: float = 0.01


def read_pictorial(value: Any) -> PictorialSpec:
    """ValueError for what is no tree: its parents must lead from every joint to the one root."""
    known = {field.name for field in fields(PictorialSpec)}
    if not isinstance(value, dict) or not {"parents", "mean", "variance"} <= set(value) <= known:
        raise ValueError(f"expected a table with parents, mean, variance, and weight or floor, got {value!r}")
    parents = tuple_of(int, value["parents"], None)
    count = len(parents)
    mean, variance = (
        tuple((pair[0], pair[1]) for pair in (tuple_of(float, item, 2) for item in _listed(value[key], count)))
        for key in ("mean", "variance")
    )
    numbers = {key: scalar(float, value[key]) for key in ("weight", "floor") if key in value}
    tree = PictorialSpec(parents=parents, mean=mean, variance=variance, **numbers)
    if not _is_tree(parents):
        raise ValueError(f"parents = {list(parents)} is no tree with one root (-1)")
    if not all(number > 0 for pair in tree.variance for number in pair) or not tree.floor > 0 or tree.weight < 0:
        raise ValueError("variances and floor must be above 0, weight 0 or more")
    return tree


def _listed(value: Any, count: int) -> Any:
    if not isinstance(value, (list, tuple)) or len(value) != count:
        raise ValueError(f"expected {count} pairs, one a joint, got {value!r}")
    return value


def _is_tree(parents: tuple[int, ...]) -> bool:
    if parents.count(-1) != 1 or not all(-1 <= parent < len(parents) for parent in parents):
        return False
    for at in range(len(parents)):
        for _ in parents:  # as many steps as there are joints reach the root from anywhere
            at = parents[at] if at >= 0 else at
        if at >= 0:
            return False
    return True
