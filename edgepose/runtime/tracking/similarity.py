"""How alike the people of a frame are to tracks: overlap of boxes, and object keypoint similarity of poses."""

from __future__ import annotations

import numpy as np

from edgepose._checks import Array
from edgepose.pose.skeletons import Skeleton
from edgepose.pose.skeletons.sigmas import KNOWN_SIGMAS, part_of

UNKNOWN_SIGMA = 0.079  # that of a shoulder, for joints without a published one
LOOSE = 1.5  # Sigmas are those of annotators; limbs also move between frames.
FEWEST = 3  # joints that both poses must have, for a similarity of poses
BODY = 5  # joints of the body that a skeleton must have, for the others to be left out


def overlaps(a_xyxy: Array, b_xyxy: Array) -> Array:
    """Return the intersection over union of boxes.

    Args:
        a_xyxy: [A, 4] float.
        b_xyxy: [B, 4] float.

    Returns:
        [A, B] float, 0 to 1.
    """
    low = np.maximum(a_xyxy[:, None, :2], b_xyxy[None, :, :2])
    size = np.minimum(a_xyxy[:, None, 2:], b_xyxy[None, :, 2:]) - low
    np.maximum(size, 0, out=size)
    shared = size[..., 0] * size[..., 1]
    a, b = a_xyxy[:, 2:] - a_xyxy[:, :2], b_xyxy[:, 2:] - b_xyxy[:, :2]
    union = (a[:, 0] * a[:, 1])[:, None] + (b[:, 0] * b[:, 1])[None] - shared
    return np.asarray(shared / np.maximum(union, 1e-9))


class PoseSimilarity:
    """Object keypoint similarity of poses of one skeleton, with sigmas widened for the motion between frames.

    Faces and hands have many joints that move together and say little about which person somebody is. Where a
    skeleton has joints of the body, only these are compared.

    Args:
        skeleton: The joints.

    Attributes:
        joints: [J] int64, the joints that are compared.
    """

    def __init__(self, skeleton: Skeleton) -> None:
        body = [i for i, joint in enumerate(skeleton.joints) if part_of(joint) in KNOWN_SIGMAS]
        self.joints = np.array(body if len(body) >= BODY else range(len(skeleton)), np.int64)
        sigmas = np.array(skeleton.sigmas or [UNKNOWN_SIGMA] * len(skeleton))[self.joints]
        self._per_area = -1 / (2 * np.square(2 * LOOSE * sigmas))  # [J]

    def __call__(self, a_xy: Array, a_seen: Array, a_area: Array, b_xy: Array, b_seen: Array, b_area: Array) -> Array:
        """Compare poses.

        Args:
            a_xy: [A, J, 2] float, pixels.
            a_seen: [A, J] bool.
            a_area: [A] float, areas of the people's boxes in square pixels.
            b_xy: [B, J, 2] float, pixels.
            b_seen: [B, J] bool.
            b_area: [B] float.

        Returns:
            [A, B] float, 0 to 1; NaN where fewer than three joints are seen in both.
        """
        both = a_seen[:, None] & b_seen[None]
        number = both.sum(axis=2)
        gap = a_xy[:, None] - b_xy[None]
        np.square(gap, out=gap)
        area = np.sqrt(a_area[:, None] * b_area[None])
        exponent = (gap[..., 0] + gap[..., 1]) * self._per_area
        exponent /= np.maximum(area, 1e-9)[..., None]
        near = np.exp(exponent, out=exponent)
        near *= both
        total: Array = near.sum(axis=2)
        return np.where(number >= FEWEST, total / np.maximum(number, 1), np.nan)
