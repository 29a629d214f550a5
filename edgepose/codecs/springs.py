"""`PictorialSpec`: the tree of springs in a contract whose heatmaps are decoded as a body (`codecs.pictorial`)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PictorialSpec:
    """A tree of joints that are connected by springs, one entry per joint.

    Attributes:
        parents: The index of the joint that each joint hangs on; -1 for the one root.
        mean: The mean displacement (x, y) of a joint from its parent, in heights of the crop. The root's is unused.
        variance: The variance of that displacement, in squared heights of the crop.
        weight: How much springs count against heatmaps. 0 ignores the springs; 1 takes heatmaps for
            likelihoods, which they are not: on LSP, 0.1 and 0.2 are best.
        floor: The lowest heatmap value that counts, so that a joint without a peak can lie where the body has it.
    """

    parents: tuple[int, ...]
    mean: tuple[tuple[float, float], ...]
    variance: tuple[tuple[float, float], ...]
    weight: float = 0.1
    floor: float = 0.01

    def problem(self, joints: int) -> str:
        """Say why this is not a tree of springs for a skeleton.

        Args:
            joints: The number of joints of the skeleton.

        Returns:
            The reason; "" where it is one.
        """
        count = len(self.parents)
        if len(self.mean) != count or len(self.variance) != count:
            return f"expected {count} pairs in mean and in variance, one per joint"
        if not _is_tree(self.parents):
            return f"parents = {list(self.parents)} is not a tree with one root (-1)"
        if not all(number > 0 for pair in self.variance for number in pair) or not self.floor > 0 or self.weight < 0:
            return "variances and floor must be above 0, weight 0 or more"
        return "" if count == joints else f"it has {count} joints, the skeleton has {joints}"


def _is_tree(parents: tuple[int, ...]) -> bool:
    """Whether the parents lead from every joint to the one root."""
    if parents.count(-1) != 1 or not all(-1 <= parent < len(parents) for parent in parents):
        return False
    for at in range(len(parents)):
        for _ in parents:  # as many steps as there are joints reach the root from anywhere
            at = parents[at] if at >= 0 else at
        if at >= 0:
            return False
    return True
