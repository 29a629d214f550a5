"""Centers and displacements: each person's joints, regressed from the person's center. The definition, in plain numpy.

DEKR (Geng et al., CVPR 2021) and SPM (Nie et al., ICCV 2019). The last joint map shows the centers of people. At the
cell of a center, a vector for each joint leads to that joint: the joint is the cell plus the vector ('add'; mmpose) or
the cell minus the vector ('subtract'; DEKR's own code). Vectors are (x, y), in cells. Where the network has joint maps,
the score of a joint is their value at the joint, times the score of the center.

Coordinates are map cells; `grid` (see `codecs.cells`) says what a cell stands for in the input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from msgspec import Meta

from edgepose._checks import Array
from edgepose.artifacts.tables import choose
from edgepose.codecs import flips
from edgepose.codecs.cells import RULES, bilinear, cells_to_image, nearest, refuse_flip
from edgepose.codecs.codec import Axis, Codec, People
from edgepose.codecs.overflow import refuse_overflow
from edgepose.codecs.paf import with_boxes
from edgepose.errors import ModelError
from edgepose.pose.geometry import apply_affine

if TYPE_CHECKING:
    from edgepose.artifacts.spec import InputSpec, ModelSpec
    from edgepose.pose.skeletons import Skeleton

FindPeaks = Callable[[Array, float, int], tuple[Array, Array]]
NotNegative = Annotated[float, Meta(ge=0)]

SIGNS = {"add": 1, "subtract": -1}


def joints_at(displacements: Array, cells: Array, sign: int) -> Array:
    """Return the joints that the displacements of some cells lead to.

    Args:
        displacements: [2K, h, w] float, x and y of each joint, cells.
        cells: [P, 2] int, x and y.
        sign: 1 where displacements are added to the cell, -1 where they are subtracted.

    Returns:
        [P, K, 2] float64, cells.
    """
    joints = len(displacements) // 2
    vectors = displacements[:, cells[:, 1], cells[:, 0]].reshape(joints, 2, -1).transpose(2, 0, 1)
    return np.asarray(cells[:, None] + sign * vectors.astype(np.float64))


def suppress(xy: Array, scores: Array, threshold: float) -> list[int]:
    """Choose the people who stay where two are the same person.

    Two are the same where more than half of their joints are nearer than `threshold` times the diagonal of the joints
    of the one with the higher score.

    Args:
        xy: [P, K, 2] float.
        scores: [P] float.
        threshold: The share of the diagonal.

    Returns:
        The indices of those who stay, the highest score first.
    """
    kept: list[int] = []
    for row in np.argsort(-scores, kind="stable").tolist():
        for other in kept:
            diagonal = float(np.hypot(*(xy[other].max(axis=0) - xy[other].min(axis=0))))
            near = np.linalg.norm(xy[row] - xy[other], axis=-1) < threshold * diagonal
            if near.sum() * 2 > xy.shape[1]:
                break
        else:
            kept.append(row)
    return kept


def people_of(
    maps: Array,  # [K + 1, h, w] or [1, h, w]
    displacements: Array,  # [2K, h, w]
    to_image: Array,  # [2, 3]
    codec: OffsetsCodec,
    find_peaks: FindPeaks,
) -> People:
    """Find the people of one image.

    Args:
        maps: [K + 1, h, w] float, the joints and the centers; or [1, h, w], the centers.
        displacements: [2K, h, w] float.
        to_image: [2, 3] float, cells -> image pixels.
        codec: The parameters.
        find_peaks: `affinity.peaks`, or a faster twin of it.

    Returns:
        The people, the highest score first.

    Raises:
        ModelError: If the outputs are not finite, or there are more centers than the codec's capacity.
    """
    refuse_overflow(maps, "joint maps")
    refuse_overflow(displacements, "displacements")
    centers = np.ascontiguousarray(maps[-1:], np.float32)
    (listed,), (count,) = find_peaks(centers, codec.center_threshold, codec.capacity)
    if count > codec.capacity:
        raise ModelError(
            f"the map of centers has {count} peaks, and {codec.capacity} are listed; raise the center threshold of the "
            "codec, or its capacity where there are so many people"
        )
    best = listed[:count][np.argsort(-listed[:count, 2], kind="stable")[: codec.max_people]]
    xy = joints_at(displacements, nearest(best[:, :2], (maps.shape[1], maps.shape[2])), SIGNS[codec.displacement])
    scores = np.repeat(best[:, 2:].astype(np.float64), xy.shape[1], axis=1)
    if len(maps) > 1:
        scores *= np.clip(bilinear(maps[:-1], xy), 0, 1)
    score = scores.mean(axis=1)
    kept = [row for row in suppress(xy, score, codec.nms_threshold) if score[row] > codec.min_score]
    found = scores[kept] > 0
    xy_image = np.where(found[..., None], apply_affine(to_image, xy[kept]), 0.0)
    return with_boxes(xy_image.astype(np.float32), scores[kept].astype(np.float32), score[kept].astype(np.float32))


def likelier_displacement(maps: Array, displacements: Array, codec: OffsetsCodec) -> str | None:
    """Compare both signs of displacements by the joint maps at the joints that they lead to.

    Args:
        maps: [K + 1, h, w] float, the joints and the centers, of an image with people.
        displacements: [2K, h, w] float.
        codec: The thresholds.

    Returns:
        'add' or 'subtract', whichever leads to the higher joint maps; None without centers, or where both are alike.
    """
    from edgepose.codecs import affinity

    (listed,), (count,) = affinity.peaks(maps[-1:], codec.center_threshold, codec.capacity)
    cells = nearest(listed[: min(count, codec.capacity), :2], (maps.shape[1], maps.shape[2]))
    values = {word: bilinear(maps[:-1], joints_at(displacements, cells, sign)).sum() for word, sign in SIGNS.items()}
    high, low = sorted(values, key=values.__getitem__, reverse=True)
    return high if values[high] > 1.25 * max(values[low], 0.0) else None


@dataclass(frozen=True, kw_only=True)
class OffsetsCodec(Codec):
    """A map of people's centers, joint maps, and vectors from each center to the person's joints.

    Attributes:
        displacement: How a joint follows from the cell of the center: 'add' or 'subtract' the vector.
        rule: `grid` in the contract: what a cell stands for in the input, 'stride', 'centers' or 'corners'.
        center_threshold: The value that a peak of the map of centers must exceed.
        capacity: The highest number of centers.
        max_people: The highest number of people, the highest centers first.
        nms_threshold: How near the joints of two must be to count as one person, as a share of the person's diagonal.
        min_score: A person whose score, the mean of the joints', is not above this is dropped.
    """

    name: ClassVar[str] = "offsets"
    decodes: ClassVar[tuple[str, ...]] = ("joint maps with the centers last", "displacements")
    output_names: ClassVar[tuple[str, ...]] = ("heatmaps", "displacements")
    finds_people: ClassVar[bool] = True

    displacement: str = "add"
    rule: str = field(default="stride", metadata={"key": "grid"})
    center_threshold: NotNegative = 0.05
    capacity: Annotated[int, Meta(ge=1, le=1000)] = 200
    max_people: Annotated[int, Meta(ge=1, le=1000)] = 30
    nms_threshold: NotNegative = 0.05
    min_score: NotNegative = 0.01

    def check(self, skeleton: Skeleton, input: InputSpec, outputs: Sequence[str], where: str) -> None:
        """Check the parameters against the rest of the contract, see `Codec.check`."""
        choose(self.displacement, SIGNS, "codec.displacement", where)
        choose(self.rule, RULES, "codec.grid", where)
        super().check(skeleton, input, outputs, where)

    def shapes(self, skeleton: Skeleton, input: InputSpec) -> tuple[tuple[Axis, ...], ...]:
        """Return the shapes of the decoded outputs for one image, see `Codec.shapes`."""
        return ((len(skeleton) + 1, 1), "h", "w"), ((2 * len(skeleton),), "h", "w")

    def decode(
        self, outputs: Sequence[Array], flipped: Sequence[Array] | None, inverse: Array, contract: ModelSpec
    ) -> People:
        """Turn outputs into joints in the image, see `Codec.decode`."""
        from edgepose.kernels import paf_peaks

        maps, displacements = outputs if flipped is None else self.merge_flip(outputs, flipped, contract)
        to_image = cells_to_image(self.rule, (maps.shape[2], maps.shape[3]), contract.input.size, inverse[0])
        return people_of(maps[0], displacements[0], to_image, self, paf_peaks)

    def merge_flip(self, outputs: Sequence[Array], flipped: Sequence[Array], contract: ModelSpec) -> tuple[Array, ...]:
        """Average the outputs with those for the mirrored crops, see `Codec.merge_flip`."""
        order = contract.skeleton.flip_order()
        whole = [*order, len(order)] if outputs[0].shape[1] > 1 else [0]
        vectors = flipped[1].reshape(len(flipped[1]), len(order), 2, *flipped[1].shape[2:])[:, list(order), ..., ::-1]
        back = vectors * np.array([-1, 1], np.float32)[:, None, None]
        mean = (outputs[1].astype(np.float32) + back.reshape(outputs[1].shape)) * np.float32(0.5)
        return flips.merge_flip(outputs[0], flipped[0], whole), np.asarray(mean)

    def check_flip(self, skeleton: Skeleton) -> None:
        """Raise SpecError where the maps of a mirrored image cannot be averaged, see `Codec.check_flip`."""
        refuse_flip(self.rule, self.name)

    def device_problem(self, flip_test: bool) -> str | None:
        """Say why outputs cannot be decoded on the device, see `Codec.device_problem`."""
        return "codec 'offsets' puts people together on the CPU"
