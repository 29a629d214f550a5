"""The common form of every data set: one `Sample` per labeled person.

A data set is any object with `name`, `skeleton`, `image_ids`, `len()` and `[index] -> Sample`. An image is read only
when `Sample.read` is called, so memory holds labels but no images. `pictures` lists all images, including images
without people, in which a person detector may produce false positives.

Three functions raise DataError: `Sample.read` for an image that cannot be read (`edgepose.media.images`),
`checked_sample`, with which every reader of label files creates its samples, for numbers that are not valid pixels,
and `refuse_outside` for labels that cannot belong to their image. Joints slightly outside the image are kept, as in
the published data sets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from edgepose._checks import Array
from edgepose.errors import DataError
from edgepose.pose.geometry import FARTHEST_PX, Size, box_of_joints
from edgepose.pose.skeletons import Skeleton


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One person in one image. Coordinates are image pixels, with pixel centers at integers.

    Attributes:
        image_id: The number of the image in the labels (COCO's id, LSP's number).
        name: The file name of the image.
        read: Returns the image, [H, W, 3] uint8 BGR, or raises DataError.
        xy_image: The joints, [K, 2] float32; meaningless where `labeled` is False.
        labeled: Which joints are labeled, [K] bool.
        occluded: Which joints are labeled but occluded, [K] bool.
        box_xyxy: The bounding box, [4] float32.
        area: The OKS scale s^2, square pixels: the area of COCO's segment, otherwise the area of the box.
        ignore: Whether metrics count this person neither as a miss nor as a hit (a crowd, or no labeled joint).
        crowd: Whether this is a region of many people (COCO's iscrowd). OKS may match it to many predictions.
        head_px: MPII's head size, 0.6 of the diagonal of the head box, pixels; NaN without a head box.
        file: The image file; None if the labels do not come from a file with names of images.
        size: The (height, width) of the image according to the labels; None if they do not say.
        confidence: The weight of each joint in training, [K] float32, 0 to 1, see `datasets.teacher`; None if every
            labeled joint weighs 1.
    """

    image_id: int
    name: str
    read: Callable[[], Array]
    xy_image: Array  # [K, 2] float32
    labeled: Array  # [K] bool
    occluded: Array  # [K] bool
    box_xyxy: Array  # [4] float32
    area: float
    ignore: bool = False
    crowd: bool = False
    head_px: float = float("nan")
    file: Path | None = None
    size: Size | None = None
    confidence: Array | None = None  # [K] float32


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One image of a data set.

    Attributes:
        image_id: The number of the image in the labels.
        name: The file name of the image.
        read: Returns the image, [H, W, 3] uint8 BGR, or raises DataError.
        file: The image file; None if the labels do not come from a file with names of images.
        size: The (height, width) of the image according to the labels; None if they do not say.
    """

    image_id: int
    name: str
    read: Callable[[], Array]
    file: Path | None = None
    size: Size | None = None


class PoseData(Protocol):
    """A data set of labeled people."""

    @property
    def name(self) -> str:
        """The name as written on the command line, such as lsp:data/lsp:test."""

    @property
    def skeleton(self) -> Skeleton:
        """The skeleton of the labels."""

    @property
    def image_ids(self) -> Sequence[int]:
        """The numbers of all images, including images without people, in which every detection is a false positive."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Sample: ...


@dataclass(frozen=True, kw_only=True)
class SampleList:
    """A data set whose labels are all in memory, in the published order.

    Attributes:
        name: The name as written on the command line.
        skeleton: The skeleton of the labels.
        samples: The people.
        image_ids: The numbers of all images.
        empty: The images without people.
        remarks: What the reader of the label file found odd, one line for each kind.
    """

    name: str
    skeleton: Skeleton
    samples: tuple[Sample, ...]
    image_ids: tuple[int, ...]
    empty: tuple[Picture, ...] = ()
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


class EveryoneCounts:
    """Base class of data sets that ignore no person. Their samples are costly: each decodes or renders an image."""


def counted(data: PoseData) -> list[int]:
    """Return the indices of the people who are not ignored."""
    if isinstance(data, EveryoneCounts):
        return list(range(len(data)))
    return [i for i in range(len(data)) if not data[i].ignore]


def pictures(data: PoseData, samples: Iterable[Sample] | None = None) -> list[Picture]:
    """List every image once: images with people in the order of the samples, then images without people.

    Args:
        data: The data set.
        samples: The people of the data set, if the caller already has them or not all of them can be read.
    """
    found: dict[tuple[int, str], Picture] = {}
    for sample in (data[i] for i in range(len(data))) if samples is None else samples:
        picture = Picture(
            image_id=sample.image_id, name=sample.name, read=sample.read, file=sample.file, size=sample.size
        )
        found.setdefault((sample.image_id, sample.name), picture)
    return [*found.values(), *(data.empty if isinstance(data, SampleList) else ())]


