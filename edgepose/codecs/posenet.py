"""PoseNet: joint maps, short offsets, and displacements along a tree of limbs. The written definition, in plain numpy.

PersonLab (Papandreou et al., ECCV 2018, section 3) without its Hough voting, as the published PoseNet networks decode
it ("fast greedy decoding"). A joint is at the cell of its map plus the offset there. From any joint, the other joints
of the person follow along the limbs of the skeleton, which form a tree: a displacement leads close to the next joint,
and the offset there, read twice, leads to the joint itself.

Offsets are (y of all joints, then x of all joints), displacements (y of all limbs, then x of all limbs), in pixels of
the network's input. `grid` (see `codecs.cells`) says what a cell stands for; the published networks have inputs of
16 n + 1 pixels, for which 'corners' is 16 pixels for each cell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from msgspec import Meta

from edgepose._checks import Array
from edgepose.artifacts.tables import choose
from edgepose.codecs import flips
from edgepose.codecs.cells import RULES, refuse_flip
from edgepose.codecs.codec import Axis, Codec, People
from edgepose.codecs.grouping import mirrored_limbs
from edgepose.codecs.overflow import refuse_overflow
from edgepose.codecs.paf import with_boxes
from edgepose.errors import SpecError
from edgepose.pose.geometry import Size, apply_affine

if TYPE_CHECKING:
    from edgepose.artifacts.spec import InputSpec, ModelSpec
    from edgepose.pose.skeletons import Skeleton

NotNegative = Annotated[float, Meta(ge=0)]
REFINEMENTS = 2  # how often the offset is read behind a displacement


@dataclass(frozen=True, kw_only=True)
class Fields:
    """The outputs for one image, and the grid that they lie on.

    Attributes:
        maps: [K, h, w] float32, 0 to 1.
        offsets: [K, 2, h, w] float32, x and y, input pixels.
        forward: [L, 2, h, w] float32, from the first joint of each limb to the second.
        backward: [L, 2, h, w] float32, from the second joint of each limb to the first.
        to_input: Two rows of the matrix cells -> input pixels.
        to_cells: Two rows of the matrix input pixels -> cells.
    """

    maps: Array
    offsets: Array
    forward: Array
    backward: Array
    to_input: list[list[float]]
    to_cells: list[list[float]]

    def cell(self, x: float, y: float) -> tuple[int, int]:
        """Return the cell, (column, row), nearest to a place in the input."""
        (across, _, right), (_, down, below) = self.to_cells
        height, width = self.maps.shape[1:]
        column, row = math.floor(across * x + right + 0.5), math.floor(down * y + below + 0.5)
        return min(max(column, 0), width - 1), min(max(row, 0), height - 1)

    def joint(self, joint: int, cell: tuple[int, int]) -> tuple[float, float]:
        """Return the place in the input, (x, y), of a joint that is seen at a cell."""
        (across, _, right), (_, down, below) = self.to_input
        column, row = cell
        x, y = self.offsets[joint, :, row, column].tolist()
        return across * column + right + x, down * row + below + y


def fields_of(outputs: Sequence[Array], input_size: Size, rule: str) -> Fields:
    """Read the outputs for one image.

    Args:
        outputs: [1, K, h, w], [1, 2K, h, w] and twice [1, 2L, h, w] float.
        input_size: (height, width) of the network's input.
        rule: What a cell stands for, a key of `cells.RULES`.

    Returns:
        The outputs with x before y.

    Raises:
        ModelError: If a value is not finite.
    """
    for values, what in zip(outputs, ("joint maps", "offsets", "displacements", "displacements"), strict=True):
        refuse_overflow(values, what)
    maps, *vectors = (np.asarray(values[0], np.float32) for values in outputs)
    offsets, forward, backward = (
        value.reshape(2, -1, *value.shape[1:])[::-1].transpose(1, 0, 2, 3) for value in vectors
    )
    size = (maps.shape[1], maps.shape[2])
    matrix, back = RULES[rule](size, input_size).tolist(), RULES[rule](input_size, size).tolist()
    return Fields(maps=maps, offsets=offsets, forward=forward, backward=backward, to_input=matrix, to_cells=back)


def roots(maps: Array, threshold: float) -> list[tuple[int, int, int]]:
    """List the cells that no neighbor of the 3x3 neighborhood exceeds.

    Args:
        maps: [K, h, w] float32.
        threshold: The value that a cell must reach.

    Returns:
        (joint, x, y) of each, the highest value first.
    """
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    rows = np.maximum(np.maximum(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])
    highest = np.maximum(np.maximum(rows[..., :-2], rows[..., 1:-1]), rows[..., 2:])
    joint, y, x = np.nonzero((maps >= highest) & (maps >= threshold))
    order = np.argsort(-maps[joint, y, x], kind="stable")
    return [(int(joint[at]), int(x[at]), int(y[at])) for at in order]


def person(fields: Fields, root: int, xy: tuple[float, float], score: float, limbs: Array) -> tuple[Array, Array]:
    """Follow the tree of limbs from one joint to all others.

    Args:
        fields: The outputs for one image.
        root: The joint to start from.
        xy: Its place in the input.
        score: Its score.
        limbs: [L, 2] int, in the order of the displacements.

    Returns:
        xy [K, 2] float64 in input pixels, and scores [K] float64.
    """
    places, scores = {root: xy}, {root: score}
    edges = [(limb, a, b) for limb, (a, b) in enumerate(limbs.tolist())]
    ways = [(fields.forward[limb], a, b) for limb, a, b in edges]
    ways += [(fields.backward[limb], b, a) for limb, a, b in edges]
    while steps := [way for way in ways if way[1] in places and way[2] not in places]:
        for displacements, source, target in steps:
            x, y = places[source]
            column, row = fields.cell(x, y)
            dx, dy = displacements[:, row, column].tolist()
            place = x + dx, y + dy
            for _ in range(REFINEMENTS):
                place = fields.joint(target, fields.cell(*place))
            column, row = fields.cell(*place)
            places[target], scores[target] = place, float(fields.maps[target, row, column])
    joints = range(len(fields.maps))
    return np.array([places[joint] for joint in joints]), np.array([scores[joint] for joint in joints])


def people_of(fields: Fields, limbs: Array, inverse: Array, codec: PosenetCodec) -> People:
    """Find the people of one image.

    Args:
        fields: The outputs.
        limbs: [L, 2] int, in the order of the displacements.
        inverse: [2, 3] float, network input -> image.
        codec: The parameters.

    Returns:
        The people, the highest score first.
    """
    found: list[tuple[Array, Array, float]] = []
    others = np.zeros((0, len(fields.maps), 2))  # the joints of the people so far
    for joint, x, y in roots(fields.maps, codec.root_threshold):
        if len(found) == codec.max_people:
            break
        place = fields.joint(joint, (x, y))
        if (np.hypot(*(others[:, joint] - place).T) <= codec.nms_radius).any():
            continue
        places, scores = person(fields, joint, place, float(fields.maps[joint, y, x]), limbs)
        # A joint that somebody has does not count again.
        fresh = (np.linalg.norm(others - places, axis=-1) > codec.nms_radius).all(axis=0)
        found.append((places, scores, float(scores[fresh].sum() / len(scores))))
        others = np.concatenate([others, places[None]])
    kept = sorted((one for one in found if one[2] >= codec.min_score), key=lambda one: -one[2])
    joints = len(fields.maps)
    xy = np.array([places for places, _, _ in kept]).reshape(-1, joints, 2)
    scores = np.array([each for _, each, _ in kept], np.float32).reshape(-1, joints)
    scores = np.where(scores >= codec.joint_threshold, scores, np.float32(0))
    there = scores > 0
    alone = there.any(axis=1)
    xy_image = np.where(there[..., None], apply_affine(inverse, xy), 0.0).astype(np.float32)
    box_scores = np.array([score for _, _, score in kept], np.float32)
    return with_boxes(xy_image[alone], scores[alone], box_scores[alone])


@dataclass(frozen=True, kw_only=True)
class PosenetCodec(Codec):
    """Joint maps, offsets, and displacements along the limbs of the skeleton in both directions.

    Attributes:
        rule: `grid` in the contract: what a cell stands for in the input, 'corners', 'centers' or 'stride'.
        root_threshold: The value of a joint map from which on a person can start there.
        joint_threshold: A joint with a lower score counts as not found.
        nms_radius: A person who starts this near to the same joint of another is left out; input pixels.
        max_people: The highest number of people.
        min_score: A person with a lower score, the mean of the joints that nobody else has, is dropped.
    """

    name: ClassVar[str] = "posenet"
    decodes: ClassVar[tuple[str, ...]] = (
        "joint maps",
        "offsets",
        "displacements along the limbs",
        "displacements back along the limbs",
    )
    output_names: ClassVar[tuple[str, ...]] = ("heatmaps", "offsets", "displacements_forward", "displacements_backward")
    finds_people: ClassVar[bool] = True

    rule: str = field(default="corners", metadata={"key": "grid"})
    root_threshold: NotNegative = 0.5
    joint_threshold: NotNegative = 0.1
    nms_radius: NotNegative = 20.0
    max_people: Annotated[int, Meta(ge=1, le=1000)] = 20
    min_score: NotNegative = 0.15

    def check(self, skeleton: Skeleton, input: InputSpec, outputs: Sequence[str], where: str) -> None:
        """Check the parameters against the rest of the contract, see `Codec.check`."""
        choose(self.rule, RULES, "codec.grid", where)
        super().check(skeleton, input, outputs, where)
        if len(skeleton.limbs) != len(skeleton) - 1 or skeleton.unreached():
            raise SpecError(
                f"{where}: codec 'posenet' follows a tree of limbs, and the {len(skeleton.limbs)} limbs of skeleton "
                f"{skeleton.name!r} are no tree of its {len(skeleton)} joints; give a skeleton table whose limbs are "
                "those of the displacements, in their order"
            )

    def shapes(self, skeleton: Skeleton, input: InputSpec) -> tuple[tuple[Axis, ...], ...]:
        """Return the shapes of the decoded outputs for one image, see `Codec.shapes`."""
        joints, limbs = len(skeleton), len(skeleton.limbs)
        return (
            ((joints,), "h", "w"),
            ((2 * joints,), "h", "w"),
            ((2 * limbs,), "h", "w"),
            ((2 * limbs,), "h", "w"),
        )

    def decode(
        self, outputs: Sequence[Array], flipped: Sequence[Array] | None, inverse: Array, contract: ModelSpec
    ) -> People:
        """Turn outputs into joints in the image, see `Codec.decode`."""
        given = outputs if flipped is None else self.merge_flip(outputs, flipped, contract)
        fields = fields_of(given, contract.input.size, self.rule)
        return people_of(fields, np.array(contract.skeleton.limb_indices()), inverse[0], self)

    def merge_flip(self, outputs: Sequence[Array], flipped: Sequence[Array], contract: ModelSpec) -> tuple[Array, ...]:
        """Average the outputs with those for the mirrored crops, see `Codec.merge_flip`."""
        skeleton = contract.skeleton
        joints = list(skeleton.flip_order())
        limbs, way = mirrored_limbs(np.array(skeleton.limb_indices()), joints)
        offsets, forward, backward = (_mirrored(values) for values in flipped[1:])
        # Where the skeleton has a mirrored limb from its other end, forward and backward change places.
        same = (way > 0)[:, None, None]
        along = np.where(same, forward[:, :, limbs], backward[:, :, limbs])
        back = np.where(same, backward[:, :, limbs], forward[:, :, limbs])
        mean = [
            (mine.astype(np.float32) + other.reshape(mine.shape)) * np.float32(0.5)
            for mine, other in zip(outputs[1:], (offsets[:, :, joints], along, back), strict=True)
        ]
        return (flips.merge_flip(outputs[0], flipped[0], joints), *mean)

    def check_flip(self, skeleton: Skeleton) -> None:
        """Raise SpecError where outputs for a mirrored image cannot be averaged, see `Codec.check_flip`."""
        refuse_flip(self.rule, self.name)
        mirrored_limbs(np.array(skeleton.limb_indices()), skeleton.flip_order())

    def device_problem(self, flip_test: bool) -> str | None:
        """Say why outputs cannot be decoded on the device, see `Codec.device_problem`."""
        return "codec 'posenet' puts people together on the CPU"


def _mirrored(vectors: Array) -> Array:
    """[1, 2, M, h, w] float32: vectors [1, 2M, h, w] (y first) of a mirrored image, mirrored back."""
    split = vectors.reshape(1, 2, -1, *vectors.shape[2:])[..., ::-1].astype(np.float32)
    return np.asarray(split * np.array([1, -1], np.float32)[:, None, None, None])
