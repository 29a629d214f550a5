"""Leeds Sports Pose (LSP) and LSP Extended as published: labels in `joints.mat`, images in `images/`.

LSP: Johnson & Everingham, BMVC 2010. `joints` is [3, 14, 2000]: x and y, counted from 1, and 1 in the third row if the
joint is occluded. Images 1-1000 are for training and 1001-2000 for testing.
LSP Extended: Johnson & Everingham, CVPR 2011. `joints` is [14, 3, 10000], with 1 in the third column if the joint is
labeled. The labels are crowd-sourced and noisy, and all images are for training.

The splits `train` and `test` are those published. `fit` (1-900) and `val` (901-1000) divide the training images, so
that design choices can be validated on images outside the training set. Bounding boxes are the tight boxes of the
labeled joints. Neither data set has segments, so the OKS area is the area of the box.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from edgepose._checks import Array
from edgepose.datasets.labelfiles import read_array
from edgepose.datasets.samples import Sample, SampleList, checked_sample
from edgepose.errors import DataError, UsageError, nearest
from edgepose.media.images import read_image
from edgepose.pose.skeletons import SKELETONS

LSP_PEOPLE, LSPET_PEOPLE = 2000, 10000
LSP_SPLITS = {"train": (0, 1000), "test": (1000, 2000), "fit": (0, 900), "val": (900, 1000)}
LSPET_SPLITS = {"train": (0, 10000)}


def load_lsp(root: Path, split: str = "test") -> SampleList:
    """Load LSP.

    Args:
        root: The folder of the data set.
        split: "train", "test", "fit" or "val".

    Raises:
        UsageError: The split does not exist.
        DataError: A file is missing or wrong. The message names it.
    """
    first, last = _range(split, LSP_SPLITS, "lsp")
    joints = _read_joints(root, (3, 14, LSP_PEOPLE))
    everything = np.ones(14, bool)
    people = (_person(root, 4, i, joints[:2, :, i].T - 1, everything, joints[2, :, i] == 1) for i in range(first, last))
    return _sample_list(f"lsp:{root}:{split}", people)


def load_lspet(root: Path, split: str = "train") -> SampleList:
    """Load LSP Extended.

    Args:
        root: The folder of the data set.
        split: "train", the only one.

    Raises:
        UsageError: The split does not exist.
        DataError: A file is missing or wrong. The message names it.
    """
    first, last = _range(split, LSPET_SPLITS, "lspet")
    joints = _read_joints(root, (14, 3, LSPET_PEOPLE))
    people = (_person(root, 5, i, joints[:, :2, i] - 1, joints[:, 2, i] == 1) for i in range(first, last))
    return _sample_list(f"lspet:{root}:{split}", people)


def _range(split: str, splits: dict[str, tuple[int, int]], kind: str) -> tuple[int, int]:
    if split not in splits:
        raise UsageError(f"{kind} has no split {split!r}{nearest(split, splits)}")
    return splits[split]


def _person(root: Path, digits: int, i: int, xy: Array, labeled: Array, occluded: Array | None = None) -> Sample:
    image = root / "images" / f"im{i + 1:0{digits}d}.jpg"
    return checked_sample(
        f"{root / 'joints.mat'}: joints of {image.name}",
        image_id=i + 1,
        name=image.name,
        read=functools.partial(read_image, image),
        xy=xy,
        labeled=labeled,
        occluded=occluded,
    )


def _read_joints(root: Path, shape: tuple[int, int, int]) -> Array:
    """Return the array of joints.mat as published, float64."""
    path = root / "joints.mat"
    for part in (path, root / "images"):
        if not part.exists():
            raise DataError(f"{part} does not exist; expected joints.mat and images/ in {root}, as published")
    joints = read_array(path, "joints")
    if joints.shape != shape:
        raise DataError(f"{path}: joints has shape {list(joints.shape)}; expected {list(shape)}")
    flags = joints.take(2, axis=shape.index(3))
    if not np.isin(flags, (0, 1)).all():
        found = flags[~np.isin(flags, (0, 1))][0]
        raise DataError(f"{path}: joints has a visibility of {found:g}; expected 0 or 1")
    return joints


def _sample_list(name: str, people: Iterable[Sample]) -> SampleList:
    samples = tuple(people)
    numbers = tuple(sample.image_id for sample in samples)
    return SampleList(name=name, skeleton=SKELETONS["lsp14"], samples=samples, image_ids=numbers)
