"""Reference lengths of a person in pixels: torso diameter, head size, and the side of the box around the joints.

PCK, PDJ and PCKh divide the distance between a predicted and a labeled joint by such a length. The functions on arrays
compute a length from coordinates. `torso`, `head` and `box` choose it for the labels of a data set, and return a
`Skip` with the reason where the labels do not have it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.metrics.labels import Labels
from edgepose.metrics.metric import Skip
from edgepose.pose.skeletons import Skeleton

TORSO = ("left_shoulder", "right_hip")
HEAD = ("head_top", "neck")
HEAD_BOX_FRACTION = 0.6  # SC_BIAS of MPII's evaluation toolkit


@dataclass(frozen=True, kw_only=True)
class Length:
    """A reference length of every counted person.

    Attributes:
        px: [n] float64 pixels, NaN where unknown.
        note: What the length is, for the person who reads the result.
    """

    px: Array
    note: str


def distance_px(a_xy: Array, b_xy: Array) -> Array:
    """Compute Euclidean distances.

    Args:
        a_xy: [..., 2] float, points in pixels.
        b_xy: [..., 2] float, points in pixels.

    Returns:
        [...] float64 pixels, not finite where either point is not finite.
    """
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        difference = np.asarray(a_xy, np.float64) - np.asarray(b_xy, np.float64)
        return np.asarray(np.hypot(difference[..., 0], difference[..., 1]))


def segment_px(true_xy: Array, labeled: Array, ends: tuple[str, str], skeleton: Skeleton) -> Array:
    """Compute the distance between two named joints of each person.

    Args:
        true_xy: [N, K, 2] float, the labeled joints in pixels.
        labeled: [N, K] bool.
        ends: The names of the two joints.
        skeleton: The skeleton of the K joints.

    Returns:
        [N] float64 pixels, NaN where either joint is not labeled.

    Raises:
        SpecError: The skeleton lacks one of the two joints.
    """
    check_array("true_xy", true_xy, ("N", len(skeleton), 2))
    check_array("labeled", labeled, (true_xy.shape[0], len(skeleton)), np.bool_)
    a, b = (skeleton.index(joint) for joint in ends)
    length = distance_px(true_xy[:, a], true_xy[:, b])
    return np.where(labeled[:, a] & labeled[:, b], length, np.nan)


def torso_px(true_xy: Array, labeled: Array, skeleton: Skeleton) -> Array:
    """Compute the torso diameter, left_shoulder to right_hip: [N] float64, NaN where unknown. See `segment_px`."""
    return segment_px(true_xy, labeled, TORSO, skeleton)


def head_segment_px(true_xy: Array, labeled: Array, skeleton: Skeleton) -> Array:
    """Compute the distance from head_top to neck: [N] float64, NaN where unknown. See `segment_px`."""
    return segment_px(true_xy, labeled, HEAD, skeleton)


def head_box_px(head_boxes_xyxy: Array) -> Array:
    """Compute MPII's head size, 0.6 of the diagonal of the head boxes [N, 4]: [N] float64 pixels."""
    check_array("head_boxes_xyxy", head_boxes_xyxy, ("N", 4))
    return HEAD_BOX_FRACTION * distance_px(head_boxes_xyxy[:, :2], head_boxes_xyxy[:, 2:])


def box_side_px(true_xy: Array, labeled: Array) -> Array:
    """Compute the larger side of the tight box around the labeled joints, with both edge pixels counted.

    Args:
        true_xy: [N, K, 2] float, the labeled joints in pixels.
        labeled: [N, K] bool.

    Returns:
        [N] float64 pixels, NaN for a person without a labeled joint.
    """
    n, k = (check_array("true_xy", true_xy, ("N", "K", 2))[axis] for axis in "NK")
    check_array("labeled", labeled, (n, k), np.bool_)
    shown = labeled[..., None]
    low = np.where(shown, true_xy, np.inf).min(axis=1, initial=np.inf)
    high = np.where(shown, true_xy, -np.inf).max(axis=1, initial=-np.inf)
    side = np.asarray(high - low, np.float64).max(axis=1) + 1
    return np.where(labeled.any(axis=1), side, np.nan)


def torso(labels: Labels) -> Length | Skip:
    """Choose the torso diameter of the labels."""
    return between(labels, TORSO, *labels.all_joints())


def box(labels: Labels) -> Length | Skip:
    """Choose the side of the box around the labeled joints."""
    return Length(
        px=box_side_px(*labels.all_joints()), note="the larger side of the tight box around the labeled joints"
    )


def head(labels: Labels) -> Length | Skip:
    """Choose MPII's head size where the labels have head boxes, else the distance from head_top to neck."""
    px = labels.head_px[labels.counted]
    if np.isfinite(px).any():
        return Length(px=px, note="the head size, 0.6 of the labeled head box's diagonal")
    return between(labels, HEAD, *labels.all_joints())


def between(labels: Labels, ends: tuple[str, str], xy_image: Array, labeled: Array) -> Length | Skip:
    """Choose the distance between two joints, for coordinates that may have been rearranged.

    Args:
        labels: The labels, for their skeleton of K joints.
        ends: The names of the two joints.
        xy_image: [n, K, 2] float, the joints of the counted people in pixels.
        labeled: [n, K] bool.

    Returns:
        The length, or the reason why no counted person has it.
    """
    missing = [joint for joint in ends if joint not in labels.skeleton.joints]
    if missing:
        return Skip(reason=f"the labels have no {' and no '.join(missing)}, so no reference length")
    px = segment_px(xy_image, labeled, ends, labels.skeleton)
    if not (px > 0).any():
        return Skip(reason=f"nobody with a compared joint has both {ends[0]} and {ends[1]} labeled, apart")
    return Length(px=px, note=f"{ends[0]} to {ends[1]}")
