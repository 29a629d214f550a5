"""Boxes that a person detector found, and how they are combined with the labels of a data set.

A data set of poses often labels one person of a photograph, by joints alone, and says nothing of the others. A person
detector, the teacher, finds everyone. The rule for one photograph:

    labeled by a box                       the label stays
    labeled by joints alone, found         the teacher's box
    labeled by joints alone, not found     the box of the joints, grown by `GROWN` of its sides
    not labeled, score at least `sure`     the teacher's box
    not labeled, lower score               a region that does not count, neither as a person nor as background
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array
from edgepose.datasets.images import ImageFolder
from edgepose.datasets.samples import Picture, PoseData, Sample, SampleList, pictures
from edgepose.pose.geometry import box_of_joints, clip_boxes
from edgepose.pose.skeletons import PERSON

GROWN = 0.08  # of its sides on every side: joints lie inside a body
SAME = 0.45  # intersection over union from which two boxes are those of one person
TIGHT_PX = 0.51  # the distance of edges up to which a box is that of the joints

Key = tuple[int, str]  # the number and the name of a photograph


@dataclass(frozen=True, kw_only=True)
class TeachOptions:
    """How the boxes of a teacher are used.

    Attributes:
        sure: The score from which an unlabeled box is a person.
    """

    sure: float = 0.4


def taught_people(data: PoseData, found: Mapping[Key, Array], options: TeachOptions) -> SampleList:
    """Combine a data set with the boxes that a teacher found.

    Args:
        data: The data set.
        found: For each photograph of the data set the boxes and scores, [N, 5] float: x0, y0, x1, y1, score.
        options: The thresholds.

    Returns:
        The same photographs, with people as boxes without joints.
    """
    samples: defaultdict[Key, list[Sample]] = defaultdict(list)
    if not isinstance(data, ImageFolder):
        for i in range(len(data)):
            samples[data[i].image_id, data[i].name].append(data[i])
    people: list[Sample] = []
    empty: list[Picture] = []
    every = pictures(data)
    for picture in every:
        key = picture.image_id, picture.name
        boxes, regions = _everyone(samples[key], np.asarray(found[key], np.float64).reshape(-1, 5), options)
        here = [_person(picture, box, crowd=False) for box in boxes]
        here += [_person(picture, box, crowd=True) for box in regions]
        people += here
        empty += [] if here else [picture]
    ids = tuple(picture.image_id for picture in every)
    return SampleList(name=data.name, skeleton=PERSON, samples=tuple(people), image_ids=ids, empty=tuple(empty))


def _everyone(samples: list[Sample], found: Array, options: TeachOptions) -> tuple[list[Array], list[Array]]:
    """Return the boxes of the people of a photograph, and of the regions that do not count."""
    boxes: list[Array] = []
    regions: list[Array] = []
    free = np.ones(len(found), bool)
    for sample in samples:
        box = np.asarray(sample.box_xyxy, np.float64)
        if not (box[2:] > box[:2]).all():
            continue
        if sample.crowd:
            regions.append(box)
            free &= ~(_inside(found[:, :4], box) > SAME)
            continue
        tight = _is_of_joints(sample)
        overlaps = np.where(free, _overlaps(found[:, :4], _grown(box) if tight else box), 0.0)
        at = int(overlaps.argmax()) if len(found) else -1
        if at >= 0 and overlaps[at] >= SAME:
            free[at] = False
            boxes.append(found[at, :4] if tight else box)
        else:
            boxes.append(_grown(box) if tight else box)
    for row in found[free]:
        (boxes if row[4] >= options.sure else regions).append(row[:4])
    return boxes, regions


def _is_of_joints(sample: Sample) -> bool:
    """Return whether the box is that of the labeled joints, which are inside the body."""
    if not sample.labeled.any():
        return False
    return bool(np.abs(box_of_joints(sample.xy_image, sample.labeled) - sample.box_xyxy).max() <= TIGHT_PX)


def _grown(box: Array) -> Array:
    margin = GROWN * (box[2:] - box[:2])
    return np.concatenate([box[:2] - margin, box[2:] + margin])


def _overlaps(boxes: Array, box: Array) -> Array:
    """Return the intersection over union of boxes [N, 4] with a box [4]."""
    shared = _shared(boxes, box)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return np.asarray(shared / np.maximum(areas - shared, 1e-9))


def _inside(boxes: Array, box: Array) -> Array:
    """Return the share of each box [N, 4] that lies in a box [4]."""
    return np.asarray(_shared(boxes, box) / np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), 1e-9))


def _shared(boxes: Array, box: Array) -> Array:
    sides = (np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])).clip(0)
    return np.asarray(sides.prod(axis=1))


def _person(picture: Picture, box: Array, *, crowd: bool) -> Sample:
    clipped = box if picture.size is None else clip_boxes(box[None], picture.size)[0]
    nothing = np.zeros(0, bool)
    return Sample(
        image_id=picture.image_id,
        name=picture.name,
        read=picture.read,
        xy_image=np.zeros((0, 2), np.float32),
        labeled=nothing,
        occluded=nothing,
        box_xyxy=clipped.astype(np.float32),
        area=float((clipped[2:] - clipped[:2]).prod()),
        ignore=crowd,
        crowd=crowd,
        file=picture.file,
        size=picture.size,
    )
