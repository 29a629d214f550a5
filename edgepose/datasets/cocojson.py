"""Keypoint labels in COCO's JSON format, for COCO itself and for a user's own data.

Lin et al., "Microsoft COCO", ECCV 2014. Each annotation of a person becomes a `Sample`. A joint is (x, y, v), where v
is 0 for not labeled, 1 for labeled but occluded, and 2 for visible. A bounding box [x, y, width, height] becomes
(x, y, x + width, y + height). `area` is the area of the segment and serves as the OKS scale. Crowds and people without
a labeled joint are kept and marked as ignored. Images without people are kept in `SampleList.empty`.

COCO's own files have every field, so a missing field is an error. A user's own file (`own=True`) may omit the size of
an image (the size is then not checked), `bbox` (default: the tight box of the labeled joints), `area` (default: the
area of the box), `iscrowd` (default: 0) and `num_keypoints` (default: counted). It may add
head_box = [x, y, width, height], which PCKh needs.
"""

from __future__ import annotations

import functools
import math
import reprlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgepose._checks import Array
from edgepose._files import read_json
from edgepose.datasets.samples import Picture, Sample, SampleList, checked_sample
from edgepose.errors import DataError, EdgeposeError
from edgepose.media.images import read_image
from edgepose.metrics.lengths import head_box_px
from edgepose.pose.geometry import FARTHEST_PX, Size
from edgepose.pose.skeletons import Skeleton

Entry = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class LabelFile:
    """The contents of one label file.

    Attributes:
        path: The file.
        images: The entries of the list `images`.
        annotations: The entries of the list `annotations` that belong to the category with keypoints.
        joints: The joint names of that category; None if it has none.
    """

    path: Path
    images: list[Entry]
    annotations: list[Entry]
    joints: tuple[str, ...] | None


def read_labels(path: Path) -> LabelFile:
    """Read a label file and check its lists, without checking their entries.

    Args:
        path: The JSON file.

    Returns:
        The lists of the file; annotations of categories without keypoints are left out.

    Raises:
        DataError: The file cannot be read, is not JSON, or lacks a list.
    """
    try:
        content = read_json(path, "keypoint labels")
    except EdgeposeError as error:
        raise DataError(f"{error}; download or create it again") from error
    images, annotations = (_list(content, key, path) for key in ("images", "annotations"))
    category = _category(content, path)
    number = _int(category, "id", f"{path}: category") if "id" in category else None
    people = [entry for entry in annotations if number is None or _category_of(entry, number, path) == number]
    named = category.get("keypoints")
    if named is not None and not (isinstance(named, list) and all(isinstance(joint, str) for joint in named)):
        raise DataError(f"{path}: keypoints of the category is {_short(named)}; expected a list of joint names")
    return LabelFile(path=path, images=images, annotations=people, joints=None if named is None else tuple(named))


def _list(content: Any, key: str, path: Path) -> list[Entry]:
    entries = content.get(key) if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DataError(f"{path} has no list of {key!r}; is it a file of COCO keypoints?")
    return entries


def _category(content: Entry, path: Path) -> Entry:
    """Return the category with keypoints, or {} if the file has no categories."""
    if content.get("categories") is None:
        return {}
    categories = _list(content, "categories", path)
    named = [category for category in categories if "keypoints" in category] or categories
    if len(named) > 1:
        named = [category for category in named if category.get("name") == "person"]
    if len(named) != 1:
        raise DataError(f"{path}: categories names {len(named)} categories of people with keypoints; expected one")
    return named[0]


def _category_of(entry: Entry, default: int, path: Path) -> int:
    """Return the category of an annotation, or the default if it has none."""
    return _int(entry, "category_id", f"{path}: {_named(entry)}") if "category_id" in entry else default


def _named(entry: Entry) -> str:
    return f"annotation {_short(entry.get('id'))}"


def label_list(labels: LabelFile, *, name: str, skeleton: Skeleton, folder: Path, own: bool = False) -> SampleList:
    """Turn a label file into a data set.

    Args:
        labels: The contents of the file.
        name: The name of the data set.
        skeleton: The skeleton of the labels.
        folder: The folder of the images.
        own: Whether fields may be omitted, as in a user's own file.

    Returns:
        Every person in the file, ignored people included.

    Raises:
        DataError: An entry is wrong. The message names the entry and the field.
    """
    pictures: dict[int, Picture] = {}
    for entry in labels.images:
        picture = _picture(entry, folder, labels.path, own)
        if picture.image_id in pictures:
            raise DataError(f"{labels.path}: image {picture.image_id}: id is used twice; give each image its own id")
        pictures[picture.image_id] = picture
    people = tuple(_person(entry, pictures, skeleton, labels.path, own) for entry in labels.annotations)
    populated = {sample.image_id for sample in people}
    return SampleList(
        name=name,
        skeleton=skeleton,
        samples=people,
        image_ids=tuple(pictures),
        empty=tuple(picture for number, picture in pictures.items() if number not in populated),
    )


