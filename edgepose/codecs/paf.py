"""Part affinity fields: everyone in a frame at once. The written definition, in plain numpy.

Cao et al., "Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields", CVPR 2017. A network gives
one map a joint (section 2.2) and one field of vectors a limb (section 2.3), which points along the limb of
whoever covers the pixel. Decoding is peaks -> scores of every pair a limb could join -> people (section 2.4),
three functions, of which the first two are image operations and the last runs on the host.

Coordinates are map pixels with centers at integers. `limbs` [L, 2] are joint indices, in the order of fields.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from msgspec import Meta

from edgepose._checks import Array, check_array
from edgepose.codecs import affinity, heatmap
from edgepose.codecs.codec import Axis, Codec, People
from edgepose.codecs.grouping import group, joints_of, mirrored_limbs
from edgepose.errors import SpecError
from edgepose.pose.geometry import Size, box_of_joints, compose_affine, grid_affine

if TYPE_CHECKING:
    from edgepose.artifacts.spec import InputSpec, ModelSpec
    from edgepose.pose.skeletons import Skeleton


def encode(
    xy_map: Array,  # [M, K, 2] float, M people
    labeled: Array,  # [M, K] bool
    limbs: Array,  # [L, 2] int
    size: Size,
    *,
    sigma: float,
    width: float,
) -> tuple[Array, Array]:
    """(maps [K, h, w], fields [L, 2, h, w]) float32, for maps of size (height, width).

    Maps: the highest of the people's Gaussians of peak 1 (section 2.2; sigma in map pixels, as in heatmap.py).
    Fields: the unit vector (x, y) of a limb within `width` map pixels of its line and between its ends, the
    mean where people overlap (section 2.3). A limb needs both joints labeled, finite and apart.
    """
    maps = heatmap.encode(xy_map, labeled, size, sigma).max(axis=0, initial=0)
    known = labeled & np.isfinite(xy_map).all(axis=-1)
    fields = np.zeros((len(limbs), 2, *size), np.float32)
    for target, (a, b) in zip(fields, np.asarray(limbs).tolist(), strict=True):
        whole = known[:, a] & known[:, b]
        vectors = [_limb(*ends, size, width) for ends in zip(xy_map[whole, a], xy_map[whole, b], strict=True)]
        people = sum((vector.any(axis=0) for vector in vectors), np.zeros(size, int))
        target[:] = sum(vectors, np.zeros((2, *size))) / np.maximum(people, 1)
    return np.asarray(maps), fields


def _limb(start: Array, end: Array, size: Size, width: float) -> Array:
    """[2, h, w]: the unit vector from start to end on the limb's pixels, zero elsewhere."""
    step = np.asarray(end - start, np.float64)
    length = math.hypot(*step)
    if length == 0:
        return np.zeros((2, *size))
    unit = step / length
    y, x = np.mgrid[: size[0], : size[1]]
    x, y = x - start[0], y - start[1]
    along, across = x * unit[0] + y * unit[1], x * unit[1] - y * unit[0]
    covered = (along >= 0) & (along <= length) & (np.abs(across) <= width)
    return np.asarray(covered * unit[:, None, None])


def people_in_image(
    peaks: Array,  # [K, P, 3] float32
    counts: Array,  # [K] int
    scores: Array,  # [L, P, P] float32
    limbs: Array,  # [L, 2] int
    to_image: Array,  # [2, 3] float, map -> image
    codec: PafCodec,
) -> tuple[Array, Array, Array]:
    """The people of one frame: (xy_image [M, K, 2], scores [M, K], person_scores [M]), float32, the surest first.

    A joint that was not found lies at (0, 0) with score 0. Raises ModelError as `group`.
    """
    people = group(peaks, counts, scores, limbs, min_joints=codec.min_joints, min_score=codec.min_score)
    return *joints_of(people, peaks, to_image), people.scores


def decode_to_image(
    maps: Array,  # [K, h, w]
    fields: Array,  # [L, 2, h, w]
    limbs: Array,  # [L, 2] int
    inverse: Array,  # [2, 3] float, network input -> image
    input_size: Size,
    codec: PafCodec,
) -> tuple[Array, Array, Array]:
    """All three steps; returns what `people_in_image` does. Raises ModelError as each of them."""
    check_array("inverse", inverse, (2, 3))
    check_array("fields", fields, (len(limbs), 2, *maps.shape[1:]))
    found, counts = affinity.peaks(maps, codec.peak_threshold, codec.capacity)
    rules = codec.limb_samples, codec.limb_threshold, codec.limb_ratio
    affinities = affinity.scores(fields, found, counts, limbs, *rules)
    to_image = compose_affine(inverse, grid_affine((maps.shape[1], maps.shape[2]), input_size))
    return people_in_image(found, counts, affinities, limbs, to_image, codec)


def merge_flip(
    maps: tuple[Array, Array],  # [K, h, w], [L, 2, h, w]
    flipped: tuple[Array, Array],
    limbs: Array,  # [L, 2] int
    flip_order: Sequence[int],
) -> tuple[Array, Array]:
    """(maps, fields) float32: the mean of the maps and of the mirrored frame's, mirrored back.

    `flipped` are those of a frame mirrored by x -> W - 1 - x, `flip_order` is `Skeleton.flip_order()`. A
    mirrored field is the field of the mirrored limb, its x turned round, and all of it where the skeleton has
    that limb from its other end. SpecError for a limb whose mirror the skeleton does not have.
    """
    for name, mine, other in zip(("maps", "fields"), maps, flipped, strict=True):
        check_array(f"flipped {name}", other, mine.shape)
    merged = heatmap.merge_flip(maps[0][None], flipped[0][None], flip_order)[0]
    order, way = mirrored_limbs(limbs, flip_order)
    turned = np.array([-1, 1], np.float32) * way[:, None]
    back = flipped[1][order, ..., ::-1] * turned[..., None, None]
    return merged, np.asarray((maps[1].astype(np.float32) + back) * np.float32(0.5))


