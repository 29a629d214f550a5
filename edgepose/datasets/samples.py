"""What every data set yields: one `Sample` per labeled person.

A data set is anything with `name`, `skeleton`, `image_ids`, `len()` and `[index] -> Sample`. Images are read
when asked for, so a data set of a million people costs its labels alone. `pictures` lists its images, those
with nobody in them too, for a detector that may find somebody there.

An image file that cannot be read raises DataError (`edgepose.media.images`); so do labels that are no numbers of pixels
(`checked_sample`, which every reader of label files builds its people with) or cannot belong to their image
(`refuse_outside`). Joints a little outside are kept, as in the published sets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edgepose._checks import Array
from edgepose.errors import DataError
from edgepose.pose.geometry import FARTHEST_PX, Size, box_of_joints
from edgepose.pose.skeletons import Skeleton


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One person in one image; coordinates in image space (pixel centers at integers).

    image_id: what the labels call the image (COCO's integer id, LSP's number).
    name: the file name. read: gives the image, [H, W, 3] uint8 BGR; DataError when it cannot.
    xy_image: [K, 2] float32; where labeled is False the numbers mean nothing.
    labeled: [K] bool. occluded: [K] bool, labeled but not visible.
    box_xyxy: [4] float32. area: the OKS scale s^2 (COCO's segment area, else the box's area).
    ignore: COCO's iscrowd or no joints: never a miss, never a hit.
    crowd: COCO's iscrowd, a region of many people: in OKS it excuses any number of predictions.
    head_px: MPII's head size, 0.6 of the head box's diagonal; NaN where the labels have no head box.
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


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One image of a data set; fields as in `Sample`."""

    image_id: int
    name: str
    read: Callable[[], Array]


class PoseData(Protocol):
    """A data set of labeled people."""

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
    empty: tuple[Picture, ...] = ()  # images with nobody in them

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


def pictures(data: PoseData, samples: Iterable[Sample] | None = None) -> list[Picture]:
    """Every image once: those with people in the order of the samples, then the empty ones.

    samples: the people of the data, where the caller has them already, or not all of them can be had.
    """
    found: dict[tuple[int, str], Picture] = {}
    for sample in (data[i] for i in range(len(data))) if samples is None else samples:
        picture = Picture(image_id=sample.image_id, name=sample.name, read=sample.read)
        found.setdefault((sample.image_id, sample.name), picture)
    return [*found.values(), *(data.empty if isinstance(data, SampleList) else ())]


def checked_sample(
    where: str,  # what errors call the person, file first
    *,
    image_id: int,
    name: str,
    read: Callable[[], Array],
    xy: Array,  # [K, 2] float, anything where not labeled
    labeled: Array,  # [K] bool
    occluded: Array | None = None,  # [K] bool; nothing is where None
    box_xyxy: Array | None = None,  # [4]; the tight box of the labeled joints where None
    area: float | None = None,  # the box's where None
    crowd: bool = False,
    head_px: float = float("nan"),
) -> Sample:
    """A `Sample` whose numbers are checked; crowds and people without a labeled joint are ignored.

    DataError where a labeled joint, the box or the area is not finite, or beyond any image.
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
        raise DataError(f"{where}: area is {area:g}; expected square pixels")
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
    )


def _check_place(xy: Array, what: str) -> None:
    bad = ~(np.abs(xy) <= FARTHEST_PX).all(axis=1)
    if bad.any():
        x, y = xy[int(bad.argmax())]
        raise DataError(f"{what} ({x:g}, {y:g}), at no place in an image; correct the labels")


def outside(xy_image: Array, size: Size) -> Array:
    """[..., 2] float: by how many pixels points are outside an image of (height, width), 0 inside."""
    last = np.array([size[1], size[0]]) - 0.5
    return np.asarray(np.maximum(np.maximum(-0.5 - xy_image, xy_image - last), 0))


def refuse_outside(sample: Sample, size: Size) -> None:
    """Raise DataError where labels cannot belong to their image of (height, width).

    That is a labeled joint more than one image size outside, or a box with nothing of the image in it.
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
