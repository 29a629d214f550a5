"""Associative embedding: everyone in a frame, joints grouped by tags. The written definition, in plain numpy.

Newell et al., "Associative Embedding", NIPS 2017, section 3.2; HigherHRNet (Cheng et al., CVPR 2020) decodes in the
same way. The network returns one map per joint and one map of tags per joint. Joints of one person have similar tags.
The peaks of one joint after the other are matched with the people so far, by the distance of the tag to the mean tag of
each person (an assignment of the lowest total cost); a peak whose tag is far from everyone's starts a new person.

Coordinates are map cells; `grid` (see `codecs.cells`) says what a cell stands for in the input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from msgspec import Meta

from edgepose._checks import Array, check_array
from edgepose.artifacts.tables import choose
from edgepose.codecs import flips
from edgepose.codecs.assignment import assign
from edgepose.codecs.cells import RULES, cells_to_image, nearest, refuse_flip
from edgepose.codecs.codec import Axis, Codec, People
from edgepose.codecs.overflow import refuse_overflow
from edgepose.codecs.paf import with_boxes
from edgepose.errors import ModelError, SpecError
from edgepose.errors import nearest as nearest_name
from edgepose.pose.geometry import apply_affine

if TYPE_CHECKING:
    from edgepose.artifacts.spec import InputSpec, ModelSpec
    from edgepose.pose.skeletons import Skeleton

FindPeaks = Callable[[Array, float, int], tuple[Array, Array]]
NotNegative = Annotated[float, Meta(ge=0)]

# The published order: the head and the trunk, whose joints are found most surely, before the limbs.
ORDER = ("nose", "eye", "ear", "head_top", "neck", "thorax", "shoulder", "pelvis", "hip", "elbow", "wrist", "knee")


@dataclass
class _Person:
    """A person while joints are added.

    Attributes:
        joints: Joint index -> x, y (cells) and score.
        tags: The tag of each joint so far, [T] each.
    """

    joints: dict[int, Array] = field(default_factory=dict)
    tags: list[Array] = field(default_factory=list)

    def add(self, joint: int, peak: Array, tag: Array) -> None:
        self.joints[joint] = peak
        self.tags.append(tag)

    def center(self) -> Array:
        return np.asarray(np.mean(self.tags, axis=0))


def group(
    peaks: Sequence[Array],  # K of [P, 3]
    tags: Sequence[Array],  # K of [P]
    order: Sequence[int],
    *,
    tag_threshold: float,
    max_people: int,
) -> list[_Person]:
    """Group the peaks of all joints to people by their tags, one joint after the other.

    A peak costs 100 times its rounded tag distance to a person, less its score, as in the published code: the score
    decides between tags that are equally near.

    Args:
        peaks: For each joint [P, 3] float: x and y in cells, score.
        tags: For each joint [P] float: the tag of each peak.
        order: The order in which joints are grouped.
        tag_threshold: A peak whose tag is this far or farther from everyone's starts a person.
        max_people: The highest number of people; peaks that would start more are left out.

    Returns:
        The people.
    """
    people: list[_Person] = []
    for joint in order:
        found, tag = peaks[joint], tags[joint]
        taken = _matches(found, tag, people)
        for row in range(len(found)):
            person = taken[row] if taken[row] < len(people) else -1
            if person >= 0 and abs(float(tag[row] - people[person].center())) < tag_threshold:
                people[person].add(joint, found[row], tag[row])
            elif len(people) < max_people:
                people.append(_Person())
                people[-1].add(joint, found[row], tag[row])
    return people


def _matches(peaks: Array, tags: Array, people: list[_Person]) -> list[int]:
    """The index of the person whom each peak is matched with; len(people) or more for nobody."""
    if not people or not len(peaks):
        return [len(people)] * len(peaks)
    centers = np.array([person.center() for person in people])
    away = np.abs(tags[:, None].astype(np.float64) - centers)
    costs = np.round(away) * 100 - peaks[:, 2:]
    spare = np.full((len(peaks), max(0, len(peaks) - len(people))), 1e10)
    return [int(column) for column in assign(np.concatenate([costs, spare], axis=1))]


def fill(people: list[_Person], maps: Array, tags: Array, tag_threshold: float) -> None:
    """Give people the joints that they lack, in place: the best cell whose tag is the person's.

    HigherHRNet's published code does this. Here a cell must also be within the tag threshold, so that nobody gets the
    joint of somebody else.

    Args:
        people: From `group`.
        maps: [K, h, w] float32.
        tags: [K, h, w] float32.
        tag_threshold: The tag distance that a cell must stay below.
    """
    for person in people:
        center = person.center()
        for joint in sorted(set(range(len(maps))) - set(person.joints)):
            away = np.abs(tags[joint] - center)
            value = np.where(away < tag_threshold, maps[joint] - np.round(away), -np.inf)
            y, x = np.unravel_index(int(np.argmax(value)), value.shape)
            if np.isfinite(value[y, x]) and maps[joint, y, x] > 0:
                person.joints[joint] = np.array([x, y, maps[joint, y, x]], np.float32)


def people_of(
    maps: Array,  # [K, h, w]
    tags: Array,  # [K, h, w]
    to_image: Array,  # [2, 3]
    order: Sequence[int],
    codec: AssociativeCodec,
    find_peaks: FindPeaks,
) -> People:
    """Find the people of one image.

    Args:
        maps: [K, h, w] float.
        tags: [K, h, w] float.
        to_image: [2, 3] float, cells -> image pixels.
        order: The order in which joints are grouped.
        codec: The parameters.
        find_peaks: `affinity.peaks`, or a faster twin of it.

    Returns:
        The people, the highest score first.

    Raises:
        ModelError: If the outputs are not finite, or a map has more peaks than the codec's capacity.
    """
    check_array("tags", tags, maps.shape)
    refuse_overflow(tags, "tag maps")
    maps, tags = (np.ascontiguousarray(values, np.float32) for values in (maps, tags))
    listed, counts = find_peaks(maps, codec.peak_threshold, codec.capacity)
    if counts.max(initial=0) > codec.capacity:
        raise ModelError(
            f"the map of joint {int(np.argmax(counts))} has {counts.max()} peaks, and {codec.capacity} are listed; "
            "raise the peak threshold of the codec, or its capacity where there are so many people"
        )
    peaks, found_tags = [], []
    for joint, (rows, count) in enumerate(zip(listed, counts, strict=True)):
        best = rows[:count][np.argsort(-rows[:count, 2], kind="stable")[: codec.candidates]]
        x, y = nearest(best[:, :2], (maps.shape[1], maps.shape[2])).T
        peaks.append(best)
        found_tags.append(tags[joint, y, x])
    people = group(peaks, found_tags, order, tag_threshold=codec.tag_threshold, max_people=codec.max_people)
    if codec.fill:
        fill(people, maps, tags, codec.tag_threshold)
    return _placed(people, len(maps), to_image, codec)


def _placed(people: list[_Person], joints: int, to_image: Array, codec: AssociativeCodec) -> People:
    found = np.zeros((len(people), joints, 3))
    for row, person in zip(found, people, strict=True):
        for joint, peak in person.joints.items():
            row[joint] = peak
    there = found[..., 2] > 0
    score = found[..., 2].mean(axis=1) if joints else np.zeros(len(people))  # as published: of all joints
    kept = [
        row
        for row in np.argsort(-score, kind="stable")
        if there[row].sum() >= codec.min_joints and score[row] >= codec.min_score
    ]
    xy_image = np.where(there[..., None], apply_affine(to_image, found[..., :2]), 0.0)
    return with_boxes(
        xy_image[kept].astype(np.float32), found[kept, :, 2].astype(np.float32), score[kept].astype(np.float32)
    )


@dataclass(frozen=True, kw_only=True)
class AssociativeCodec(Codec):
    """Joint maps and maps of tags, by which the joints of everyone in an image are grouped.

    Attributes:
        rule: `grid` in the contract: what a cell stands for in the input, 'centers', 'stride' or 'corners'.
        peak_threshold: The value that a peak of a joint map must exceed.
        capacity: The highest number of peaks per joint map.
        candidates: The number of peaks per joint map, the highest first, that are grouped.
        tag_threshold: The tag distance to everyone from which on a peak starts a new person.
        max_people: The highest number of people.
        order: The names of all joints in the order in which they are grouped; empty for head and trunk first.
        fill: Whether people get the joints that they lack from the cells with their tag.
        min_joints: A person with fewer joints is dropped.
        min_score: A person whose mean joint score is lower is dropped.
    """

    name: ClassVar[str] = "associative"
    decodes: ClassVar[tuple[str, ...]] = ("joint maps", "tag maps")
    output_names: ClassVar[tuple[str, ...]] = ("heatmaps", "tags")
    finds_people: ClassVar[bool] = True

    rule: str = field(default="centers", metadata={"key": "grid"})
    peak_threshold: NotNegative = 0.1
    capacity: Annotated[int, Meta(ge=1, le=1000)] = 200
    candidates: Annotated[int, Meta(ge=1, le=1000)] = 30
    tag_threshold: Annotated[float, Meta(gt=0)] = 1.0
    max_people: Annotated[int, Meta(ge=1, le=1000)] = 30
    order: tuple[str, ...] = ()
    fill: bool = True
    min_joints: Annotated[int, Meta(ge=1)] = 3
    min_score: NotNegative = 0.1

    def check(self, skeleton: Skeleton, input: InputSpec, outputs: Sequence[str], where: str) -> None:
        """Check the parameters against the rest of the contract, see `Codec.check`."""
        choose(self.rule, RULES, "codec.grid", where)
        for joint in self.order:
            if joint not in skeleton.joints:
                raise SpecError(
                    f"{where}: codec.order names unknown joint {joint!r}{nearest_name(joint, skeleton.joints)}"
                )
        super().check(skeleton, input, outputs, where)
        if self.order and sorted(self.order) != sorted(skeleton.joints):
            raise SpecError(
                f"{where}: codec.order must name each of the {len(skeleton)} joints of skeleton {skeleton.name!r} once"
            )

    def joint_order(self, skeleton: Skeleton) -> tuple[int, ...]:
        """Return the indices of the joints in the order in which they are grouped.

        Args:
            skeleton: The joints of the contract.
        """
        if self.order:
            return tuple(skeleton.index(joint) for joint in self.order)
        parts = [joint.removeprefix("left_").removeprefix("right_") for joint in skeleton.joints]
        ranks = [ORDER.index(part) if part in ORDER else len(ORDER) for part in parts]
        return tuple(sorted(range(len(parts)), key=ranks.__getitem__))

    def shapes(self, skeleton: Skeleton, input: InputSpec) -> tuple[tuple[Axis, ...], ...]:
        """Return the shapes of the decoded outputs for one image, see `Codec.shapes`."""
        return ((len(skeleton),), "h", "w"), ((len(skeleton),), "h", "w")

    def decode(
        self, outputs: Sequence[Array], flipped: Sequence[Array] | None, inverse: Array, contract: ModelSpec
    ) -> People:
        """Turn outputs into joints in the image, see `Codec.decode`."""
        from edgepose.kernels import paf_peaks

        maps, tags = outputs if flipped is None else self.merge_flip(outputs, flipped, contract)
        to_image = cells_to_image(self.rule, (maps.shape[2], maps.shape[3]), contract.input.size, inverse[0])
        return people_of(maps[0], tags[0], to_image, self.joint_order(contract.skeleton), self, paf_peaks)

    def merge_flip(self, outputs: Sequence[Array], flipped: Sequence[Array], contract: ModelSpec) -> tuple[Array, ...]:
        """Average the joint maps, see `Codec.merge_flip`; the tags stay those of the image that is not mirrored.

        The tags of two runs have no common zero, so a mean of them says nothing.
        """
        order = contract.skeleton.flip_order()
        return flips.merge_flip(outputs[0], flipped[0], order), outputs[1].astype(np.float32)

    def check_flip(self, skeleton: Skeleton) -> None:
        """Raise SpecError where the maps of a mirrored image cannot be averaged, see `Codec.check_flip`."""
        refuse_flip(self.rule, self.name)

    def device_problem(self, flip_test: bool) -> str | None:
        """Say why outputs cannot be decoded on the device, see `Codec.device_problem`."""
        return "codec 'associative' puts people together on the CPU"
