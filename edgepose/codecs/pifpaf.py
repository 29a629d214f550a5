"""Composite fields: everyone in a frame, by intensity and association fields. The written definition, in plain numpy.

OpenPifPaf (Kreiss et al., "OpenPifPaf: Composite Fields for Semantic Keypoint Detection and Spatio-Temporal
Association", 2021, sections III-B to III-D). At each cell, an intensity field says with which confidence a joint is
near, where exactly, and how large it is. An association field says with which confidence a limb is near, and where its
two joints are. Decoding is greedy: joints that many cells agree on are seeds, the best first, and a person grows from a
seed along the best connections.

Coordinates are map cells. `grid` (see `codecs.cells`) says what a cell stands for; the published networks have inputs
of 8 n + 1 or 16 n + 1 pixels, for which 'corners' is 8 or 16 pixels for each cell. `limbs` [L, 2] are joint indices, in
the order of the association fields.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from msgspec import Meta

from edgepose._checks import Array, check_array
from edgepose.artifacts.tables import choose
from edgepose.codecs.cells import RULES, cells_to_image, refuse_flip
from edgepose.codecs.codec import Axis, Codec, People
from edgepose.codecs.grouping import mirrored_limbs
from edgepose.codecs.overflow import refuse_overflow
from edgepose.codecs.paf import with_boxes
from edgepose.errors import ModelError, SpecError
from edgepose.pose.geometry import apply_affine

if TYPE_CHECKING:
    from edgepose.artifacts.spec import InputSpec, ModelSpec
    from edgepose.pose.skeletons import Skeleton

NotNegative = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]

INTENSITY, ASSOCIATION = 5, 8  # (unused, confidence, x, y, scale) and (unused, confidence, x1, y1, x2, y2, s1, s2)
VOTERS = 16  # the cells that a joint is seen from; all of them together are a confidence of 1
FLOOR = 0.1  # the share of an association's confidence that does not depend on the intensity at its end
SMALLEST = 0.5  # cells; no joint is taken to be smaller
REACH = 2.0  # standard deviations beyond which a cell says nothing
CHUNK = 64  # places that are looked at together, which bounds the memory
HEAVY, WEIGHT = 3, 3.0  # the best three joints weigh three times as much in the score of a person


@dataclass(frozen=True)
class _Joint:
    xy: Array  # [2] float64, cells
    scale: float
    score: float


def votes(field: Array, threshold: float) -> Array:
    """List the cells of an intensity field whose confidence is above a threshold.

    Args:
        field: [5, h, w] float.
        threshold: The value that the confidence must exceed.

    Returns:
        [M, 4] float64: confidence, x, y, scale.
    """
    return np.asarray(field[1:, field[1] > threshold].T, np.float64)


def agreement(cells: Array, xy: Array) -> Array:
    """Return how much the cells of an intensity field agree that a joint is at each place (section III-C).

    Each cell adds its confidence in the shape of a Gaussian of half its scale, to at most 1.

    Args:
        cells: [M, 4] float, from `votes`.
        xy: [P, 2] float, cells.

    Returns:
        [P] float64, 0 to 1.
    """
    values = np.zeros(len(xy))
    if not len(cells):
        return values
    cells = cells[np.argsort(cells[:, 2], kind="stable")]
    sigma = np.maximum(SMALLEST, 0.5 * cells[:, 3])
    reach = REACH * sigma.max()
    order = np.argsort(xy[:, 1], kind="stable")
    for start in range(0, len(xy), CHUNK):  # places that are next to each other see the same few rows of cells
        some = order[start : start + CHUNK]
        rows = xy[some[[0, -1]], 1] + (-reach, reach)
        low, high = np.searchsorted(cells[:, 2], rows[0]), np.searchsorted(cells[:, 2], rows[1], side="right")
        near, width = cells[low:high], sigma[low:high]
        square = (xy[some, :1] - near[:, 1]) ** 2 + (xy[some, 1:] - near[:, 2]) ** 2
        shares = np.where(square <= (REACH * width) ** 2, np.exp(-square / (2 * width**2)), 0.0)
        values[some] = np.minimum(1.0, (shares * near[:, 0]).sum(axis=1) / VOTERS)
    return values


def connections(field: Array, voters: tuple[Array, Array], threshold: float) -> tuple[Array, Array]:
    """List the connections of an association field, from its first joint and from its second.

    Args:
        field: [8, h, w] float.
        voters: The votes for the first and for the second joint.
        threshold: The value that the confidence must exceed, alone and together with the agreement at the far end.

    Returns:
        Forward and backward, [M, 6] float64 each: confidence, x and y of the near end, x and y and scale of the far
        end.
    """
    rows = np.asarray(field[1:, field[1] > threshold].T, np.float64)  # confidence, x1, y1, x2, y2, s1, s2
    both = []
    for near, far, scale, there in (([1, 2], [3, 4], 6, voters[1]), ([3, 4], [1, 2], 5, voters[0])):
        confidence = rows[:, 0] * (FLOOR + (1 - FLOOR) * agreement(there, rows[:, far]))
        kept = confidence > threshold
        both.append(np.column_stack([confidence, rows[:, [*near, *far, scale]]])[kept])
    return both[0], both[1]


def follow(connections: Array, start: _Joint) -> _Joint | None:
    """Return where the connections from a joint lead: a blend of the best two that agree, or the best one.

    Args:
        connections: [M, 6] float, from `connections`.
        start: The joint at the near end.

    Returns:
        The joint at the far end, whose score is that of the connection; None where there is none.
    """
    square = ((connections[:, 1:3] - start.xy) ** 2).sum(axis=1)
    reach = max(start.scale, SMALLEST)
    value = np.where(square <= (2 * reach) ** 2, np.exp(-2 * square / reach**2) * connections[:, 0], 0.0)
    best, *others = np.argsort(-value, kind="stable")[:2].tolist() if len(value) else [-1]
    if best < 0 or value[best] == 0:
        return None
    xy, scale = connections[best, 3:5], float(connections[best, 5])
    second = others[0] if others else best
    apart = float(np.hypot(*(connections[second, 3:5] - xy)))
    if not others or value[second] < 0.5 * value[best] or apart > max(scale, SMALLEST) / 2:
        return _Joint(xy, scale, float(value[best]) * 0.5)
    share = value[second] / (value[best] + value[second])
    scale = float((1 - share) * scale + share * connections[second, 5])
    place = (1 - share) * xy + share * connections[second, 3:5]
    return _Joint(place, scale, float(0.5 * (value[best] + value[second])))


def grow(seed: tuple[int, _Joint], ways: dict[tuple[int, int], Array], codec: PifpafCodec) -> dict[int, _Joint]:
    """Grow a person from one joint along the best connections (section III-D).

    Args:
        seed: The joint to start from and its index.
        ways: (joint, next joint) -> connections [M, 6].
        codec: The thresholds.

    Returns:
        The joints of the person.
    """
    found = {seed[0]: seed[1]}
    waiting: list[tuple[float, int, int, _Joint]] = []

    def push(source: int) -> None:
        start = found[source]
        for (near, far), rows in ways.items():
            if near != source or far in found:
                continue
            end = follow(rows, start)
            if end is None:
                continue
            score = float(np.sqrt(start.score * end.score))
            if score < codec.joint_threshold or score < codec.relative_threshold * start.score:
                continue
            back = follow(ways[far, near], end)
            if back is None or float(np.abs(back.xy - start.xy).sum()) > max(start.scale, SMALLEST):
                continue  # the connection leads elsewhere on its way back: it is somebody else's
            heapq.heappush(waiting, (-score, source, far, _Joint(end.xy, end.scale, score)))

    push(seed[0])
    while waiting:
        _, _, joint, place = heapq.heappop(waiting)
        if joint not in found:
            found[joint] = place
            push(joint)
    return found


def people_of(intensity: Array, association: Array, limbs: Array, codec: PifpafCodec) -> list[dict[int, _Joint]]:
    """Find the people of one image, in cells.

    Args:
        intensity: [K, 5, h, w] float.
        association: [L, 8, h, w] float.
        limbs: [L, 2] int, joint indices.
        codec: The thresholds.

    Returns:
        The joints of each person; some may be of the same person in part.

    Raises:
        ModelError: If the outputs are not finite, or more cells of a field count than the codec's capacity.
    """
    check_array("association", association, (len(limbs), ASSOCIATION, *intensity.shape[2:]))
    refuse_overflow(intensity, "intensity fields")
    refuse_overflow(association, "association fields")
    for what, fields in (("intensity", intensity), ("association", association)):
        counts = (fields[:, 1] > codec.field_threshold).sum(axis=(1, 2))
        if counts.max(initial=0) > codec.capacity:
            raise ModelError(
                f"{what} field {int(np.argmax(counts))} has {counts.max()} cells above the field threshold, and at "
                f"most {codec.capacity} are read; raise the field threshold of the codec, or its capacity where there "
                "are so many people"
            )
    voters = [votes(field, codec.field_threshold) for field in intensity]
    ways: dict[tuple[int, int], Array] = {}
    for (a, b), rows in zip(limbs.tolist(), association, strict=True):
        ways[a, b], ways[b, a] = connections(rows, (voters[a], voters[b]), codec.field_threshold)
    seeds = []
    for joint, cells in enumerate(voters):
        for cell, value in zip(cells, 0.9 * agreement(cells, cells[:, 1:3]) + 0.1 * cells[:, 0], strict=True):
            if value > codec.seed_threshold:
                seeds.append((joint, _Joint(cell[1:3], float(cell[3]), float(value))))
    taken = _Taken(len(voters))
    people: list[dict[int, _Joint]] = []
    for joint, place in sorted(seeds, key=lambda seed: -seed[1].score):
        if len(people) == codec.max_people:
            break
        if not taken.has(joint, place):
            person = grow((joint, place), ways, codec)
            people.append(person)
            for index, found in person.items():
                taken.add(index, found)
    return people


class _Taken:
    """The joints that people have so far.

    Args:
        joints: The number of joints, K.
    """

    def __init__(self, joints: int) -> None:
        self._places = [np.zeros((0, 3)) for _ in range(joints)]  # x, y, reach of each

    def has(self, joint: int, place: _Joint) -> bool:
        """Whether somebody has this joint here."""
        rows = self._places[joint]
        return bool((np.abs(rows[:, :2] - place.xy) < rows[:, 2:]).all(axis=1).any())

    def add(self, joint: int, place: _Joint) -> None:
        """Give the joint to somebody."""
        row = np.array([[*place.xy, max(place.scale, SMALLEST)]])
        self._places[joint] = np.concatenate([self._places[joint], row])


def score_of(scores: Array) -> float:
    """Return the score of a person: the mean of the joints', in which the best three weigh three times as much.

    Args:
        scores: [K] float, 0 for a joint that was not found.
    """
    weights = np.where(np.arange(len(scores)) < HEAVY, WEIGHT, 1.0)
    return float((np.sort(scores)[::-1] * weights).sum() / weights.sum())


def without_doubles(people: Sequence[dict[int, _Joint]], joints: int) -> Array:
    """Take from people the joints that somebody with a higher score has.

    Args:
        people: From `people_of`.
        joints: The number of joints, K.

    Returns:
        [P, K, 3] float64: x and y in cells, score; 0 for a joint that was not found.
    """
    scores = np.zeros((len(people), joints))
    for row, person in zip(scores, people, strict=True):
        for joint, found in person.items():
            row[joint] = found.score
    order = np.argsort([-score_of(row) for row in scores], kind="stable").tolist()
    taken = _Taken(joints)
    out = np.zeros((len(people), joints, 3))
    for row, at in zip(out, order, strict=True):
        for joint, found in people[at].items():
            if not taken.has(joint, found):
                taken.add(joint, found)
                row[joint] = *found.xy, found.score
    return out


@dataclass(frozen=True, kw_only=True)
class PifpafCodec(Codec):
    """Composite fields of joints and of limbs, from which everyone in an image grows joint by joint.

    Attributes:
        rule: `grid` in the contract: what a cell stands for in the input, 'corners', 'centers' or 'stride'.
        field_threshold: The confidence that a cell of a field must exceed to count.
        capacity: The highest number of cells of a field that count.
        seed_threshold: The agreement that a joint must exceed for a person to start there.
        joint_threshold: A joint with a lower score is not added to a person.
        relative_threshold: Nor is one whose score is lower than this share of that of the joint before it.
        max_people: The highest number of people.
        min_joints: A person with fewer joints is dropped.
        min_score: A person with a lower score is dropped.
    """

    name: ClassVar[str] = "pifpaf"
    decodes: ClassVar[tuple[str, ...]] = ("intensity fields", "association fields")
    output_names: ClassVar[tuple[str, ...]] = ("cif", "caf")
    finds_people: ClassVar[bool] = True
    needs_limbs: ClassVar[bool] = True

    rule: str = field(default="corners", metadata={"key": "grid"})
    field_threshold: Share = 0.1
    capacity: Annotated[int, Meta(ge=1, le=100_000)] = 4000
    seed_threshold: Share = 0.5
    joint_threshold: Share = 0.15
    relative_threshold: Share = 0.5
    max_people: Annotated[int, Meta(ge=1, le=1000)] = 100
    min_joints: Annotated[int, Meta(ge=1)] = 3
    min_score: Share = 0.15

    def check(self, skeleton: Skeleton, input: InputSpec, outputs: Sequence[str], where: str) -> None:
        """Check the parameters against the rest of the contract, see `Codec.check`."""
        choose(self.rule, RULES, "codec.grid", where)
        super().check(skeleton, input, outputs, where)
        apart = skeleton.unreached() if skeleton.limbs else skeleton.joints
        if apart:
            raise SpecError(
                f"{where}: codec 'pifpaf' joins people by limbs, and the limbs of skeleton {skeleton.name!r} do not "
                f"reach {', '.join(apart)}; give a skeleton table whose limbs connect all joints, in the order of "
                "the association fields"
            )

    def shapes(self, skeleton: Skeleton, input: InputSpec) -> tuple[tuple[Axis, ...], ...]:
        """Return the shapes of the decoded outputs for one image, see `Codec.shapes`."""
        return (
            ((len(skeleton),), (INTENSITY,), "h", "w"),
            ((len(skeleton.limbs),), (ASSOCIATION,), "h", "w"),
        )

    def decode(
        self, outputs: Sequence[Array], flipped: Sequence[Array] | None, inverse: Array, contract: ModelSpec
    ) -> People:
        """Turn outputs into joints in the image, see `Codec.decode`."""
        given = outputs if flipped is None else self.merge_flip(outputs, flipped, contract)
        intensity, association = (np.asarray(values[0], np.float32) for values in given)
        people = people_of(intensity, association, np.array(contract.skeleton.limb_indices()), self)
        found = without_doubles(people, len(contract.skeleton))
        to_image = cells_to_image(self.rule, (*intensity.shape[2:],), contract.input.size, inverse[0])
        score = np.array([score_of(row) for row in found[..., 2]])
        there = found[..., 2] > 0
        kept = [
            row
            for row in np.argsort(-score, kind="stable")
            if there[row].sum() >= self.min_joints and score[row] >= self.min_score
        ]
        xy_image = np.where(there[..., None], apply_affine(to_image, found[..., :2]), 0.0)
        return with_boxes(
            xy_image[kept].astype(np.float32), found[kept, :, 2].astype(np.float32), score[kept].astype(np.float32)
        )

    def merge_flip(self, outputs: Sequence[Array], flipped: Sequence[Array], contract: ModelSpec) -> tuple[Array, ...]:
        """Average the outputs with those for the mirrored crops, see `Codec.merge_flip`.

        Places and scales are averaged by the confidences, since a field says nothing where its confidence is 0.
        """
        skeleton = contract.skeleton
        last = np.float32(outputs[0].shape[-1] - 1)
        intensity = flipped[0][:, list(skeleton.flip_order()), ..., ::-1].astype(np.float32)
        intensity[:, :, 2] = last - intensity[:, :, 2]
        order, way = mirrored_limbs(np.array(skeleton.limb_indices()), skeleton.flip_order())
        association = flipped[1][:, order, ..., ::-1].astype(np.float32)
        association[:, :, [2, 4]] = last - association[:, :, [2, 4]]
        turned = association[:, way < 0]
        association[:, way < 0] = turned[:, :, [0, 1, 4, 5, 2, 3, 7, 6]]
        return _weighted(outputs[0], intensity), _weighted(outputs[1], association)

    def check_flip(self, skeleton: Skeleton) -> None:
        """Raise SpecError where outputs for a mirrored image cannot be averaged, see `Codec.check_flip`."""
        refuse_flip(self.rule, self.name)
        mirrored_limbs(np.array(skeleton.limb_indices()), skeleton.flip_order())

    def device_problem(self, flip_test: bool) -> str | None:
        """Say why outputs cannot be decoded on the device, see `Codec.device_problem`."""
        return "codec 'pifpaf' puts people together on the CPU"


def _weighted(mine: Array, other: Array) -> Array:
    """[1, M, C, h, w] float32: the mean of the first two components, and of the others by the confidences."""
    mine = mine.astype(np.float32)
    total = mine[:, :, 1:2] + other[:, :, 1:2]
    share = np.where(total > 0, mine[:, :, 1:2] / np.where(total > 0, total, 1), np.float32(0.5))
    mean = share * mine + (1 - share) * other
    mean[:, :, :2] = (mine[:, :, :2] + other[:, :, :2]) * np.float32(0.5)
    return np.asarray(mean)
