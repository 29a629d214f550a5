"""Training items with several people: one image with everyone in it, for networks that find all people at once.

The crop is centered on one person, as in `CropItems`, but the targets cover all people of the image. An unlabeled joint
must not be taught as background (Cao et al., CVPR 2017, equation 5: W(p)). Therefore every map and field has a weight
per cell: 0 inside the box of a person who lacks the joint or limb, and 1 elsewhere and where a labeled joint or limb
is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec
from edgepose.codecs import paf
from edgepose.datasets.augment import AugmentOptions
from edgepose.datasets.samples import EveryoneCounts, PoseData, Sample, counted
from edgepose.datasets.targets import cells_of
from edgepose.datasets.torch_feed import CropItems
from edgepose.pose.geometry import Size, apply_affine, compose_affine, grid_affine, invert_affine

SEEN = 0.01  # A cell whose map value is above this contains a labeled joint.
WIDTH = 1.0  # cells that a field covers on either side of its limb, as in the authors' code (`thre = 1`)


@dataclass(frozen=True, kw_only=True)
class SceneTarget:
    """Makes joint maps and part affinity fields.

    Attributes:
        stride: The width of a cell, crop pixels.
        sigma: The standard deviation of the joint maps, cells.
        limbs: Pairs of joint indices, one for each field.
    """

    stride: int
    sigma: float
    limbs: tuple[tuple[int, int], ...]

    def __call__(
        self,
        xy_crop: Array,  # [P, K, 2]
        labeled: Array,  # [P, K] bool
        inside: Array,  # [P, h, w] bool
        size: Size,
    ) -> tuple[Array, Array, Array, Array]:
        """Return the targets of a crop.

        Args:
            xy_crop: The joints, [P, K, 2] float, crop pixels.
            labeled: Which joints are labeled, [P, K] bool.
            inside: Which cells are in each person's box, [P, h, w] bool.
            size: The (height, width) of the crop, pixels.

        Returns:
            Maps [K + 1, h, w] (the last one is the background), fields [2 L, h, w], weights of the maps [K + 1, h, w]
            and weights of the fields [2 L, h, w], all float32.
        """
        cells = cells_of(size, self.stride)
        xy_cells = apply_affine(grid_affine(size, cells), xy_crop)
        limbs = np.array(self.limbs)
        maps, fields = paf.encode(xy_cells, labeled, limbs, cells, sigma=self.sigma, width=WIDTH)
        linked = labeled[:, limbs[:, 0]] & labeled[:, limbs[:, 1]]
        of_maps = _weight(~labeled, inside, np.greater(maps, SEEN))
        of_fields = _weight(~linked, inside, np.asarray(fields.any(axis=1)))
        background = 1 - maps.max(axis=0, keepdims=True)
        return (
            np.concatenate([maps, background]),
            fields.reshape(-1, *cells),
            np.concatenate([of_maps, of_maps.min(axis=0, keepdims=True)]),
            of_fields.repeat(2, axis=0),
        )


def _weight(lacking: Array, inside: Array, seen: Array) -> Array:
    """Return [C, h, w] float32 from lacking [P, C], inside [P, h, w] and seen [C, h, w], all bool."""
    unknown = (lacking[:, :, None, None] & inside[:, None]).any(axis=0)
    return np.asarray(seen | ~unknown, np.float32)


class SceneItems(CropItems):
    """As `CropItems`, with the targets of all people: (crop, maps, fields, weights of maps, weights of fields)."""

    def __init__(
        self,
        data: Sequence[PoseData],
        spec: ModelSpec,
        size: Size,
        target: SceneTarget,
        seed: int,
        epoch: int,
        options: AugmentOptions | None,
    ) -> None:
        super().__init__(data, spec, size, seed, epoch, options)
        self.target = target
        self.together = [group for part in data for group in _together(part)]

    def _targets(self, index: int, matrix: Array, mirror: bool) -> tuple[Array, ...]:
        part, _ = self.people[index]
        people = [part[i] for i in self.together[index]]
        xy_crop, labeled = (
            np.stack(parts)
            for parts in zip(*(self._joints(part, person, matrix, mirror) for person in people), strict=True)
        )
        known = labeled & ~np.array([person.ignore for person in people])[:, None]
        return self.target(xy_crop, known, self._inside(people, matrix), self.size)

    def _inside(self, people: list[Sample], matrix: Array) -> Array:
        """Return which cells have their center in each person's box, [P, h, w] bool."""
        height, width = cells = cells_of(self.size, self.target.stride)
        to_image = compose_affine(invert_affine(matrix), grid_affine(cells, self.size))
        y, x = np.mgrid[:height, :width]
        xy_image = apply_affine(to_image, np.stack([x, y], axis=-1))
        boxes = np.stack([person.box_xyxy for person in people])[:, None, None]
        return np.asarray(((xy_image >= boxes[..., :2]) & (xy_image <= boxes[..., 2:])).all(axis=-1))


def _together(part: PoseData) -> list[tuple[int, ...]]:
    """Return, for each person who counts, the indices of all people in the same image, including ignored people."""
    if isinstance(part, EveryoneCounts):  # Each image has one person, and reading the samples is slow.
        return [(i,) for i in counted(part)]
    people: dict[int, list[int]] = defaultdict(list)
    for i in range(len(part)):
        people[part[i].image_id].append(i)
    return [tuple(people[part[i].image_id]) for i in counted(part)]
