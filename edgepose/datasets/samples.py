"""What every data set yields: one `Sample` per labelled person.

A data set is anything with `name`, `skeleton`, `image_ids`, `len()` and `[index] -> Sample`. Images are read
when asked for, so a data set of a million people costs its labels alone.

A file that is missing, truncated or no image raises DataError; so do labels that cannot belong to their
image (`refuse_outside`). Joints a little outside are kept, as in the published sets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from edgepose._checks import Array
from edgepose.errors import DataError
from edgepose.pose.geometry import Size
from edgepose.pose.skeletons import Skeleton


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One person in one image; coordinates in image space (pixel centres at integers).

    image_id: what the labels call the image (COCO's integer id, LSP's number).
    name: the file name. read: gives the image, [H, W, 3] uint8 BGR; DataError when it cannot.
    xy_image: [K, 2] float32; where labelled is False the numbers mean nothing.
    labelled: [K] bool. occluded: [K] bool, labelled but not visible.
    box_xyxy: [4] float32. area: the OKS scale s^2 (COCO's segment area, else the box's area).
    ignore: COCO's iscrowd or no joints: never a miss, never a hit.
    crowd: COCO's iscrowd, a region of many people: in OKS it excuses any number of predictions.
    """

    image_id: int
    name: str
    read: Callable[[], Array]
    xy_image: Array  # [K, 2] float32
    labelled: Array  # [K] bool
    occluded: Array  # [K] bool
    box_xyxy: Array  # [4] float32
    area: float
    ignore: bool = False
    crowd: bool = False


class PoseData(Protocol):
    """A data set of labelled people."""

    @property
    def name(self) -> str:
        """As written on the command line, e.g. lsp:../shared/data/lsp:test."""

    @property
    def skeleton(self) -> Skeleton: ...

    @property
    def image_ids(self) -> Sequence[int]:
        """Every image, with people and without: a detection in an empty one is a miss."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Sample: ...


@dataclass(frozen=True, kw_only=True)
class SampleList:
    """A data set whose labels are all in memory, in the published order."""

    name: str
    skeleton: Skeleton
    samples: tuple[Sample, ...]
    image_ids: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


class EveryoneCounts:
    """Base of data sets that ignore nobody and whose samples cost work (an image decoded or rendered)."""


def counted(data: PoseData) -> list[int]:
    """The indices of the people who are not ignored."""
    if isinstance(data, EveryoneCounts):
        return list(range(len(data)))
    return [i for i in range(len(data)) if not data[i].ignore]


def outside(xy_image: Array, size: Size) -> Array:
    """[..., 2] float: by how many pixels points are outside an image of (height, width), 0 inside."""
    last = np.array([size[1], size[0]]) - 0.5
    return np.asarray(np.maximum(np.maximum(-0.5 - xy_image, xy_image - last), 0))


def refuse_outside(sample: Sample, size: Size) -> None:
    """Raise DataError where labels cannot belong to their image of (height, width).

    That is a labelled joint more than one image size outside, or a box with nothing of the image in it.
    """
    height, width = size
    where = f"{sample.name} (image {sample.image_id}, {width}x{height})"
    away = outside(sample.xy_image[sample.labelled], size)
    if (away > np.array([width, height])).any():
        x, y = sample.xy_image[sample.labelled][int(away.max(axis=1).argmax())]
        raise DataError(f"{where}: a joint is labelled at ({x:.0f}, {y:.0f}), far outside; correct the labels")
    x0, y0, x1, y1 = (float(edge) for edge in sample.box_xyxy)
    if x1 < -0.5 or y1 < -0.5 or x0 > width - 0.5 or y0 > height - 0.5:
        box = f"({x0:.0f}, {y0:.0f}) to ({x1:.0f}, {y1:.0f})"
        raise DataError(f"{where}: the person's box {box} is outside the image; correct the labels")


def read_image(path: Path) -> Array:
    """[H, W, 3] uint8 BGR. DataError names a file that is missing, truncated or no image."""
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise DataError(f"cannot read image {path}: {error.strerror or error}") from error
    if truncated(data):
        raise DataError(f"image {path} is truncated; fetch or convert it again")
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error as error:  # more pixels than OpenCV allows
        raise DataError(f"image {path} cannot be decoded ({error.err}); convert or scale it") from error
    if image is None:
        raise DataError(f"{path} is no image OpenCV can decode; convert it to JPEG or PNG")
    return image


def truncated(data: Array) -> bool:
    """Whether a JPEG, PNG or WebP [bytes] uint8 lacks its end: OpenCV 4 decodes the rest as grey, unasked."""
    raw = data.tobytes()
    if raw.startswith(b"\xff\xd8"):
        return not _jpeg_ends(raw)
    if raw.startswith(b"\x89PNG\r\n\x1a\n"):
        return not _png_ends(raw)
    return raw.startswith(b"RIFF") and len(raw) < 8 + int.from_bytes(raw[4:8], "little")


_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # neither stuffing, restart nor fill


def _jpeg_ends(raw: bytes) -> bool:
    """Walk the segments: an end marker inside one is a thumbnail's, and a file may go on after its own."""
    at = 2
    while marker := _MARKER.search(raw, at):
        if raw[marker.end() - 1] == 0xD9:
            return True
        at = marker.end() + int.from_bytes(raw[marker.end() : marker.end() + 2], "big")
    return False


def _png_ends(raw: bytes) -> bool:
    at = 8
    while at + 12 <= len(raw):
        if raw[at + 4 : at + 8] == b"IEND":
            return True
        at += 12 + int.from_bytes(raw[at : at + 4], "big")
    return False
