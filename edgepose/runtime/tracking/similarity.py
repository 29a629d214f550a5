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
    # One coordinate after the other: NumPy is slow along axes of length 2.
    ax0, ay0, ax1, ay1 = a_xyxy.T[:, :, None]
    bx0, by0, bx1, by1 = b_xyxy.T
    width = np.minimum(ax1, bx1) - np.maximum(ax0, bx0)
    height = np.minimum(ay1, by1) - np.maximum(ay0, by0)
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    union = (ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - shared
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
        """Compare every pose with every other one.

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
        a, b = (at.ravel() for at in np.indices((len(a_xy), len(b_xy))))
        alike = self.pairs(a_xy[a] - b_xy[b], a_seen[a] & b_seen[b], a_area[a] * b_area[b])
        return alike.reshape(len(a_xy), len(b_xy))

    def pairs(self, gap: Array, both: Array, area_squared: Array) -> Array:
        """Compare pairs of poses.

        Args:
            gap: [N, J, 2] float, from the joints of one to those of the other, pixels.
            both: [N, J] bool, joints that are seen in both.
            area_squared: [N] float, the product of the areas of both boxes.

        Returns:
            [N] float, 0 to 1; NaN where fewer than three joints are seen in both.
        """
        number = both.sum(axis=1)
        squared = np.square(gap)
        exponent = squared[..., 0] + squared[..., 1]
        exponent *= self._per_area
        exponent /= np.sqrt(np.maximum(area_squared, 1e-18))[:, None]
        near = np.exp(exponent, out=exponent)
        total = np.einsum("nj,nj->n", near, both)
        return np.where(number >= FEWEST, total / np.maximum(number, 1), np.nan)