def _picture(entry: Entry, folder: Path, path: Path, own: bool) -> Picture:
    number = _int(entry, "id", f"{path}: image")
    where = f"{path}: image {number}"
    name = entry.get("file_name")
    if not isinstance(name, str) or not name or not name.isprintable():
        raise DataError(f"{where}: file_name is {_short(name)}; expected a name")
    sized = not own or "height" in entry or "width" in entry
    size = (_int(entry, "height", where), _int(entry, "width", where)) if sized else None
    if size is not None and min(size) < 1:
        raise DataError(f"{where}: height and width are {size[0]} and {size[1]}; expected pixels")
    return Picture(image_id=number, name=name, read=functools.partial(_read_sized, folder / name, size))


def _person(entry: Entry, pictures: dict[int, Picture], skeleton: Skeleton, path: Path, own: bool) -> Sample:
    where = f"{path}: {_named(entry)}"
    image_id = _int(entry, "image_id", where)
    if image_id not in pictures:
        raise DataError(f"{where}: there is no image {image_id}; correct image_id")
    joints = _numbers(entry, "keypoints", 3 * len(skeleton), where).reshape(-1, 3)
    if not np.isin(joints[:, 2], (0, 1, 2)).all():
        raise DataError(f"{where}: keypoints has visibilities {joints[:, 2].tolist()}; expected 0, 1 or 2 for each")
    labeled = joints[:, 2] > 0
    if not (own and "num_keypoints" not in entry) and _int(entry, "num_keypoints", where) <= 0:
        labeled = np.zeros_like(labeled)  # The reference evaluation ignores people by `num_keypoints`.
    crowd = 0 if own and "iscrowd" not in entry else _int(entry, "iscrowd", where)
    if crowd not in (0, 1):
        raise DataError(f"{where}: iscrowd is {crowd}; expected 0 or 1")
    picture = pictures[image_id]
    return checked_sample(
        where,
        image_id=image_id,
        name=picture.name,
        read=picture.read,
        xy=joints[:, :2],
        labeled=labeled,
        occluded=joints[:, 2] == 1,
        box_xyxy=None if own and "bbox" not in entry else _box(entry, "bbox", where),
        area=None if own and "area" not in entry else float(_numbers(entry, "area", None, where)),
        crowd=crowd == 1,
        head_px=float(head_box_px(_box(entry, "head_box", where)[None])[0]) if "head_box" in entry else math.nan,
    )


def _read_sized(path: Path, size: Size | None) -> Array:
    """Read an image and check that it has the size its labels were made for."""
    image = read_image(path)
    if size is not None and image.shape[:2] != size:
        got, wanted = f"{image.shape[1]}x{image.shape[0]}", f"{size[1]}x{size[0]}"
        raise DataError(f"image {path} is {got}, its labels are for {wanted}; download the original image")
    return image


def _box(entry: Entry, key: str, where: str) -> Array:
    """Return box_xyxy [4] float64 for a field [x, y, width, height]."""
    x, y, width, height = _numbers(entry, key, 4, where)
    if width < 0 or height < 0:
        raise DataError(f"{where}: {key} is {_short(entry[key])}; width and height must not be negative")
    return np.array([x, y, x + width, y + height])


def _int(entry: Entry, key: str, where: str) -> int:
    value = entry.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > 2**62:
        raise DataError(f"{where}: {key} is {_short(value)}; expected a whole number")
    return value


def _numbers(entry: Entry, key: str, count: int | None, where: str) -> Array:
    """Return a field as [count] float64, or as a scalar if `count` is None; refuse values no image can contain."""
    value: Any = entry.get(key)
    flat: list[Any] = value if count is not None and isinstance(value, list) else [value]
    real = all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in flat)
    limit = FARTHEST_PX if count is not None else FARTHEST_PX**2
    if not real or len(flat) != (count or 1) or not all(abs(item) <= limit for item in flat):
        expected = "a number" if count is None else f"{count} numbers"
        raise DataError(f"{where}: {key} is {_short(value)}; expected {expected} of pixels")
    return np.asarray(value, np.float64)


def _short(value: object) -> str:
    """Return the text of a value from the file, shortened if it is long."""
    return reprlib.repr(value)
