"""Observer-centric labels: left and right as the viewer sees them, whichever way the person faces.

Data sets label person-centric: `left_wrist` is the person's own left wrist. Results before about 2014 on FLIC and LSP,
and some since, are observer-centric (OC): left and right are exchanged for a person who shows the back, so that a
network which confuses front and back is not punished. OC numbers are higher than person-centric ones, and the two must
not be compared.

The rule comes from the code that was published with FLIC (Sapp & Taskar, "MODEC", CVPR 2013,
flip_backwards_facing_groundtruth.m): a person is turned away when the left shoulder and the left hip are both further
left in the image than the right ones. All left/right pairs of that person are then exchanged. (The original leaves the
eyes alone, which it never measures.) The OC labels of LSP in circulation were made by hand (Eichner & Ferrari, ACCV
2012) and are not part of LSP as published; the rule is applied to LSP too.

A network that predicts the person's own sides is compared after both labels and predictions went through the rule,
each judged by its own shoulders and hips.
"""

from __future__ import annotations

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.pose.skeletons import Skeleton

JUDGED = ("shoulder", "hip")
NOTE = "; observer-centric: left and right of whoever shows the back are exchanged"
CANNOT_JUDGE = "who shows the back is told from both shoulders and hips, which are not all compared"
REFERENCE = "Sapp & Taskar, MODEC: Multimodal Decomposable Models for Human Pose Estimation, CVPR 2013"


def can_judge(joints: tuple[str, ...]) -> bool:
    """Return whether both shoulders and both hips are among the joints."""
    return all(f"{side}_{part}" in joints for side in ("left", "right") for part in JUDGED)


def turned_away(xy: Array, labeled: Array, skeleton: Skeleton) -> Array:
    """Find the people who show the back.

    Args:
        xy: [N, K, 2] float.
        labeled: [N, K] bool.
        skeleton: The skeleton of the K joints.

    Returns:
        [N] bool; False where a shoulder or hip is not labeled.

    Raises:
        SpecError: The skeleton lacks a shoulder or a hip.
    """
    n = check_array("xy", xy, ("N", len(skeleton), 2))["N"]
    check_array("labeled", labeled, (n, len(skeleton)), np.bool_)
    away = np.ones(n, bool)
    for part in JUDGED:
        left, right = skeleton.index(f"left_{part}"), skeleton.index(f"right_{part}")
        away &= labeled[:, left] & labeled[:, right] & (xy[:, left, 0] < xy[:, right, 0])
    return away


def observer_centric(xy: Array, labeled: Array, skeleton: Skeleton) -> tuple[Array, Array]:
    """Exchange left and right for everybody who is turned away.

    Args:
        xy: [N, K, 2] float.
        labeled: [N, K] bool.
        skeleton: The skeleton of the K joints.

    Returns:
        (xy [N, K, 2], labeled [N, K] bool).

    Raises:
        SpecError: The skeleton lacks a shoulder or a hip.
    """
    away = turned_away(xy, labeled, skeleton)
    order = list(skeleton.flip_order())
    swapped_xy = np.where(away[:, None, None], xy[:, order], xy)
    return swapped_xy, np.where(away[:, None], labeled[:, order], labeled)


def observer_centric_predictions(xy: Array, skeleton: Skeleton) -> Array:
    """Exchange left and right in predictions [N, K, 2], where NaN marks a joint that was not predicted."""
    known = np.asarray(np.isfinite(xy).all(axis=-1))
    return observer_centric(xy, known, skeleton)[0]
