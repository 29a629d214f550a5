"""Samples -> training batches: the only file of this package that imports torch.

An item is a function of (seed, epoch, index): order, crops and colors come from generators made of these
three numbers, so a resumed run sees what an uninterrupted one would have seen, whatever the worker count.
"""

from __future__ import annotations

import signal
from collections.abc import Generator, Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec
from edgepose.datasets.augment import AugmentOptions, draw_crop, jitter_color
from edgepose.datasets.samples import PoseData, Sample, counted, refuse_outside
from edgepose.datasets.targets import Target, joints_in
from edgepose.errors import DataError, UsageError
from edgepose.kernels.cropping import crops_at
from edgepose.pose.geometry import Size, apply_affine, crop_affine

Feed = Generator[list[torch.Tensor], None, None]  # close it (contextlib.closing) when leaving early
Item = tuple[Array, ...]  # crop [3, H, W] float32, then what the target gives


class CropItems(Dataset[Item]):
    """Everybody of several data sets, end to end, cut for one epoch: (crop,). `options` None: no augmentation.

    DataError for a data set that has none of the network's joints; and, from an item, for its image.
    """

    def __init__(
        self,
        data: Sequence[PoseData],
        spec: ModelSpec,
        size: Size,
        seed: int,
        epoch: int,
        options: AugmentOptions | None,
    ) -> None:
        for part in data:
            if not spec.skeleton.shared(part.skeleton):
                names = f"{part.skeleton.name} has none of {spec.skeleton.name}'s"
                raise DataError(f"{part.name} cannot train this network: its skeleton {names} joints")
        self.people = [(part, i) for part in data for i in counted(part)]
        self.spec, self.size = spec, size
        self._sized = replace(spec, input=replace(spec.input, size=size))
        self.seed, self.epoch, self.options = seed, epoch, options

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, index: int) -> Item:
        part, i = self.people[index]
        sample = part[i]
        image = sample.read()
        refuse_outside(sample, image.shape[:2])
        rng = np.random.default_rng([self.seed, self.epoch, index])
        matrix, mirror = self._crop(part, sample, rng)
        if self.options is not None:
            image = jitter_color(image, self.options.color, rng)
        crop = crops_at(image, matrix[None], self._sized)[0]
        return crop, *self._targets(index, matrix, mirror)

    def _targets(self, index: int, matrix: Array, mirror: bool) -> tuple[Array, ...]:
        """What stands beside the crop that `matrix` (image -> crop) cuts of item `index`."""
        return ()

    def _joints(self, part: PoseData, sample: Sample, matrix: Array, mirror: bool) -> tuple[Array, Array]:
        """(xy_crop [K, 2], labeled [K]) of a person in the network's order, left and right exchanged by a mirror."""
        xy, labeled = joints_in(sample, self.spec.skeleton, part.skeleton)
        if mirror:
            order = list(self.spec.skeleton.flip_order())
            xy, labeled = xy[order], labeled[order]
        return apply_affine(matrix, xy), labeled

    def _crop(self, part: PoseData, sample: Sample, rng: np.random.Generator) -> tuple[Array, bool]:
        padding = self.spec.crop.padding
        if self.options is None:
            return crop_affine(sample.box_xyxy, self.size, padding=padding), False
        xy, labeled = joints_in(sample, self.spec.skeleton, part.skeleton)
        return draw_crop(sample.box_xyxy, xy, labeled, self.spec.skeleton, self.size, padding, self.options, rng)


class TrainingItems(CropItems):
    """As `CropItems`, with one person's targets: (crop, *target), see `datasets.targets`."""

    def __init__(
        self,
        data: Sequence[PoseData],
        spec: ModelSpec,
        size: Size,
        target: Target,
        seed: int,
        epoch: int,
        options: AugmentOptions | None,
    ) -> None:
        super().__init__(data, spec, size, seed, epoch, options)
        self.target = target

    def _targets(self, index: int, matrix: Array, mirror: bool) -> tuple[Array, ...]:
        part, i = self.people[index]
        return self.target(*self._joints(part, part[i], matrix, mirror), self.size)


def batches(
    items: CropItems, batch: int, *, workers: int, rank: int = 0, world: int = 1, skip: int = 0
) -> tuple[Feed, int]:
    """The epoch's shuffled batches for one of `world` processes, less the first `skip`; and how many in all.

    Each is [crops, *targets] of batch / world people. A last batch that would be short is left out:
    batch norm wants full ones. UsageError for a batch that cannot be divided among the processes.
    """
    order = np.random.default_rng([items.seed, items.epoch]).permutation(len(items))
    count = len(order) // batch
    share = divided(batch, world)
    begins = range(skip * batch + rank * share, count * batch, batch)
    return _load(items, [order[begin : begin + share].tolist() for begin in begins], workers), count


def divided(batch: int, world: int) -> int:
    """The people of a batch that each of `world` processes takes."""
    if batch % world:
        raise UsageError(f"a batch of {batch} cannot be divided among {world} processes; change either number")
    return batch // world


def in_order(items: CropItems, batch: int, *, workers: int) -> Feed:
    """All items in order, the last batch as short as it comes."""
    begins = range(0, len(items), batch)
    return _load(items, [list(range(len(items)))[begin : begin + batch] for begin in begins], workers)


def _load(items: CropItems, picks: list[list[int]], workers: int) -> Feed:
    """The items of each pick as a batch.

    A loader draws from a generator when it starts. It gets one of its own: torch's is the network's
    (dropout), and a run that starts more loaders because it was resumed must not see other numbers.
    """
    loader = DataLoader(
        items,
        batch_sampler=picks,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_start_worker,
        generator=torch.Generator().manual_seed(0),
    )
    return _yielded(loader)


def _yielded(loader: DataLoader[Item]) -> Feed:
    """What a loader yields, its processes ended as soon as it is exhausted, closed, or fails.

    Left to the garbage collector, ending them runs Python inside a collection, which crashes CPython 3.11. A
    worker's DataError arrives with its traceback for a message; the user needs its last line.
    """
    feed = iter(loader)
    try:
        yield from feed
    except DataError as error:
        raise DataError(str(error).strip().rpartition("DataError: ")[2]) from error
    finally:
        if loader.num_workers:
            feed._shutdown_workers()  # type: ignore[attr-defined]


def _start_worker(worker: int) -> None:
    """Loader processes share the cores with training, and leave Ctrl-C to the main process."""
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
