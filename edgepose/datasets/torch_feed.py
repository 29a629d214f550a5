"""Training batches from samples. This is the only module of the package that imports torch directly.

An item depends only on (seed, epoch, index): the order of people, the crops and the colors come from generators seeded
with these numbers. A resumed training run therefore sees the same data as an uninterrupted run, with any number of
workers.
"""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from edgepose._checks import Array
from edgepose._stop import SIGNALS
from edgepose.artifacts.spec import ModelSpec
from edgepose.datasets.augment import AugmentOptions, draw_crop, jitter_color
from edgepose.datasets.samples import PoseData, Sample, counted, refuse_outside
from edgepose.datasets.targets import Target, joints_in
from edgepose.errors import DataError, UsageError
from edgepose.kernels.cropping import crops_at
from edgepose.pose.geometry import Size, apply_affine, crop_affine

Feed = Generator[list[torch.Tensor], None, None]  # Close it (contextlib.closing) before leaving a loop early.
Item = tuple[Array, ...]  # crop [3, H, W] float32, followed by the arrays of the target


class Items(Dataset[Item], ABC):
    """The items of one epoch, each an image followed by the arrays of its target.

    Attributes:
        seed: The seed of the training run.
        epoch: The number of the epoch.
    """

    seed: int
    epoch: int

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of items of the epoch."""


class CropItems(Items):
    """The people of several data sets, concatenated and cropped for one epoch; an item is (crop,).

    Args:
        data: The data sets.
        spec: The contract of the network.
        size: The (height, width) of the crops, pixels.
        seed: The seed of the training run.
        epoch: The number of the epoch.
        options: Strength of each augmentation; None for no augmentation.

    Raises:
        DataError: A data set has none of the joints of the network, or (from an item) its image cannot be used.
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
        """Return the arrays that follow the crop in item `index`; `matrix` maps the image to the crop."""
        return ()

    def _joints(self, part: PoseData, sample: Sample, matrix: Array, mirror: bool) -> tuple[Array, Array]:
        """Return xy_crop [K, 2] and labeled [K] in the order of the network; a mirror exchanges left and right."""
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
    """As `CropItems`, with the targets of one person: (crop, *target), see `datasets.targets`.

    The last array of a target is the weight of each joint, which is multiplied by the confidence of its label.
    """

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
        sample = part[i]
        *target, weight = self.target(*self._joints(part, sample, matrix, mirror), self.size)
        return *target, weight * self._confidence(part, sample, mirror)

    def _confidence(self, part: PoseData, sample: Sample, mirror: bool) -> Array:
        """Return the weights [K] float32 of the person's joints in the order of the network."""
        skeleton = self.spec.skeleton
        weight = np.ones(len(skeleton), np.float32)
        if sample.confidence is not None:
            for joint in skeleton.shared(part.skeleton):
                weight[skeleton.index(joint)] = sample.confidence[part.skeleton.index(joint)]
        return weight[list(skeleton.flip_order())] if mirror else weight


def batches(
    items: Items, batch: int, *, workers: int, rank: int = 0, world: int = 1, skip: int = 0
) -> tuple[Feed, int]:
    """Return the shuffled batches of an epoch for one of several processes.

    A last batch that is too short is left out, because batch normalization needs full batches.

    Args:
        items: The items of the epoch.
        batch: The number of people in a batch, over all processes.
        workers: The number of loader processes.
        rank: The number of this process.
        world: The number of processes.
        skip: How many batches to leave out at the start, for a resumed run.

    Returns:
        The batches [crops, *targets] of batch / world people, and the number of batches in the whole epoch.

    Raises:
        UsageError: The batch cannot be divided among the processes.
    """
    order = np.random.default_rng([items.seed, items.epoch]).permutation(len(items))
    count = len(order) // batch
    share = divided(batch, world)
    begins = range(skip * batch + rank * share, count * batch, batch)
    return _load(items, [order[begin : begin + share].tolist() for begin in begins], workers), count


def divided(batch: int, world: int) -> int:
    """Return the share of a batch that each process takes.

    Args:
        batch: The number of people in a batch.
        world: The number of processes.

    Raises:
        UsageError: The batch cannot be divided evenly.
    """
    if batch % world:
        raise UsageError(f"a batch of {batch} cannot be divided among {world} processes; change either number")
    return batch // world


def in_order(items: Items, batch: int, *, workers: int) -> Feed:
    """Return all items in order, in batches; the last batch may be shorter.

    Args:
        items: The items.
        batch: The number of people in a batch.
        workers: The number of loader processes.
    """
    begins = range(0, len(items), batch)
    return _load(items, [list(range(len(items)))[begin : begin + batch] for begin in begins], workers)


def _load(items: Items, picks: list[list[int]], workers: int) -> Feed:
    """Yield the items of each pick as a batch.

    A loader draws a random number when it starts. It gets its own generator, because torch's global generator also
    drives the network's dropout, and a resumed run starts more loaders but must draw the same numbers for dropout.
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
    """Yield the batches of a loader, and end its processes as soon as it is exhausted, closed, or fails.

    If the garbage collector ends the processes, Python code runs inside a collection, which crashes CPython 3.11. The
    message of a worker's DataError holds a traceback; the user needs only its last line.
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
    """Set up a loader process, which uses no OpenCV threads (training needs the cores) and ignores signals.

    A signal often goes to a whole group of processes. The training process handles it, and ends its loaders.
    """
    cv2.setNumThreads(0)
    for number in (signal.SIGINT, *SIGNALS):
        signal.signal(number, signal.SIG_IGN)
