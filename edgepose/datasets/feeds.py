"""Batches of crops for calibration, made from the people of a data set.

The crops are those of evaluation and deployment (`edgepose.kernels.cropping`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from edgepose._checks import Array
from edgepose._files import sha256_json
from edgepose.artifacts.spec import ModelSpec
from edgepose.datasets.samples import PoseData, Sample, counted, pictures, refuse_outside
from edgepose.errors import DataError
from edgepose.kernels.cropping import cut, frame_box


class CropBatch(NamedTuple):
    """A batch of people.

    Attributes:
        crops: The input of the network, [B, 3, h, w] float32.
        inverse: The matrices crop -> image, [B, 2, 3] float64.
        samples: The people, B of them.
    """

    crops: Array
    inverse: Array
    samples: tuple[Sample, ...]


def crop_feed(data: PoseData, spec: ModelSpec, batch: int = 32) -> Iterator[CropBatch]:
    """Yield the crops of all people of a data set, in order.

    Args:
        data: The data set.
        spec: The contract of the network.
        batch: People in a batch. The last batch may be shorter.

    Raises:
        DataError: An image cannot be read, or a label cannot belong to its image.
    """
    yield from _batches(data, range(len(data)), spec, batch)


def _batches(data: PoseData, order: range | list[int], spec: ModelSpec, batch: int) -> Iterator[CropBatch]:
    if batch < 1:
        raise ValueError(f"batch: expected at least 1, got {batch}")
    for start in range(0, len(order), batch):
        samples = tuple(data[i] for i in order[start : start + batch])
        cuts = [_cut_person(sample, spec) for sample in samples]
        crops, inverse = zip(*cuts, strict=True)
        yield CropBatch(np.concatenate(crops), np.concatenate(inverse), samples)


def _cut_person(sample: Sample, spec: ModelSpec) -> tuple[Array, Array]:
    image = sample.read()
    size = (image.shape[0], image.shape[1])
    refuse_outside(sample, size)
    whole = spec.codec.finds_people  # it sees whole images, as it will when it runs
    return cut(image, frame_box(size) if whole else sample.box_xyxy[None], spec)


class CalibrationFeed:
    """The crops for calibration: at most `limit` people, spread evenly over the data set.

    A network that finds people by itself gets whole images, each once.

    Iteration yields (crops [B, 3, h, w] float32, names) and may be repeated. The choice of people depends only on the
    data set and the limit. The constructor reads every chosen image once, to compute the hash.

    Attributes:
        count: The number of people chosen.
        image_list_sha256: The hash of their file names, boxes (to a hundredth of a pixel) and pixels.
        images: The hash of the pixels of each image -> its name.

    Raises:
        DataError: An image cannot be read, or the data set has no people.
    """

    def __init__(self, data: PoseData, spec: ModelSpec, *, batch: int = 16, limit: int = 512) -> None:
        if limit < 1:
            raise ValueError(f"limit: expected at least 1, got {limit}")
        people = _one_an_image(data, counted(data)) if spec.codec.finds_people else counted(data)
        if not people:
            raise DataError(f"{data.name} has no people to calibrate on; choose another data set or split")
        self.data, self.spec, self.batch = data, spec, batch
        self.count = min(limit, len(people))
        self.picked = [people[i * len(people) // self.count] for i in range(self.count)]
        identities = [_identity(data[i]) for i in self.picked]
        self.image_list_sha256 = sha256_json(identities)
        self.images = {str(pixels): str(name) for name, _, _, pixels in identities}

    def __len__(self) -> int:
        """Return the number of batches."""
        return -(-self.count // self.batch)

    def __iter__(self) -> Iterator[tuple[Array, list[str]]]:
        for crops, _, samples in _batches(self.data, self.picked, self.spec, self.batch):
            yield crops, [sample.name for sample in samples]


def _one_an_image(data: PoseData, people: list[int]) -> list[int]:
    """Return the first person of each image."""
    first: dict[tuple[str, int], int] = {}
    for i in people:
        sample = data[i]
        first.setdefault((sample.name, sample.image_id), i)
    return list(first.values())


def images_sha256(data: PoseData) -> dict[str, str]:
    """Return the hash of the pixels of every image of a data set -> its name.

    Raises:
        DataError: An image cannot be read.
    """
    return {_pixels(picture.read()): picture.name for picture in pictures(data)}


def _pixels(image: Array) -> str:
    return hashlib.sha256(np.ascontiguousarray(image).data).hexdigest()


def _identity(sample: Sample) -> list[object]:
    image = sample.read()
    return [sample.name, [round(float(edge), 2) for edge in sample.box_xyxy], list(image.shape), _pixels(image)]
