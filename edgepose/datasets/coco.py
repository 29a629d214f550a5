"""COCO keypoints as published: `SPLIT/*.jpg` beside `annotations/person_keypoints_SPLIT.json`.

Lin et al., "Microsoft COCO", ECCV 2014. Each person annotation is a `Sample`: 17 joints as (x, y, v), v = 0
not labelled, 1 labelled but hidden, 2 visible; the box as published, x and y to x + width and y + height;
`area` is the segment's, the OKS scale. Crowds and people without a labelled joint are kept and ignored.
Images with nobody in them are in `image_ids`.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edgepose._checks import Array
from edgepose._files import read_json
from edgepose.datasets.samples import Sample, SampleList, read_image
from edgepose.errors import DataError, EdgeposeError, UsageError, nearest
from edgepose.pose.geometry import Size
from edgepose.pose.skeletons import SKELETONS

COCO = SKELETONS["coco17"]


class _Image(NamedTuple):
    path: Path
    size: Size


def coco_splits(root: Path) -> list[str]:
    """The splits whose keypoint labels are in `root`, in order."""
    found = (root / "annotations").glob("person_keypoints_*.json")
    return sorted(path.stem.removeprefix("person_keypoints_") for path in found)


def load_coco(root: Path, split: str | None = None) -> SampleList:
    """COCO keypoints from `root`. split: e.g. val2017; None where the folder holds only one.

    UsageError for a split that is not there; DataError names the file, and the annotation, that is wrong.
    """
    split = _choose(root, split)
    path = root / "annotations" / f"person_keypoints_{split}.json"
    content = _read(path)
    images = {_int(entry, "id", f"{path}: image"): _image(entry, root / split, path) for entry in content["images"]}
    people = tuple(_person(entry, images, path) for entry in content["annotations"])
    name = f"coco:{root}:{split}"
    return SampleList(name=name, skeleton=COCO, samples=people, image_ids=tuple(images))


def _choose(root: Path, split: str | None) -> str:
    splits = coco_splits(root)
    if not splits:
        raise DataError(f"{root} is no COCO folder: expected annotations/person_keypoints_SPLIT.json in it")
    if split is None and len(splits) > 1:
        raise UsageError(f"coco:{root} has the splits {', '.join(splits)}; name one, e.g. coco:{root}:{splits[0]}")
    chosen = splits[0] if split is None else split
    if chosen not in splits:
        raise UsageError(f"coco:{root} has no split {chosen!r}{nearest(chosen, splits)}")
    if not (root / chosen).is_dir():
        raise DataError(f"no folder {root / chosen} for the images of split {chosen}; fetch them")
    return chosen


def _read(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The file's content, as far as everything depends on it."""
    try:
        content = read_json(path, "COCO labels")
    except EdgeposeError as error:
        raise DataError(f"{error}; fetch it again") from error
    for key in ("images", "annotations"):
        entries = content.get(key) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise DataError(f"{path} has no list of {key!r}; is it COCO's person_keypoints file?")
    _check_joints(content, path)
    return {"images": content["images"], "annotations": content["annotations"]}


def _check_joints(content: dict[str, Any], path: Path) -> None:
    categories = content.get("categories")
    first = categories[0] if isinstance(categories, list) and categories else {}
    named = first.get("keypoints", list(COCO.joints)) if isinstance(first, dict) else None
    if named != list(COCO.joints):
        raise DataError(f"{path} labels {named}, not COCO's 17 joints; other layouts are not read yet")


def _image(entry: dict[str, Any], folder: Path, path: Path) -> _Image:
    where = f"{path}: image {entry['id']}"
    name = entry.get("file_name")
    if not isinstance(name, str) or not name:
        raise DataError(f"{where}: file_name is {name!r}; expected a name")
    return _Image(folder / name, (_int(entry, "height", where), _int(entry, "width", where)))


def _person(entry: dict[str, Any], images: dict[int, _Image], path: Path) -> Sample:
    where = f"{path}: annotation {entry.get('id')}"
    image_id = _int(entry, "image_id", where)
    if image_id not in images:
        raise DataError(f"{where}: there is no image {image_id}; correct image_id")
    image = images[image_id]
    joints = _numbers(entry, "keypoints", 3 * len(COCO), where).reshape(-1, 3)
    if not np.isin(joints[:, 2], (0, 1, 2)).all():
        raise DataError(f"{where}: visibility is {joints[:, 2].tolist()}; expected 0, 1 or 2 for each joint")
    x, y, width, height = _numbers(entry, "bbox", 4, where)
    crowd = _int(entry, "iscrowd", where) == 1
    labelled = (joints[:, 2] > 0) & (_int(entry, "num_keypoints", where) > 0)
    return Sample(
        image_id=image_id,
        name=image.path.name,
        read=functools.partial(_read_sized, image.path, image.size),
        xy_image=np.where(labelled[:, None], joints[:, :2], 0).astype(np.float32),
        labelled=labelled,
        occluded=labelled & (joints[:, 2] == 1),
        box_xyxy=np.array([x, y, x + width, y + height], np.float32),
        area=float(_numbers(entry, "area", None, where)),
        ignore=crowd or not labelled.any(),
        crowd=crowd,
    )


def _read_sized(path: Path, size: Size) -> Array:
    """The image, which must be as large as its labels say: else they do not belong to it."""
    image = read_image(path)
    if image.shape[:2] != size:
        got, wanted = f"{image.shape[1]}x{image.shape[0]}", f"{size[1]}x{size[0]}"
        raise DataError(f"image {path} is {got}, its labels are for {wanted}; fetch the original")
    return image


def _int(entry: dict[str, Any], key: str, where: str) -> int:
    value = entry.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise DataError(f"{where}: {key} is {value!r}; expected a whole number")
    return value


def _numbers(entry: dict[str, Any], key: str, count: int | None, where: str) -> Array:
    """[count] float64, or a scalar where count is None; all finite."""
    value: Any = entry.get(key)
    flat = value if isinstance(value, list) else [value]
    real = all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in flat)
    if not real or np.shape(value) != (() if count is None else (count,)) or not np.isfinite(value).all():
        expected = "a number" if count is None else f"{count} numbers"
        raise DataError(f"{where}: {key} is {value!r}; expected {expected}")
    return np.asarray(value, np.float64)
