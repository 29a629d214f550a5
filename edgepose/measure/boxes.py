"""Boxes as joints: a person detector finds no joints, and the corners of its boxes take their place.

Where people of two networks are compared, or people with their labels, the skeleton of a detector is `CORNERS`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgepose.datasets.samples import PoseData, SampleList, pictures
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import Skeleton

CORNERS = Skeleton(name="box", joints=("top_left", "bottom_right"))


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
