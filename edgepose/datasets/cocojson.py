"""Keypoint labels in COCO's JSON format, for COCO itself and for a user's own data.

Lin et al., "Microsoft COCO", ECCV 2014. Each annotation of a person becomes a `Sample`. A joint is (x, y, v), where v
is 0 for not labeled, 1 for labeled but occluded, and 2 for visible. A bounding box [x, y, width, height] becomes
(x, y, x + width, y + height). `area` is the area of the segment and serves as the OKS scale. Crowds and people without
a labeled joint are kept and marked as ignored. Images without people are kept in `SampleList.empty`.

COCO's own files have every field, so a missing field is an error. A user's own file (`own=True`) may omit the size of
an image (the size is then not checked), `bbox` (default: the tight box of the labeled joints), `area` (default: the
area of the box), `iscrowd` (default: 0), `num_keypoints` (default: counted) and, for regions that metrics ignore,
`keypoints`. It may add head_box = [x, y, width, height], which PCKh needs. Ids may be texts. A box without an area
counts as omitted, and so does an area that cannot be that of its box. What was odd is in `SampleList.remarks`.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgepose._files import read_json
from edgepose.datasets.annotations import read_person
from edgepose.datasets.categories import choose_category, select
from edgepose.datasets.fields import Entry, identity, int_field, named, not_a_number
from edgepose.datasets.imagefiles import find_images
from edgepose.datasets.remarks import Kind, Remarks, short
from edgepose.datasets.samples import Picture, Sample, SampleList
from edgepose.datasets.sizes import read_sized
from edgepose.errors import DataError, EdgeposeError, redact
from edgepose.pose.geometry import Size
from edgepose.pose.skeletons import Skeleton

SAME_ID = Kind("id is used by several annotations", "give each annotation its own id, since COCO's tools need it")
SAME_FILE = Kind("file_name is used by several images", "give each image its own file, or merge the images")
SHOWN = 3  # wrong annotations that one message names

TWICE = Kind("annotations are the same person twice", "the person counts twice; delete one of the two")


@dataclass(frozen=True, kw_only=True)
class LabelFile:
    """The contents of one label file.

    Attributes:
        path: The file.
        images: The entries of the list `images`.
        annotations: The entries of the list `annotations` that belong to the category with keypoints.
        joints: The joint names of that category; None if it has none.
        remarks: What was odd.
    """

    path: Path
    images: list[Entry]
    annotations: list[Entry]
    joints: tuple[str, ...] | None
    remarks: Remarks


def read_labels(path: Path, category: str | None = None) -> LabelFile:
    """Read a label file and check its lists, without checking their entries.

    Args:
        path: The JSON file.
        category: The name or the id of the category of the people; None chooses (`choose_category`).

    Returns:
        The lists of the file; annotations of other categories are left out.

    Raises:
        DataError: The file cannot be read, is not JSON, lacks a list, or has no such category.
    """
    try:
        content = read_json(path, "keypoint labels")
    except EdgeposeError as error:
        raise DataError(f"{error}; download or create it again") from error
    images, annotations = (_list(content, key, path) for key in ("images", "annotations"))
    people, remarks = choose_category(content, path, category), Remarks(path)
    chosen = select(annotations, people, content, remarks)
    return LabelFile(path=path, images=images, annotations=chosen, joints=people.joints, remarks=remarks)


def _list(content: Any, key: str, path: Path) -> list[Entry]:
    entries = content.get(key) if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DataError(
            f"{path} has no list of {key!r}; is it a file of COCO keypoints? It needs images, with id and file_name, "
            "and annotations, with image_id and keypoints"
        )
    return entries


def label_list(
    labels: LabelFile, *, name: str, skeleton: Skeleton, folders: Sequence[Path], own: bool = False
) -> SampleList:
    """Turn a label file into a data set.

    Args:
        labels: The contents of the file.
        name: The name of the data set.
        skeleton: The skeleton of the labels.
        folders: The folders of the images, the likeliest first.
        own: Whether fields may be omitted, as in a user's own file.

    Returns:
        Every person in the file, ignored people included.

    Raises:
        DataError: Entries are wrong. The message names the first few, each with the field, and says how many there are.
    """
    pictures = _pictures(labels, folders, own)
    _note_copies(labels)
    people = _people(labels, pictures, skeleton, own)
    populated = {sample.image_id for sample in people}
    return SampleList(
        name=name,
        skeleton=skeleton,
        samples=people,
        image_ids=tuple(picture.image_id for picture in pictures.values()),
        empty=tuple(picture for picture in pictures.values() if picture.image_id not in populated),
        remarks=labels.remarks.lines(),
    )


def _people(labels: LabelFile, pictures: dict[str, Picture], skeleton: Skeleton, own: bool) -> tuple[Sample, ...]:
    people, wrong = [], []
    for i, entry in enumerate(labels.annotations):
        try:
            people.append(read_person(entry, i, pictures, skeleton, labels, own))
        except DataError as error:
            wrong.append(error)
    if wrong:
        first, *others = (str(error) for error in wrong[:SHOWN])
        more = [text.removeprefix(f"{labels.path}: ") for text in others]
        rest = f"; {len(wrong)} annotations are wrong in all" if len(wrong) > 1 else ""
        raise DataError("; ".join([first, *more]) + rest) from wrong[0]
    return tuple(people)


def _pictures(labels: LabelFile, folders: Sequence[Path], own: bool) -> dict[str, Picture]:
    """Return the images by their id as text."""
    path = labels.path
    keys = [identity(entry, "id", f"{path}: image") for entry in labels.images]
    twice = [key for key, count in Counter(keys).items() if count > 1]
    if twice:
        raise DataError(f"{path}: image {twice[0]}: id is used twice; give each image its own id")
    numeric = all(key.removeprefix("-").isdecimal() and str(int(key)) == key for key in keys)
    names = [(f"image {key}", _file_name(entry, f"{path}: image {key}")) for key, entry in _zip(keys, labels.images)]
    files = find_images(names, folders, labels.remarks) if own else [folders[0] / name for _, name in names]
    for file, count in Counter(files).items():
        if count > 1:
            labels.remarks.add(SAME_FILE, file.name, f"{count} images")
    made = {}
    for i, (key, entry) in enumerate(_zip(keys, labels.images)):
        size, file, name = _size(entry, f"{path}: image {key}", own), files[i], names[i][1]
        made[key] = Picture(
            image_id=int(key) if numeric else i + 1,
            name=name if file.as_posix().endswith(name) else Path(redact(str(file))).name,
            read=functools.partial(read_sized, file, size),
            file=file,
            size=size,
        )
    return made


def _zip(keys: Sequence[str], entries: Sequence[Entry]) -> list[tuple[str, Entry]]:
    return list(zip(keys, entries, strict=True))


def _file_name(entry: Entry, where: str) -> str:
    name = entry.get("file_name")
    if not isinstance(name, str) or not name or not name.isprintable():
        raise DataError(f"{where}: file_name is {short(name)}; expected a name")
    return name


def _size(entry: Entry, where: str, own: bool) -> Size | None:
    given = [entry.get(key) for key in ("height", "width")]
    if own and all(not_a_number(value) for value in given):
        return None
    height, width = (int_field(entry, key, where) for key in ("height", "width"))
    if min(height, width) < 1:
        raise DataError(f"{where}: height and width are {height} and {width}; expected pixels, or neither")
    return height, width


def _note_copies(labels: LabelFile) -> None:
    """Record annotations with one id, and people that are in the file twice."""
    ids = Counter(str(entry["id"]) for entry in labels.annotations if "id" in entry)
    for number, count in ids.items():
        if count > 1:
            labels.remarks.add(SAME_ID, f"annotation {number[:40]}", f"{count} annotations")
    seen: dict[tuple[str, str], str] = {}
    for i, entry in enumerate(labels.annotations):
        keypoints = entry.get("keypoints")
        if isinstance(keypoints, list) and any(value not in (0, None) for value in keypoints):
            key = (str(entry.get("image_id")), repr(keypoints))
            if key in seen:
                labels.remarks.add(TWICE, f"{seen[key]} and {named(entry, i)}", f"image {key[0]}")
            seen.setdefault(key, named(entry, i))
