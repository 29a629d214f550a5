"""Images as if the camera had stood elsewhere: what a network finds in them tells how sure it is of what it found.

A network that finds people by itself sees whole images, which have no boxes to move. Its images get a border instead:
the people in them become smaller when the image is fitted into the input of the network, and stand elsewhere. No person
is cut off. A pixel of the image is a pixel of the image with a border, moved by whole pixels, so what is found there is
moved back exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgepose._checks import Array
from edgepose.datasets.samples import Picture, PoseData, SampleList, pictures
from edgepose.measure.predictions import Detected
from edgepose.pose.geometry import Size

BORDER = 0.3  # of each side of the image, at most: people become smaller by up to a factor of 1.3


@dataclass(frozen=True, kw_only=True)
class Border:
    """A border around one image.

    Attributes:
        grown: How much larger each side of the image becomes, relative to itself.
        place: [2] float64, the share of the border that is at the left and at the top.
    """

    grown: float
    place: Array

    def before(self, size: Size) -> tuple[int, int]:
        """Return the pixels of the border at the left and at the top of an image of (height, width)."""
        height, width = size
        x, y = self.place * self.grown * np.array([width, height])
        return int(x), int(y)

    def around(self, image: Array, level: int) -> Array:
        """Return an image [H, W, 3] uint8 with its border of one level, 0..255."""
        height, width = image.shape[:2]
        left, top = self.before((height, width))
        sides = (round(height * (1 + self.grown)), round(width * (1 + self.grown)))
        whole = np.full((max(sides[0], top + height), max(sides[1], left + width), 3), level, np.uint8)
        whole[top : top + height, left : left + width] = image
        return whole


def borders(count: int, copy: int) -> list[Border]:
    """Return the borders of images for one copy, the same in every run.

    Args:
        count: The number of images.
        copy: The number of the copy, from 0.
    """
    random = np.random.default_rng([11, copy])
    grown, place = random.uniform(0, BORDER, count), random.uniform(0, 1, (count, 2))
    return [Border(grown=float(one), place=where) for one, where in zip(grown, place, strict=True)]


@dataclass(frozen=True)
class _Bordered:
    """Reads an image with its border, and remembers its size."""

    picture: Picture
    border: Border
    level: int
    sizes: dict[int, Size]
    number: int

    def __call__(self) -> Array:
        image = self.picture.read()
        self.sizes[self.number] = (image.shape[0], image.shape[1])
        return self.border.around(image, self.level)


@dataclass(frozen=True, kw_only=True)
class MovedImages:
    """The images of a data set with borders, without labels.

    Attributes:
        data: The images, in the order of `pictures` of the original data.
        every: The borders.
        sizes: Number of the image -> its size without a border; filled when it is read.
    """

    data: SampleList
    every: Sequence[Border]
    sizes: dict[int, Size]

    def moved_back(self, found: Detected) -> Detected:
        """Return people whom a network found in these images, in pixels of the original images."""
        shift = np.zeros((len(found.image), 2))
        for row, image in enumerate(found.image.tolist()):
            shift[row] = self.every[image].before(self.sizes[image])
        return replace(found, xy_image=found.xy_image - shift[:, None])


def with_borders(data: PoseData, copy: int, level: int) -> MovedImages:
    """Return the images of a data set with borders.

    Args:
        data: The data set.
        copy: The number of the copy, from 0.
        level: The level of the border, 0..255, as the network knows it from its letterbox.
    """
    every = pictures(data)
    chosen, sizes = borders(len(every), copy), dict[int, Size]()
    made = tuple(
        replace(picture, read=_Bordered(picture, border, level, sizes, number), file=None, size=None)
        for number, (picture, border) in enumerate(zip(every, chosen, strict=True))
    )
    bare = SampleList(name=data.name, skeleton=data.skeleton, samples=(), image_ids=tuple(data.image_ids), empty=made)
    return MovedImages(data=bare, every=chosen, sizes=sizes)
