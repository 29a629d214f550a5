"""Peaks joined to people, limb after limb: the host's part of `codecs.paf`, in plain numpy.

Section 2.4 of Cao et al., CVPR 2017.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.errors import ModelError, SpecError
from edgepose.pose.geometry import apply_affine


@dataclass(frozen=True, kw_only=True)
class Grouped:
    """M people, the highest score first.

    Attributes:
        peaks: [M, K] int32, the index of each joint among the peaks of its map; -1 for a joint that was not found.
        scores: [M] float32, the mean of a person's peak scores and limb scores.
    """

    peaks: Array  # [M, K] int32
    scores: Array  # [M] float32


@dataclass
class _Person:
    """A person while limbs are added.

    Attributes:
        joints: Joint index -> peak index.
        evidence: The scores of the peaks and limbs so far.
    """

    joints: dict[int, int] = field(default_factory=dict)
    evidence: list[float] = field(default_factory=list)


def group(
    peaks: Array,  # [K, P, 3] float32
    counts: Array,  # [K] int
    scores: Array,  # [L, P, P] float32
    limbs: Array,  # [L, 2] int
    *,
    min_joints: int = 4,
    min_score: float = 0.2,
) -> Grouped:
    """Join peaks to people, greedily, limb after limb (section 2.4).

    Of a limb's pairs the best comes first (the lowest indices where several are equal), and a peak takes part in one
    pair per limb. A pair starts a person, adds a joint to a person, or merges two people that have no joint in common.
    A pair that would give a person a second peak of a joint is left out, so a peak belongs to one person at most.

    Args:
        peaks: [K, P, 3] float32, from `affinity.peaks`.
        counts: [K] int, the number of peaks of each map.
        scores: [L, P, P] float32, from `affinity.scores`.
        limbs: [L, 2] int, joint indices.
        min_joints: A person with fewer joints is dropped.
        min_score: A person with a lower score is dropped.

    Returns:
        The people.

    Raises:
        ModelError: If a map has more peaks than are listed.
    """
    joints, capacity = peaks.shape[:2]
    check_array("scores", scores, (len(limbs), capacity, capacity))
    _refuse_crowd(counts, capacity)
    owners: dict[tuple[int, int], _Person] = {}  # (joint, peak) -> who has it
    for limb, (a, b) in enumerate(np.asarray(limbs).tolist()):
        for i, j in _pairs(scores[limb]):
            mine = _owner(owners, (a, i), peaks)
            other = _owner(owners, (b, j), peaks)
            if mine is other or not mine.joints.keys() & other.joints.keys():
                mine.evidence.append(float(scores[limb, i, j]))
                _merge(owners, mine, other)
    unique = {id(person): person for person in owners.values()}
    return _as_people(list(unique.values()), joints, min_joints, min_score)


def _refuse_crowd(counts: Array, capacity: int) -> None:
    fullest = int(np.argmax(counts)) if len(counts) else 0
    if len(counts) and counts[fullest] > capacity:
        raise ModelError(
            f"the map of joint {fullest} has {counts[fullest]} peaks, and {capacity} are listed; raise the "
            "peak threshold of the codec, or its capacity where there are so many people"
        )


def _pairs(scores: Array) -> Iterator[tuple[int, int]]:
    """(i, j) of scores [P, P] above 0, the best first, no row and no column twice."""
    starts, ends = np.nonzero(scores > 0)
    rows: set[int] = set()
    columns: set[int] = set()
    for at in np.argsort(-scores[starts, ends], kind="stable"):
        i, j = int(starts[at]), int(ends[at])
        if i not in rows and j not in columns:
            rows.add(i)
            columns.add(j)
            yield i, j


def _owner(owners: dict[tuple[int, int], _Person], peak: tuple[int, int], peaks: Array) -> _Person:
    """Who has the peak; a person of this one joint when nobody has."""
    joint, at = peak
    return owners.get(peak) or _Person({joint: at}, [float(peaks[joint, at, 2])])


def _merge(owners: dict[tuple[int, int], _Person], mine: _Person, other: _Person) -> None:
    if other is not mine:
        mine.joints |= other.joints
        mine.evidence += other.evidence
    owners.update(dict.fromkeys(mine.joints.items(), mine))


def _as_people(found: list[_Person], joints: int, min_joints: int, min_score: float) -> Grouped:
    score = np.array([np.mean(person.evidence) for person in found], np.float32)
    size = np.array([len(person.joints) for person in found], int)
    kept = [i for i in np.argsort(-score, kind="stable") if size[i] >= min_joints and score[i] >= min_score]
    places = np.full((len(kept), joints), -1, np.int32)
    for row, i in zip(places, kept, strict=True):
        row[list(found[i].joints)] = list(found[i].joints.values())
    return Grouped(peaks=places, scores=score[kept])


def joints_of(people: Grouped, peaks: Array, to_image: Array) -> tuple[Array, Array]:
    """Place the joints of people in the image.

    Args:
        people: The people, M.
        peaks: [K, P, 3] float32, from `affinity.peaks`.
        to_image: [2, 3] float, map pixels -> image pixels.

    Returns:
        xy_image [M, K, 2] float32 and scores [M, K] float32. A joint that was not found is at (0, 0) with score 0.
    """
    there = people.peaks >= 0
    found = peaks[np.arange(people.peaks.shape[1]), people.peaks]
    xy_image = np.where(there[..., None], apply_affine(to_image, found[..., :2].astype(np.float64)), 0.0)
    return xy_image.astype(np.float32), np.where(there, found[..., 2], np.float32(0))


def mirrored_limbs(limbs: Array, flip_order: Sequence[int]) -> tuple[list[int], Array]:
    """Find the mirror of each limb.

    Args:
        limbs: [L, 2] int, joint indices.
        flip_order: `Skeleton.flip_order()`.

    Returns:
        The index of the limb that takes each limb's place in the mirrored image, and [L] float32: -1 where that limb
        runs from the other end, else 1.

    Raises:
        SpecError: If the skeleton does not have the mirror of a limb.
    """
    pairs = [(int(a), int(b)) for a, b in limbs]
    order, way = [], []
    for a, b in pairs:
        mirror = flip_order[a], flip_order[b]
        if mirror not in pairs and mirror[::-1] not in pairs:
            raise SpecError(
                f"limb {a}-{b} has no mirror {mirror[0]}-{mirror[1]} in the skeleton; run without flip test"
            )
        way.append(1 if mirror in pairs else -1)
        order.append(pairs.index(mirror if mirror in pairs else mirror[::-1]))
    return order, np.array(way, np.float32)
