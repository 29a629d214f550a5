"""Training items of several people: one photograph, everybody in it, for networks that find all at once.

An item is centred on one person, as in `TrainingItems`, but its targets are of all people of that image. What is
not labelled must not be taught as background (Cao et al., CVPR 2017, equation 5: W(p)), so every map and field
has a weight for each cell: 0 inside the box of a person who lacks the joint, 1 elsewhere and wherever somebody's
labelled joint or limb is.
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
from edgepose.datasets.samples import EveryoneCounts, PoseData, Sample
from edgepose.datasets.targets import cells_of, joints_in
from edgepose.datasets.torch_feed import TrainingItems
from edgepose.pose.geometry import Size, apply_affine, compose_affine, grid_affine, invert_affine

SEEN = 0.01  # a map above this has somebody's joint
WIDTH = 1.0  # cells on either side of a limb that its field covers, as in the authors' code (`thre = 1`)


@dataclass(frozen=True, kw_only=True)
class SceneTarget:
    """sigma: of the maps, in cells of `stride` pixels. limbs: what the fields run along, pairs of joints."""

    stride: int
    sigma: float
    limbs: tuple[tuple[int, int], ...]

    def __call__(
        self,
        xy_crop: Array,  # [P, K, 2]
        labelled: Array,  # [P, K] bool
        inside: Array,  # [P, h, w] bool, the cells in each person's box
        size: Size,
    ) -> tuple[Array, Array, Array, Array]:
        """(maps [K + 1, h, w], fields [2 L, h, w], weight of maps [K + 1, h, w], of fields [2 L, h, w]), float32."""
        cells = cells_of(size, self.stride)
        xy_cells = apply_affine(grid_affine(size, cells), xy_crop)
        limbs = np.array(self.limbs)
        maps, fields = paf.encode(xy_cells, labelled, limbs, cells, sigma=self.sigma, width=WIDTH)
        linked = labelled[:, limbs[:, 0]] & labelled[:, limbs[:, 1]]
        of_maps = _weight(~labelled, inside, np.greater(maps, SEEN))
        of_fields = _weight(~linked, inside, np.asarray(fields.any(axis=1)))
        background = 1 - maps.max(axis=0, keepdims=True)
        return (
            np.concatenate([maps, background]),
            fields.reshape(-1, *cells),
            np.concatenate([of_maps, of_maps.min(axis=0, keepdims=True)]),
            of_fields.repeat(2, axis=0),
        )


def _weight(lacking: Array, inside: Array, seen: Array) -> Array:
    """[C, h, w] float32 from lacking [P, C], inside [P, h, w] and seen [C, h, w], all bool."""
    unknown = (lacking[:, :, None, None] & inside[:, None]).any(axis=0)
    return np.asarray(seen | ~unknown, np.float32)


class SceneItems(TrainingItems):
    """As `TrainingItems`, with everybody's targets: (crop, maps, fields, weight of maps, weight of fields)."""

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
        super().__init__(data, spec, size, _alone, seed, epoch, options)
        self.scene = target
        self.together = {id(part): _by_image(part) for part in data}

    def _targets(self, part: PoseData, sample: Sample, matrix: Array, mirror: bool) -> tuple[Array, ...]:
        people = [part[i] for i in self.together[id(part)].get(sample.image_id, ())] or [sample]
        xy, labelled = self._joints(part, people)
        if mirror:
            order = list(self.spec.skeleton.flip_order())
            xy, labelled = xy[:, order], labelled[:, order]
        xy_crop = np.stack([apply_affine(matrix, points) for points in xy])
        return self.scene(xy_crop, labelled, self._inside(people, matrix), self.size)

    def _joints(self, part: PoseData, people: list[Sample]) -> tuple[Array, Array]:
        """[P, K, 2] and [P, K], in the network's order; a person who is ignored has nothing labelled."""
        found = [joints_in(person, self.spec.skeleton, part.skeleton) for person in people]
        ignored = np.array([person.ignore for person in people])
        return np.stack([xy for xy, _ in found]), np.stack([known for _, known in found]) & ~ignored[:, None]

    def _inside(self, people: list[Sample], matrix: Array) -> Array:
        """[P, h, w] bool: the cells whose centre lies in each person's box."""
        height, width = cells = cells_of(self.size, self.scene.stride)
        to_image = compose_affine(invert_affine(matrix), grid_affine(cells, self.size))
        y, x = np.mgrid[:height, :width]
        xy_image = apply_affine(to_image, np.stack([x, y], axis=-1))
        boxes = np.stack([person.box_xyxy for person in people])[:, None, None]
        return np.asarray(((xy_image >= boxes[..., :2]) & (xy_image <= boxes[..., 2:])).all(axis=-1))


def _alone(xy_crop: Array, labelled: Array, size: Size) -> tuple[Array, ...]:
    """Never asked: the targets here are of several people."""
    raise NotImplementedError


def _by_image(part: PoseData) -> dict[int, list[int]]:
    """Image -> indices of its people, ignored ones too; nothing for data of one person an image."""
    people: dict[int, list[int]] = defaultdict(list)
    if not isinstance(part, EveryoneCounts):
        for i in range(len(part)):
            people[part[i].image_id].append(i)
    return dict(people)
