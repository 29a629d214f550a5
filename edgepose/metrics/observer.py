"""Observer-centric labels: left and right as the viewer sees them, whichever way the person faces.

Data sets label person-centric: `left_wrist` is the person's own. Results before about 2014 on FLIC and LSP,
and some since, are observer-centric (OC): a person who shows the back has left and right exchanged, so a
network that cannot tell front from back is not punished. OC numbers are higher; never put one beside a
person-centric one.

The rule is that of the code which came with FLIC (Sapp & Taskar, "MODEC", CVPR 2013,
flip_backwards_facing_groundtruth.m): a person is turned away when the left shoulder AND the left hip are
further left in the image than the right ones; then every left/right pair is exchanged. (It leaves the eyes
alone, which it never measures.) The OC labels of LSP in circulation were made by hand (Eichner & Ferrari, ACCV
2012) and are not part of LSP as published; for LSP, too, the rule is what is used here.

A network that predicts the person's own sides is compared after both labels and predictions went through
the rule, each by its own shoulders and hips.
"""

from __future__ import annotations

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.pose.skeletons import Skeleton

JUDGED = ("shoulder", "hip")


def can_judge(joints: tuple[str, ...]) -> bool:
    """Whether both shoulders and both hips are among the joints."""
    return all(f"{side}_{part}" in joints for side in ("left", "right") for part in JUDGED)


def turned_away(xy: Array, labeled: Array, skeleton: Skeleton) -> Array:
    """[N] bool: who shows the back. xy [N, K, 2], labeled [N, K] bool; not where one of the four is unknown.

    SpecError when the skeleton has no shoulders or hips.
    """
    n = check_array("xy", xy, ("N", len(skeleton), 2))["N"]
    check_array("labeled", labeled, (n, len(skeleton)), np.bool_)
    away = np.ones(n, bool)
    for part in JUDGED:
        left, right = skeleton.index(f"left_{part}"), skeleton.index(f"right_{part}")
        away &= labeled[:, left] & labeled[:, right] & (xy[:, left, 0] < xy[:, right, 0])
    return away


def observer_centric(xy: Array, labeled: Array, skeleton: Skeleton) -> tuple[Array, Array]:
    """(xy [N, K, 2], labeled [N, K]) with left and right exchanged for everybody who is turned away."""
    away = turned_away(xy, labeled, skeleton)
    order = list(skeleton.flip_order())
    swapped_xy = np.where(away[:, None, None], xy[:, order], xy)
    return swapped_xy, np.where(away[:, None], labeled[:, order], labeled)
