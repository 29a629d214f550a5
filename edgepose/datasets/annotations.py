"""An annotation of a label file becomes a person, a `Sample`. `cocojson.py` says which fields may be omitted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose.datasets.fields import Entry, box_field, identity, int_field, named, not_a_number, number_field
from edgepose.datasets.keypoints import NO_VISIBILITY, counted_from_one, read_keypoints
from edgepose.datasets.remarks import Kind, short
from edgepose.datasets.samples import Picture, Sample, checked_sample
from edgepose.errors import DataError
from edgepose.metrics.lengths import head_box_px
from edgepose.pose.geometry import box_of_joints
from edgepose.pose.skeletons import Skeleton

if TYPE_CHECKING:
    from edgepose.datasets.cocojson import LabelFile

EMPTY_BOX = Kind("bbox is empty", "the box around the labeled joints is used; correct bbox or leave it out")
NO_BOX = Kind(
    "labeled joints with an empty box around them, and no bbox", "the person is ignored; add bbox, x y width height"
)
AREA = Kind(
    "area cannot be that of its box",
    "OKS needs the area of the segment or the box in square pixels; correct area, or leave it out for that of the box",
)
UNCOUNTED = Kind(
    "num_keypoints is 0 although joints are labeled",
    "the person is ignored, as in COCO's evaluation; correct num_keypoints or leave it out",
)
MISCOUNTED = Kind(
    "num_keypoints is not the number of labeled joints", "the labeled joints are used; correct num_keypoints"
)
NOT_LABELED = Kind(
    "no joint is labeled (all have v = 0) although num_keypoints or the coordinates say so",
    "the person is ignored; set v to 1 (occluded) or 2 (visible) for labeled joints",
)
CROWD = Kind("iscrowd is set although joints are labeled", "the person is ignored; set iscrowd to 0 for one person")
NO_KEYPOINTS = Kind("no keypoints", "the region is ignored; add keypoints if it shows a person to measure")


def read_person(
    entry: Entry,
    index: int,
    pictures: Mapping[str, Picture],
    skeleton: Skeleton,
    labels: LabelFile,
    own: bool,
) -> Sample:
    """Turn an annotation into a person.

    Args:
        entry: The annotation.
        index: Its place in the list, for messages.
        pictures: The images by their id as text.
        skeleton: The skeleton of the labels.
        labels: The label file; its remarks receive what is odd.
        own: Whether fields may be omitted, as in a user's own file.

    Raises:
        DataError: A field is wrong. The message names the annotation and the field.
    """
    called = named(entry, index)
    where = f"{labels.path}: {called}"
    image_id = identity(entry, "image_id", where)
    if image_id not in pictures:
        raise DataError(f"{where}: there is no image {image_id}; correct image_id")
    joints = _joints(entry, called, skeleton, labels, own)
    labeled = _labeled(entry, called, joints, labels, own)
    xy = joints[:, :2]
    box = _person_box(entry, called, xy, labeled, labels, own)
    if own and box is None and labeled.any() and (np.diff(box_of_joints(xy, labeled).reshape(2, 2), axis=0) <= 0).any():
        labels.remarks.add(NO_BOX, called, f"{int(labeled.sum())} labeled")
        labeled = np.zeros_like(labeled)
    crowd = _crowd(entry, where, own)
    if crowd and labeled.any():
        labels.remarks.add(CROWD, called, f"{int(labeled.sum())} labeled")
    picture = pictures[image_id]
    return checked_sample(
        where,
        image_id=picture.image_id,
        name=picture.name,
        read=picture.read,
        xy=xy,
        labeled=labeled,
        occluded=joints[:, 2] == 1,
        box_xyxy=box,
        area=_area(entry, called, labels, own),
        crowd=crowd,
        head_px=float(head_box_px(box_field(entry, "head_box", where)[None])[0]) if "head_box" in entry else math.nan,
        file=picture.file,
        size=picture.size,
    )


def _joints(entry: Entry, called: str, skeleton: Skeleton, labels: LabelFile, own: bool) -> Array:
    value = entry.get("keypoints")
    if own and not value and not isinstance(value, (str, dict)):
        labels.remarks.add(NO_KEYPOINTS, called)
        return np.zeros((len(skeleton), 3))
    try:
        joints, without_v = read_keypoints(value, skeleton, f"{labels.path}: {called}", own=own)
    except DataError as error:
        hint = counted_from_one(one.get("keypoints") for one in labels.annotations)
        raise DataError(f"{error}{hint}") from error
    if without_v:
        labels.remarks.add(NO_VISIBILITY, called)
    return joints


def _labeled(entry: Entry, called: str, joints: Array, labels: LabelFile, own: bool) -> Array:
    """Return which joints are labeled: none if `num_keypoints` says so, as in the reference evaluation."""
    labeled = np.asarray(joints[:, 2] > 0)
    count = int(labeled.sum())
    if own and not_a_number(entry.get("num_keypoints")):
        said = count
    else:
        said = int_field(entry, "num_keypoints", f"{labels.path}: {called}")
    if said <= 0 and count:
        labels.remarks.add(UNCOUNTED, called, f"num_keypoints {said}, {count} labeled")
        return np.zeros_like(labeled)
    if not count and entry.get("keypoints") and (said > 0 or joints[:, :2].any()):
        labels.remarks.add(NOT_LABELED, called, f"num_keypoints {said}")
    elif count and said != count:
        labels.remarks.add(MISCOUNTED, called, f"num_keypoints {said}, {count} labeled")
    return labeled


def _person_box(
    entry: Entry, called: str, xy: Array, labeled: Array, labels: LabelFile, own: bool
) -> Array | None:  # [4]
    """Return box_xyxy, or None for the tight box of the labeled joints."""
    value = entry.get("bbox")
    if own and (not_a_number(value) or value == []):
        return None
    box = box_field(entry, "bbox", f"{labels.path}: {called}")
    if own and labeled.any() and (box[2:] <= box[:2]).any():
        labels.remarks.add(EMPTY_BOX, called, f"bbox {short(value)}")
        return None
    return box


def _area(entry: Entry, called: str, labels: LabelFile, own: bool) -> float | None:
    """Return the area, or None for that of the box."""
    if own and not_a_number(entry.get("area")):
        return None
    area = float(number_field(entry, "area", None, f"{labels.path}: {called}"))
    box = entry.get("bbox")
    if area < 0 or not isinstance(box, list) or len(box) != 4:
        return area
    side = [float(box[2]), float(box[3])]
    whole = side[0] * side[1]
    if min(side) >= 2 and (area <= 1 or not 0.01 * whole <= area <= 1.5 * whole):
        labels.remarks.add(AREA, called, f"area {area:g}, bbox {side[0]:g} x {side[1]:g}")
        return None if own else area
    return area


def _crowd(entry: Entry, where: str, own: bool) -> bool:
    value = entry.get("iscrowd")
    if own and (not_a_number(value) or isinstance(value, bool)):
        return value is True
    crowd = int_field(entry, "iscrowd", where)
    if crowd not in (0, 1):
        raise DataError(f"{where}: iscrowd is {crowd}; expected 0 or 1")
    return crowd == 1
