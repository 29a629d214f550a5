"""Part affinity fields: everyone in a frame at once. The written definition, in plain numpy.

Cao et al., "Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields", CVPR 2017. The network returns one
map per joint (section 2.2) and one field of vectors per limb (section 2.3); the field points along the limb of the
person who covers the pixel. Decoding has three steps: find peaks, score every pair of peaks that a limb could join
(both in `codecs.affinity`), and group peaks to people (section 2.4, `codecs.grouping`).

Coordinates are map pixels with centers at integers. `limbs` [L, 2] are joint indices, in the order of the fields.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from msgspec import Meta

from edgepose._checks import Array, check_array
from edgepose.artifacts.tables import choose
from edgepose.codecs import affinity, flips, heatmap
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
    """Draw joint maps and part affinity fields of people.

    A joint map is the highest of the people's Gaussians of peak 1 (section 2.2). A field holds the unit vector (x, y)
    of a limb within `width` of its line and between its ends, and the mean where people overlap (section 2.3). A limb
    needs both joints labeled, finite and apart.

    Args:
        xy_map: [M, K, 2] float, map pixels, of M people.
        labeled: [M, K] bool.
        limbs: [L, 2] int, joint indices.
        size: (height, width) of the maps.
        sigma: The standard deviation of the Gaussians, map pixels.
        width: Half the width of a limb, map pixels.

    Returns:
        maps [K, h, w] float32 and fields [L, 2, h, w] float32.
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
    """Group peaks to the people of one image.

    Args:
        peaks: [K, P, 3] float32, from `affinity.peaks`.
        counts: [K] int, the number of peaks of each map.
        scores: [L, P, P] float32, from `affinity.scores`.
        limbs: [L, 2] int, joint indices.
        to_image: [2, 3] float, map pixels -> image pixels.
        codec: The thresholds.

    Returns:
        xy_image [M, K, 2], scores [M, K] and person scores [M], float32, the highest person score first. A joint that
        was not found is at (0, 0) with score 0.

    Raises:
        ModelError: If a map has more peaks than are listed.
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
    """Find the people of one image: peaks, scores of limbs, groups.

    Args:
        maps: [K, h, w] float.
        fields: [L, 2, h, w] float.
        limbs: [L, 2] int, joint indices.
        inverse: [2, 3] float, network input -> image.
        input_size: (height, width) of the network's input.
        codec: The thresholds.

    Returns:
        As `people_in_image`.

    Raises:
        ModelError: If the outputs are not finite, or a map has more peaks than the codec's capacity.
    """
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
    """Average joint maps and fields with those of the mirrored image, mirrored back.

    A mirrored field is the field of the mirrored limb with x negated, and is negated as a whole where the skeleton has
    that limb from its other end.

    Args:
        maps: Joint maps [K, h, w] and fields [L, 2, h, w].
        flipped: The same for an image mirrored by x -> W - 1 - x.
        limbs: [L, 2] int, joint indices.
        flip_order: `Skeleton.flip_order()`.

    Returns:
        Maps and fields, float32.

    Raises:
        SpecError: If the skeleton does not have the mirror of a limb.
    """
    for name, mine, other in zip(("maps", "fields"), maps, flipped, strict=True):
        check_array(f"flipped {name}", other, mine.shape)
    merged = flips.merge_flip(maps[0][None], flipped[0][None], flip_order)[0]
    order, way = mirrored_limbs(limbs, flip_order)
    turned = np.array([-1, 1], np.float32) * way[:, None]
    back = flipped[1][order, ..., ::-1] * turned[..., None, None]
    return merged, np.asarray((maps[1].astype(np.float32) + back) * np.float32(0.5))


NotNegative = Annotated[float, Meta(ge=0)]
FIELD_ORDERS = ("xy", "yx")


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
        field_order: Which component of a field comes first: 'xy' (columns; OpenPose) or 'yx' (rows; trt_pose). None is
            'xy', which a network without a map of the background must state, since such networks come with both.
        background: Whether the last joint map is the background; None takes both.
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
    field_order: str | None = None
    background: bool | None = None

    def check(self, skeleton: Skeleton, input: InputSpec, outputs: Sequence[str], where: str) -> None:
        """Check the parameters against the rest of the contract, see `Codec.check`."""
        if self.field_order is not None:
            choose(self.field_order, FIELD_ORDERS, "codec.field_order", where)
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
        """Return the shapes of the decoded outputs for one image, see `Codec.shapes`."""
        joints = len(skeleton)  # OpenPose has one map more, the background, as the last one
        maps = {None: (joints, joints + 1), True: (joints + 1,), False: (joints,)}[self.background]
        return (maps, "h", "w"), ((2 * len(skeleton.limbs),), "h", "w")

    def check_network(self, outputs: Sequence[Array], contract: ModelSpec, where: str) -> None:
        """Check what a network trained elsewhere returns, see `Codec.check_network`."""
        super().check_network(outputs, contract, where)
        if outputs[0].shape[1] == len(contract.skeleton) and self.field_order is None:
            raise SpecError(
                f"{where}: its {len(contract.skeleton)} joint maps have no background, as those of trt_pose, whose "
                'fields are rows before columns; add field_order = "yx" to the codec (trt_pose), or "xy" if the fields '
                "are columns before rows"
            )

    def decode(
        self, outputs: Sequence[Array], flipped: Sequence[Array] | None, inverse: Array, contract: ModelSpec
    ) -> People:
        """Turn outputs into joints in the image, see `Codec.decode`."""
        from edgepose.kernels import paf_peaks, paf_score

        given = outputs if flipped is None else self.merge_flip(outputs, flipped, contract)
        maps, fields = self._of_one_image(given, contract.skeleton)
        limbs = np.array(contract.skeleton.limb_indices())
        peaks, counts = paf_peaks(maps, self.peak_threshold, self.capacity)
        rules = self.limb_samples, self.limb_threshold, self.limb_ratio
        scores = paf_score(fields, peaks, counts, limbs, *rules)
        to_image = compose_affine(inverse[0], grid_affine((maps.shape[1], maps.shape[2]), contract.input.size))
        return with_boxes(*people_in_image(peaks, counts, scores, limbs, to_image, self))

    def merge_flip(self, outputs: Sequence[Array], flipped: Sequence[Array], contract: ModelSpec) -> tuple[Array, ...]:
        """Average the outputs with those for the mirrored crops, see `Codec.merge_flip`."""
        skeleton = contract.skeleton
        both = self._of_one_image(outputs, skeleton), self._of_one_image(flipped, skeleton)
        maps, fields = merge_flip(*both, np.array(skeleton.limb_indices()), skeleton.flip_order())
        return maps[None], self._ordered(fields).reshape(1, -1, *fields.shape[2:])

    def check_flip(self, skeleton: Skeleton) -> None:
        """Raise SpecError for a limb whose mirror the skeleton does not have, see `Codec.check_flip`."""
        mirrored_limbs(np.array(skeleton.limb_indices()), skeleton.flip_order())

    def device_problem(self, flip_test: bool) -> str | None:
        """Say why outputs cannot be decoded on the device, see `Codec.device_problem`."""
        return "codec 'paf' puts people together on the CPU"

    def likelier_order(self, outputs: Sequence[Array], contract: ModelSpec) -> str | None:
        """Compare both orders of a field's components by the people that they make, for an image with people.

        Args:
            outputs: The joint maps and fields of one image.
            contract: The contract whose codec this is.

        Returns:
            'xy' or 'yx', whichever gives the limbs the higher scores; None where both are alike, as without people.
        """
        limbs = np.array(contract.skeleton.limb_indices())
        totals = {}
        for word in FIELD_ORDERS:
            maps, fields = replace(self, field_order=word)._of_one_image(outputs, contract.skeleton)
            found, counts = affinity.peaks(maps, self.peak_threshold, self.capacity)
            rules = self.limb_samples, self.limb_threshold, self.limb_ratio
            totals[word] = float(affinity.scores(fields, found, counts, limbs, *rules).max(axis=(1, 2)).sum())
        high, low = sorted(totals, key=totals.__getitem__, reverse=True)
        return high if totals[high] > 1.25 * totals[low] else None

    def _of_one_image(self, outputs: Sequence[Array], skeleton: Skeleton) -> tuple[Array, Array]:
        """(maps [K, h, w] without a background map, fields [L, 2, h, w], x first) of the outputs for one image."""
        maps, fields = outputs
        return maps[0, : len(skeleton)], self._ordered(fields.reshape(len(skeleton.limbs), 2, *fields.shape[2:]))

    def _ordered(self, fields: Array) -> Array:
        """Fields [L, 2, h, w] with x first from those of the network, and the other way round."""
        return np.ascontiguousarray(fields[:, ::-1]) if self.field_order == "yx" else fields


def with_boxes(xy_image: Array, scores: Array, box_scores: Array) -> People:
    """Add to each person the box around the joints that were found.

    Args:
        xy_image: [P, K, 2] float32.
        scores: [P, K] float32; 0 for a joint that was not found.
        box_scores: [P] float32.
    """
    boxes = [box_of_joints(xy, found > 0) for xy, found in zip(xy_image, scores, strict=True)]
    return People(xy_image, scores, np.array(boxes, np.float32).reshape(-1, 4), box_scores)
