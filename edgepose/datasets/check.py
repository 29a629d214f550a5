"""Check a data set: `examine` reads all of it and reports its contents, missing images and suspicious labels.

`check_labels` runs the same check before training or evaluation, so that bad data stops the run at its start.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepose._checks import Array
from edgepose._progress import Track, quiet
from edgepose.datasets.doubts import doubts, turned_images
from edgepose.datasets.duplicates import Fingerprint, fingerprint
from edgepose.datasets.oddities import oddities
from edgepose.datasets.samples import Picture, PoseData, Sample, SampleList, outside, pictures, refuse_outside
from edgepose.datasets.sides import swapped_sides
from edgepose.errors import DataError
from edgepose.pose.geometry import Size
from edgepose.pose.skeletons import Skeleton

SHOWN = 5  # how many bad people one message names


@dataclass(frozen=True, kw_only=True)
class Odd:
    """A person whose labels look wrong but can be used.

    Attributes:
        index: The person's index in the data set.
        where: The name of the image.
        reason: What looks wrong, in words.
    """

    index: int
    where: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The contents of a data set and everything that looks wrong in it.

    Attributes:
        name: The name of the data set.
        skeleton: The skeleton of K joints.
        images: The number of images.
        empty: The number of images without people.
        people: The number of people.
        ignored: The number of people that metrics ignore.
        crowds: The number of crowd regions.
        heads: The number of people with a head box.
        labeled: How often each joint is labeled, [K] int.
        hidden: How often each joint is labeled as occluded, [K] int.
        height_px: Median height of the bounding boxes, image pixels; NaN without people.
        outside: The number of labeled joints outside their image. They are kept as published.
        sizes: (height, width) of the smallest and the largest image; None if no image was read.
        missing: Images that cannot be read, one message each.
        broken: People whose labels cannot belong to their image, one message each.
        odd: People whose labels look wrong.
        swapped: Signs of exchanged left and right sides, one sentence each.
        warnings: What looks wrong with the label file or the data set as a whole, one sentence each.
        errors: Why no number that is measured on the data can be right, one sentence each.
        turned: The number of images that an EXIF tag turns or mirrors.
        prints: The fingerprint of each image that was read.
        counted: Indices of the people that metrics do not ignore.
    """

    name: str
    skeleton: Skeleton
    images: int
    empty: int
    people: int
    ignored: int
    crowds: int
    heads: int
    labeled: Array
    hidden: Array
    height_px: float
    outside: int
    sizes: tuple[Size, Size] | None
    missing: tuple[str, ...]
    broken: tuple[str, ...]
    odd: tuple[Odd, ...]
    swapped: tuple[str, ...]
    warnings: tuple[str, ...]
    errors: tuple[str, ...]
    turned: int
    prints: tuple[Fingerprint, ...]
    counted: tuple[int, ...]

    @property
    def joints(self) -> int:
        """The number of labeled joints."""
        return int(self.labeled.sum())

    @property
    def occluded(self) -> int:
        """The number of joints labeled as occluded."""
        return int(self.hidden.sum())

    def to_json(self) -> dict[str, Any]:
        """Return the findings as values for JSON, without fingerprints and indices."""
        names = self.skeleton.joints
        return {
            "data": self.name,
            "skeleton": self.skeleton.name,
            "images": self.images,
            "empty_images": self.empty,
            "people": self.people,
            "ignored": self.ignored,
            "crowds": self.crowds,
            "head_boxes": self.heads,
            "joints": self.joints,
            "occluded": self.occluded,
            "outside": self.outside,
            "labeled": dict(zip(names, self.labeled.tolist(), strict=True)),
            "hidden": dict(zip(names, self.hidden.tolist(), strict=True)),
            "height_px": None if np.isnan(self.height_px) else self.height_px,
            "sizes": None if self.sizes is None else [list(size) for size in self.sizes],
            "missing": list(self.missing),
            "broken": list(self.broken),
            "odd": [{"person": odd.index, "image": odd.where, "reason": odd.reason} for odd in self.odd],
            "swapped": list(self.swapped),
            "warnings": list(self.warnings),
            "errors": list(self.errors),
            "turned": self.turned,
        }


def check_labels(data: PoseData, track: Track = quiet) -> Findings:
    """Run `examine` and raise an error if any image or label cannot be used.

    Args:
        data: The data set.
        track: Shows progress.

    Returns:
        The findings.

    Raises:
        DataError: An image cannot be read, or labels cannot belong to their image (`refuse_outside`). The message gives
            the number of such problems and the first few.
    """
    found = examine(data, track)
    bad = [*found.errors, *found.missing, *found.broken]
    if bad:
        raise DataError(f"{data.name}: {len(bad)} images or people are bad: {'; '.join(bad[:SHOWN])}")
    return found