NotNegative = Annotated[float, Meta(ge=0)]


@dataclass(frozen=True, kw_only=True)
class PafCodec(Codec):
    """Joint maps and part affinity fields, from which everyone in an image is put together.

    Attributes:
        peak_threshold: The value that a peak of a joint map must exceed.
        capacity: The highest number of peaks per joint map.
        limb_samples: The number of points at which the field of a limb is read.
        limb_threshold: The value that the field along the limb must exceed at a point.
        limb_ratio: The share of the points at which it must.
        min_joints: A person with fewer joints is dropped.
        min_score: A person with a lower score is dropped.
    """

    name: ClassVar[str] = "paf"
    decodes: ClassVar[tuple[str, ...]] = ("joint maps", "limb fields")
    output_names: ClassVar[tuple[str, ...]] = ("heatmaps", "pafs")
    finds_people: ClassVar[bool] = True
    needs_limbs: ClassVar[bool] = True

    peak_threshold: NotNegative = 0.1
    capacity: Annotated[int, Meta(ge=1, le=1000)] = 100
    limb_samples: Annotated[int, Meta(ge=2, le=1000)] = 10
    limb_threshold: NotNegative = 0.05
    limb_ratio: Annotated[float, Meta(ge=0, le=1)] = 0.8
    min_joints: Annotated[int, Meta(ge=1)] = 4
    min_score: NotNegative = 0.2

    def check(self, skeleton: Skeleton, input: InputSpec, outputs: Sequence[str], where: str) -> None:
        super().check(skeleton, input, outputs, where)
        apart = skeleton.unreached() if skeleton.limbs else skeleton.joints
        if apart:  # their people would fall into pieces
            raise SpecError(
                f"{where}: codec 'paf' joins people by limbs, and the limbs of skeleton {skeleton.name!r} do not "
                f"reach {', '.join(apart)}; give a skeleton table whose limbs connect all joints, in the order of "
                "the fields"
            )
        if self.min_joints > len(skeleton):
            raise SpecError(
                f"{where}: codec.min_joints = {self.min_joints}; skeleton {skeleton.name!r} has {len(skeleton)} joints"
            )

    def shapes(self, skeleton: Skeleton, input: InputSpec) -> tuple[tuple[Axis, ...], ...]:
        joints = len(skeleton)  # OpenPose has one map more, the background, as the last one
        return ((joints, joints + 1), "h", "w"), ((2 * len(skeleton.limbs),), "h", "w")

    def decode(
        self, outputs: Sequence[Array], flipped: Sequence[Array] | None, inverse: Array, contract: ModelSpec
    ) -> People:
        from edgepose.kernels import paf_peaks, paf_score

        given = outputs if flipped is None else self.merge_flip(outputs, flipped, contract)
        maps, fields = _of_one_image(given, contract.skeleton)
        limbs = np.array(contract.skeleton.limb_indices())
        peaks, counts = paf_peaks(maps, self.peak_threshold, self.capacity)
        rules = self.limb_samples, self.limb_threshold, self.limb_ratio
        scores = paf_score(fields, peaks, counts, limbs, *rules)
        to_image = compose_affine(inverse[0], grid_affine((maps.shape[1], maps.shape[2]), contract.input.size))
        return with_boxes(*people_in_image(peaks, counts, scores, limbs, to_image, self))

    def merge_flip(self, outputs: Sequence[Array], flipped: Sequence[Array], contract: ModelSpec) -> tuple[Array, ...]:
        skeleton = contract.skeleton
        both = _of_one_image(outputs, skeleton), _of_one_image(flipped, skeleton)
        maps, fields = merge_flip(*both, np.array(skeleton.limb_indices()), skeleton.flip_order())
        return maps[None], fields.reshape(1, -1, *fields.shape[2:])

    def check_flip(self, skeleton: Skeleton) -> None:
        mirrored_limbs(np.array(skeleton.limb_indices()), skeleton.flip_order())

    def device_problem(self, flip_test: bool) -> str | None:
        return "codec 'paf' puts people together on the CPU"


def _of_one_image(outputs: Sequence[Array], skeleton: Skeleton) -> tuple[Array, Array]:
    """(maps [K, h, w] without a background map, fields [L, 2, h, w]) of the outputs for one image."""
    maps, fields = outputs
    return maps[0, : len(skeleton)], fields.reshape(len(skeleton.limbs), 2, *fields.shape[2:])


def with_boxes(xy_image: Array, scores: Array, box_scores: Array) -> People:
    """Add the box around the joints found to each person: xy_image [P, K, 2], scores [P, K], box_scores [P]."""
    boxes = [box_of_joints(xy, found > 0) for xy, found in zip(xy_image, scores, strict=True)]
    return People(xy_image, scores, np.array(boxes, np.float32).reshape(-1, 4), box_scores)