def checked_sample(
    where: str,
    *,
    image_id: int,
    name: str,
    read: Callable[[], Array],
    xy: Array,  # [K, 2] float
    labeled: Array,  # [K] bool
    occluded: Array | None = None,  # [K] bool
    box_xyxy: Array | None = None,  # [4] float
    area: float | None = None,
    crowd: bool = False,
    head_px: float = float("nan"),
    file: Path | None = None,
    size: Size | None = None,
) -> Sample:
    """Create a `Sample` and check its numbers. Crowds and people without a labeled joint are marked as ignored.

    Args:
        where: The file and the person, for messages.
        image_id: The number of the image in the labels.
        name: The file name of the image.
        read: Returns the image.
        xy: The joints, [K, 2] float, image pixels; any value where `labeled` is False.
        labeled: Which joints are labeled, [K] bool.
        occluded: Which joints are occluded, [K] bool; None means that no joint is.
        box_xyxy: The bounding box, [4] float, image pixels; None means the tight box of the labeled joints.
        area: The OKS scale, square pixels; None means the area of the box.
        crowd: Whether this is a region of many people.
        head_px: The head size, pixels; NaN if unknown.
        file: The image file, if the labels name one.
        size: The (height, width) of the image, if the labels say it.

    Raises:
        DataError: A labeled joint, the box, the area or the head size is not a number that an image can contain.
    """
    xy = np.where(labeled[:, None], xy, 0.0)
    _check_place(xy, f"{where}: a labeled joint is at")
    if box_xyxy is None:
        box_xyxy = box_of_joints(xy, labeled) if labeled.any() else np.zeros(4)
    _check_place(box_xyxy.reshape(2, 2), f"{where}: a corner of the box is at")
    if (box_xyxy[2:] < box_xyxy[:2]).any():
        raise DataError(f"{where}: the box {box_xyxy.tolist()} has a negative side; correct the labels")
    area = float(np.prod(box_xyxy[2:] - box_xyxy[:2])) if area is None else area
    if not 0 <= area <= FARTHEST_PX**2:
        raise DataError(f"{where}: area is {area:g}; expected a number of square pixels")
    if not (np.isnan(head_px) or 0 < head_px <= FARTHEST_PX):
        raise DataError(f"{where}: the head size is {head_px:g} pixels; expected a number above 0")
    return Sample(
        image_id=image_id,
        name=name,
        read=read,
        xy_image=xy.astype(np.float32),
        labeled=labeled,
        occluded=np.zeros(len(labeled), bool) if occluded is None else occluded & labeled,
        box_xyxy=box_xyxy.astype(np.float32),
        area=area,
        ignore=crowd or not labeled.any(),
        crowd=crowd,
        head_px=head_px,
        file=file,
        size=size,
    )


def _check_place(xy: Array, what: str) -> None:
    bad = ~(np.abs(xy) <= FARTHEST_PX).all(axis=1)
    if bad.any():
        x, y = xy[int(bad.argmax())]
        raise DataError(f"{what} ({x:g}, {y:g}), which no image contains; correct the labels")


def outside(xy_image: Array, size: Size) -> Array:
    """Return how far points are outside an image.

    Args:
        xy_image: [..., 2] float, image pixels.
        size: The (height, width) of the image, pixels.

    Returns:
        [..., 2] float, the distance along x and y, pixels; 0 inside.
    """
    last = np.array([size[1], size[0]]) - 0.5
    return np.asarray(np.maximum(np.maximum(-0.5 - xy_image, xy_image - last), 0))


def refuse_outside(sample: Sample, size: Size) -> None:
    """Check that labels can belong to their image.

    Args:
        sample: The person.
        size: The (height, width) of the image, pixels.

    Raises:
        DataError: A labeled joint is outside by more than the image's width or height, or the box is all outside.
    """
    height, width = size
    where = f"{sample.name} (image {sample.image_id}, {width}x{height})"
    away = outside(sample.xy_image[sample.labeled], size)
    if (away > np.array([width, height])).any():
        x, y = sample.xy_image[sample.labeled][int(away.max(axis=1).argmax())]
        raise DataError(f"{where}: a joint is labeled at ({x:.0f}, {y:.0f}), far outside; correct the labels")
    x0, y0, x1, y1 = (float(edge) for edge in sample.box_xyxy)
    if x1 < -0.5 or y1 < -0.5 or x0 > width - 0.5 or y0 > height - 0.5:
        box = f"({x0:.0f}, {y0:.0f}) to ({x1:.0f}, {y1:.0f})"
        raise DataError(f"{where}: the person's box {box} is outside the image; correct the labels")
