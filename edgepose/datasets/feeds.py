"""Samples -> batches of crops: the one preprocessing of calibration, evaluation and deployment.

Training cuts its crops with the same `warp_normalize`, from matrices that augmentation draws.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from edgepose._checks import Array, check_array
from edgepose._files import sha256_json
from edgepose.artifacts.spec import ModelSpec
from edgepose.datasets.samples import PoseData, Sample, counted, refuse_outside
from edgepose.errors import DataError
from edgepose.kernels import options_of, warp_normalize
from edgepose.pose.geometry import crop_affine, invert_affine


class CropBatch(NamedTuple):
    """crops [B, 3, h, w] float32, the network's input; inverse [B, 2, 3] float64, crop -> image."""

    crops: Array
    inverse: Array
    samples: tuple[Sample, ...]


def crop_matrices(boxes_xyxy: Array, spec: ModelSpec) -> Array:
    """[N, 2, 3] float64, image -> crop, for boxes [N, 4] in image coordinates."""
    check_array("boxes_xyxy", boxes_xyxy, ("N", 4))
    matrices = [crop_affine(box, spec.input.size, padding=spec.crop.padding) for box in boxes_xyxy]
    return np.stack(matrices) if matrices else np.zeros((0, 2, 3))


def cut(image: Array, boxes_xyxy: Array, spec: ModelSpec, threads: int = 1) -> tuple[Array, Array]:
    """The people of an image [H, W, 3] uint8 BGR: (crops in the contract's layout and type, inverse [N, 2, 3])."""
    matrices = crop_matrices(boxes_xyxy, spec)
    return warp_normalize(image, matrices, spec.input, options_of(spec, threads)), invert_affine(matrices)


def crop_feed(data: PoseData, spec: ModelSpec, batch: int = 32) -> Iterator[CropBatch]:
    """All people of a data set in order, the last batch as short as it comes. DataError from the images."""
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
    refuse_outside(sample, image.shape[:2])
    return cut(image, sample.box_xyxy[None], spec)


class CalibrationFeed:
    """The crops that ranges are observed on: at most `limit` people, spread evenly over the data set.

    Iterating gives (crops [B, 3, h, w] float32, names), as often as asked. The pick depends on nothing but
    the data set and the limit. `count` people are picked; `image_list_sha256` is over their file names,
    boxes (to a hundredth of a pixel) and pixels, which means that making a feed reads every image once.
    Raises DataError for an image that cannot be read and a data set without people.
    """

    def __init__(self, data: PoseData, spec: ModelSpec, *, batch: int = 16, limit: int = 512) -> None:
        if limit < 1:
            raise ValueError(f"limit: expected at least 1, got {limit}")
        people = counted(data)
        if not people:
            raise DataError(f"{data.name} has nobody to calibrate on; choose another data set or split")
        self.data, self.spec, self.batch = data, spec, batch
        self.count = min(limit, len(people))
        self.picked = [people[i * len(people) // self.count] for i in range(self.count)]
        self.image_list_sha256 = sha256_json([_identity(data[i]) for i in self.picked])

    def __len__(self) -> int:
        """The number of batches."""
        return -(-self.count // self.batch)

    def __iter__(self) -> Iterator[tuple[Array, list[str]]]:
        for crops, _, samples in _batches(self.data, self.picked, self.spec, self.batch):
            yield crops, [sample.name for sample in samples]


def _identity(sample: Sample) -> list[object]:
    image = np.ascontiguousarray(sample.read())
    pixels = hashlib.sha256(image.data).hexdigest()
    return [sample.name, [round(float(edge), 2) for edge in sample.box_xyxy], list(image.shape), pixels]
