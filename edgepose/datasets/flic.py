"""FLIC as published: labels in `examples.mat`, film frames in `images/`; one person's upper body is labeled per frame.

Sapp & Taskar, "MODEC", CVPR 2013. `examples` is a struct array of 5,003 elements. `coords` is [2, 29], counts pixels
from 1 and is NaN for joints that are not labeled; eleven joints are labeled. `istrain` (3,987) and `istest` (1,016)
define the splits. Left and right are the person's own sides; the literature mostly evaluates sides as the observer
sees them (`metrics/observer.py`).

The bounding box is the tight box of the labeled joints, as for LSP. It reaches from the eyes to the hips, so the
position of the arms changes the size of the box. FLIC has no segments, so the OKS area is the area of the box. FLIC
does not label occlusion.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from edgepose.datasets.labelfiles import Struct, read_struct
from edgepose.datasets.samples import Sample, SampleList, checked_sample
from edgepose.errors import DataError, UsageError, nearest
from edgepose.media.images import read_image
from edgepose.pose.skeletons import SKELETONS

FLIC_SPLITS = {"train": "istrain", "test": "istest"}
FLIC = SKELETONS["flic11"]
POINTS = 29
# Column of `coords`, counted from 0, for each labeled joint, as in FLIC's lookupPart.m.
COLUMNS = {
    "left_shoulder": 0, "left_elbow": 1, "left_wrist": 2, "right_shoulder": 3, "right_elbow": 4, "right_wrist": 5,
    "left_hip": 6, "right_hip": 9, "left_eye": 12, "right_eye": 13, "nose": 16,
}  # fmt: skip


def load_flic(root: Path, split: str = "test") -> SampleList:
    """Load FLIC.

    Args:
        root: The folder of the data set.
        split: "train" or "test".

    Returns:
        The data set.

    Raises:
        UsageError: The split does not exist.
        DataError: A file is missing or wrong. The message names the file, the example and the field.
    """
    if split not in FLIC_SPLITS:
        raise UsageError(f"flic has no split {split!r}{nearest(split, FLIC_SPLITS)}")
    path = root / "examples.mat"
    for part in (path, root / "images"):
        if not part.exists():
            raise DataError(f"{part} does not exist; expected examples.mat and images/ in {root}, as published")
    examples = read_struct(path, "examples")
    _check_fields(examples, path)
    chosen = [i for i in range(len(examples)) if _flag(examples, i, FLIC_SPLITS[split])]
    people = tuple(_person(examples, i, root) for i in chosen)
    if not people:
        raise DataError(f"{path}: examples has no people in split {split}; download the file again")
    ids = tuple(sample.image_id for sample in people)
    return SampleList(name=f"flic:{root}:{split}", skeleton=FLIC, samples=people, image_ids=ids)


def _check_fields(examples: Struct, path: Path) -> None:
    for field in ("coords", "filepath", *FLIC_SPLITS.values()):
        if field not in examples.fields:
            raise DataError(f"{path}: examples has no field {field!r}; is it FLIC's examples.mat?")


def _flag(examples: Struct, i: int, field: str) -> bool:
    value = examples.number(i, field)
    if value not in (0, 1):
        raise DataError(f"{examples.name(i, field)} is {value:g}; expected 0 or 1")
    return value == 1


def _person(examples: Struct, i: int, root: Path) -> Sample:
    coords = examples.numbers(i, "coords", (2, POINTS))[:, [COLUMNS[joint] for joint in FLIC.joints]].T
    labeled = np.asarray(~np.isnan(coords).any(axis=1))
    name = examples.text(i, "filepath")
    if not name or not name.isprintable():
        raise DataError(f"{examples.name(i, 'filepath')} is {name!r}; expected a file name")
    return checked_sample(
        examples.name(i, "coords"),
        image_id=i + 1,
        name=name,
        read=functools.partial(read_image, root / "images" / name),
        xy=coords - 1,
        labeled=labeled,
    )
