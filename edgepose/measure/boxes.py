"""Compare the boxes of two person detectors: which people are lost, and which boxes have moved.

A detector finds no joints. Where people of two networks are compared by their joints, the corners of its boxes take the
place of joints: the skeleton is `CORNERS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose.datasets.samples import PoseData, SampleList, pictures
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import Skeleton

if TYPE_CHECKING:
    from edgepose.measure.matched import Pairs

CORNERS = Skeleton(name="box", joints=("top_left", "bottom_right"))

# Metric -> the intersection over union with the float network's box from which a person counts as found.
OVERLAPS: Mapping[str, float] = {"boxes@0.5": 0.5, "boxes@0.75": 0.75}
CHANCE = 1.645  # standard deviations: the one-sided 95 % quantile of the normal distribution
FOUND = "boxes@0.5"  # the metric that has a floor; the others say how many boxes moved


def compared_skeleton(skeleton: Skeleton) -> Skeleton:
    """Return the joints by which people are compared: those of a network, or the corners of a detector's boxes."""
    return skeleton if len(skeleton) else CORNERS


def labels_for(data: PoseData, skeleton: Skeleton) -> PoseData:
    """Return a data set as predictions of a skeleton are compared with it.

    Args:
        data: The data set.
        skeleton: The skeleton of the predictions.

    Returns:
        The data set itself; for `CORNERS`, one with the corners of its boxes as joints. Everyone with a box counts
        there, also a person without a labeled joint, but no crowd.
    """
    if skeleton != CORNERS or data.skeleton == CORNERS:
        return data
    people = [data[i] for i in range(len(data))]
    there = {(sample.image_id, sample.name) for sample in people}
    empty = tuple(one for one in pictures(data, people) if (one.image_id, one.name) not in there)
    samples = []
    for sample in people:
        corners = np.asarray(sample.box_xyxy, np.float32).reshape(2, 2)
        known = bool((corners[1] > corners[0]).all())
        samples.append(
            replace(
                sample,
                xy_image=corners,
                labeled=np.full(2, known),
                occluded=np.zeros(2, bool),
                ignore=sample.crowd or not known,
                confidence=None,
            )
        )
    return SampleList(
        name=data.name, skeleton=CORNERS, samples=tuple(samples), image_ids=tuple(data.image_ids), empty=empty
    )


def with_corners(poses: Poses) -> Poses:
    """Return the people that a detector found with the corners of their boxes as joints; other poses as they are."""
    if len(poses.skeleton):
        return poses
    corners = poses.boxes_xyxy.reshape(-1, 2, 2)
    return replace(poses, skeleton=CORNERS, xy_image=corners, scores=np.ones(corners.shape[:2], np.float32))


def lost_people(pairs: Pairs) -> dict[str, Array]:
    """Return who of the people of two detectors is lost, by each metric of `OVERLAPS`.

    Args:
        pairs: The people of both, with corners as joints.

    Returns:
        Metric -> [P] float64, 1 for a person whom only one detector found, or whose boxes overlap too little, else 0.
    """
    overlap = _overlaps(pairs.expected.reshape(-1, 4), pairs.found.reshape(-1, 4))
    return {name: (overlap < least).astype(np.float64) for name, least in OVERLAPS.items()}


def kept_people(pairs: Pairs) -> dict[str, float]:
    """Return the share of people that is not lost, by each metric of `OVERLAPS`; empty where there is nobody."""
    if not len(pairs.expected):
        return {}
    return {name: 1.0 - float(lost.mean()) for name, lost in lost_people(pairs).items()}


def likely_kept(lost: Array) -> float:
    """Return the largest share of people that a network may well keep, given who of a sample is lost.

    A detector that loses one person in 200 loses one of 100 by chance often enough. The count of lost people is that of
    rare events, whose standard deviation is its square root.

    Args:
        lost: [P] float, 1 for a person who is lost.
    """
    count = float(lost.sum())
    return float(1.0 - max(0.0, count - CHANCE * count**0.5) / max(len(lost), 1))


def _overlaps(first: Array, second: Array) -> Array:
    """Return the intersection over union, [P], of boxes [P, 4] each; 0 where one is not finite."""
    both: Array = np.asarray(np.isfinite(first).all(axis=1) & np.isfinite(second).all(axis=1))
    a, b = np.where(both[:, None], first, 0.0), np.where(both[:, None], second, 0.0)
    low, high = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
    shared = (high - low).clip(0).prod(axis=1)
    union = (a[:, 2:] - a[:, :2]).prod(axis=1) + (b[:, 2:] - b[:, :2]).prod(axis=1) - shared
    return np.asarray(np.divide(shared, union, out=np.zeros(len(a)), where=both & (union > 0)))