def examine(data: PoseData, track: Track = quiet, *, read: bool = True) -> Findings:
    """Examine a whole data set.

    Args:
        data: The data set.
        track: Shows progress.
        read: Whether to read every image, once each. Without the images, image sizes, fingerprints and joints outside
            the image are unknown.

    Returns:
        The findings.
    """
    samples, unread = _samples(data)
    every = pictures(data, samples.values())
    looks = _look_at(data, every, samples, track) if read else _Looks()
    xy, labeled, hidden = _arrays(list(samples.values()), len(data.skeleton))
    counted = {i: sample for i, sample in samples.items() if not sample.ignore}
    counts = np.array([not sample.ignore for sample in samples.values()], bool)
    heights = [float(sample.box_xyxy[3] - sample.box_xyxy[1]) for sample in counted.values()]
    doubted = doubts(data, list(samples.values()), _sizes(samples, looks), every)
    odd = [Odd(index=i, where=its.name, reason=reason) for i, its in counted.items() for reason in oddities(its)]
    return Findings(
        name=data.name,
        skeleton=data.skeleton,
        images=len(data.image_ids),
        empty=len(data.empty) if isinstance(data, SampleList) else 0,
        people=len(data),
        ignored=len(samples) - len(counted),
        crowds=sum(sample.crowd for sample in samples.values()),
        heads=sum(bool(np.isfinite(sample.head_px)) for sample in samples.values()),
        labeled=labeled.sum(axis=0),
        hidden=hidden.sum(axis=0),
        height_px=float(np.median(heights)) if heights else float("nan"),
        outside=looks.outside,
        sizes=looks.sizes,
        missing=(*unread, *looks.missing),
        broken=tuple(looks.broken),
        odd=tuple(sorted([*odd, *looks.odd], key=lambda item: item.index)),
        swapped=tuple(swapped_sides(xy[counts], labeled[counts], data.skeleton)),
        warnings=(
            *(data.remarks if isinstance(data, SampleList) else ()),
            *(doubt.text for doubt in doubted if not doubt.fatal),
        ),
        errors=tuple(doubt.text for doubt in doubted if doubt.fatal),
        turned=len(turned_images(every)),
        prints=tuple(looks.prints),
        counted=tuple(counted),
    )


def _samples(data: PoseData) -> tuple[dict[int, Sample], list[str]]:
    """Return readable people by index, and a message per person whose labels needed an image that cannot be read."""
    samples, unread = {}, []
    for i in range(len(data)):
        try:
            samples[i] = data[i]
        except DataError as error:
            unread.append(str(error))
    return samples, unread


def _arrays(samples: list[Sample], joints: int) -> tuple[Array, Array, Array]:
    """Return xy [N, K, 2], labeled [N, K] and occluded [N, K]."""
    n = len(samples)
    return (
        np.array([sample.xy_image for sample in samples], np.float64).reshape(n, joints, 2),
        np.array([sample.labeled for sample in samples], bool).reshape(n, joints),
        np.array([sample.occluded for sample in samples], bool).reshape(n, joints),
    )


def _sizes(samples: dict[int, Sample], looks: _Looks) -> dict[tuple[int, str], Size]:
    """Return the sizes of the images, as they were read or as the labels say."""
    said = {(sample.image_id, sample.name): sample.size for sample in samples.values() if sample.size is not None}
    return said | looks.each


def _look_at(data: PoseData, every: list[Picture], samples: dict[int, Sample], track: Track) -> _Looks:
    """Read every image once and check the people in it."""
    people: defaultdict[tuple[int, str], list[tuple[int, Sample]]] = defaultdict(list)
    for i, sample in samples.items():
        people[sample.image_id, sample.name].append((i, sample))
    looks = _Looks()
    for picture in track(every, f"check {data.name}", len(every)):
        looks.add(picture, people[picture.image_id, picture.name])
    return looks


class _Looks:
    """Results of reading the images."""

    def __init__(self) -> None:
        self.outside = 0
        self.sizes: tuple[Size, Size] | None = None
        self.each: dict[tuple[int, str], Size] = {}
        self.missing: list[str] = []
        self.broken: list[str] = []
        self.odd: list[Odd] = []
        self.prints: list[Fingerprint] = []

    def add(self, picture: Picture, people: list[tuple[int, Sample]]) -> None:
        try:
            image = picture.read()
        except DataError as error:
            self.missing.append(str(error))
            return
        size = (int(image.shape[0]), int(image.shape[1]))
        self.each[picture.image_id, picture.name] = size
        small, large = self.sizes or (size, size)
        self.sizes = min(small, size, key=np.prod), max(large, size, key=np.prod)
        self.prints.append(fingerprint(picture.name, image))
        for i, sample in people:
            try:
                refuse_outside(sample, size)
            except DataError as error:
                self.broken.append(str(error))
                continue
            self._edges(i, sample, size)

    def _edges(self, i: int, sample: Sample, size: Size) -> None:
        away = outside(sample.xy_image[sample.labeled], size).max(axis=1, initial=0)
        beyond = int((away > 0).sum())
        self.outside += beyond
        if beyond:
            reason = f"{beyond} joints outside the image, by up to {away.max():.1f} px"
            self.odd.append(Odd(index=i, where=sample.name, reason=reason))
