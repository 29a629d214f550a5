"""Angles of joints and segments in the image plane, in degrees.

The angles have the names of Sports2D's. They describe the picture of a person: an angle is that of the body where the
person moves in a plane parallel to the image.

A joint angle is 0 in the upright posture with straight limbs and feet at a right angle, and grows with flexion. It has
no sign, so that it does not depend on the side from which a person is seen; only the ankle is negative when the foot
points down. A segment angle is measured from the horizontal of the image, counterclockwise, from -180 to 180: 90 is
upright.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array
from edgepose.pose.skeletons import Skeleton

MIDDLES = {"neck": ("left_shoulder", "right_shoulder"), "pelvis": ("left_hip", "right_hip")}


@dataclass(frozen=True)
class Angle:
    """An angle: that between two segments (start, end), or that of one segment from the horizontal."""

    segment: tuple[str, str]
    other: tuple[str, str] | None = None
    offset: float = 0.0
    sign: float = 1.0


def _of_side(side: str) -> dict[str, Angle]:
    shoulder, elbow, wrist, hip, knee, ankle, toe, heel = (
        f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "big_toe", "heel")
    )
    trunk = ("neck", "pelvis")
    return {
        f"{side}_ankle": Angle((ankle, knee), (heel, toe), offset=90.0, sign=-1.0),
        f"{side}_knee": Angle((hip, knee), (knee, ankle)),
        f"{side}_hip": Angle(trunk, (hip, knee)),
        f"{side}_shoulder": Angle(trunk, (shoulder, elbow)),
        f"{side}_elbow": Angle((shoulder, elbow), (elbow, wrist)),
        f"{side}_foot": Angle((heel, toe)),
        f"{side}_shank": Angle((ankle, knee)),
        f"{side}_thigh": Angle((knee, hip)),
        f"{side}_arm": Angle((elbow, shoulder)),
        f"{side}_forearm": Angle((wrist, elbow)),
    }


ANGLES: dict[str, Angle] = {
    **_of_side("right"),
    **_of_side("left"),
    "pelvis": Angle(("right_hip", "left_hip")),
    "trunk": Angle(("pelvis", "neck")),
    "shoulders": Angle(("right_shoulder", "left_shoulder")),
    "head": Angle(("neck", "head_top")),
}


def angles_of(skeleton: Skeleton) -> dict[str, Angle]:
    """Return the angles whose joints a skeleton has. Neck and pelvis may be the middle of shoulders and of hips."""
    known = {*skeleton.joints, *(name for name, pair in MIDDLES.items() if set(pair) <= set(skeleton.joints))}
    return {name: angle for name, angle in ANGLES.items() if {*angle.segment, *(angle.other or angle.segment)} <= known}


def measure(xy_image: Array, skeleton: Skeleton) -> Array:
    """Measure the angles of a person.

    Args:
        xy_image: [R, K, 2] in pixels, NaN for a joint that was not found.
        skeleton: The names of the K joints.

    Returns:
        [R, A] in degrees, in the order of `angles_of`; NaN where a joint was not found.
    """
    columns = []
    for angle in angles_of(skeleton).values():
        one = _vector(xy_image, skeleton, angle.segment)
        if angle.other is None:
            columns.append(np.degrees(np.arctan2(-one[:, 1], one[:, 0])))  # y of an image points down
            continue
        other = _vector(xy_image, skeleton, angle.other)
        cross = one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]
        between = np.degrees(np.arctan2(np.abs(cross), (one * other).sum(axis=1)))
        columns.append(angle.offset + angle.sign * between)
    return np.column_stack(columns) if columns else np.zeros((len(xy_image), 0))


def _vector(xy_image: Array, skeleton: Skeleton, segment: tuple[str, str]) -> Array:
    start, end = (_place(xy_image, skeleton, joint) for joint in segment)
    return np.asarray(end - start)


def _place(xy_image: Array, skeleton: Skeleton, joint: str) -> Array:
    if joint in skeleton.joints:
        return np.asarray(xy_image[:, skeleton.index(joint)])
    a, b = (xy_image[:, skeleton.index(name)] for name in MIDDLES[joint])
    return np.asarray((a + b) / 2)
