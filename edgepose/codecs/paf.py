"""Part affinity fields: everyone in a frame at once. The written definition, in plain numpy.

Cao et al., "Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields", CVPR 2017. A network gives
one map a joint (section 2.2) and one field of vectors a limb (section 2.3), which points along the limb of
whoever covers the pixel. Decoding is peaks -> scores of every pair a limb could join -> people (section 2.4),
three functions, of which the first two are image operations and the last runs on the host.

Coordinates are map pixels with centers at integers. `limbs` [L, 2] are joint indices, in the order of fields.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.artifacts.spec import CodecSpec
from edgepose.codecs import heatmap
from edgepose.codecs.overflow import refuse_overflow
from edgepose.errors import ModelError, SpecError
from edgepose.pose.geometry import Size, apply_affine, compose_affine, grid_affine

NEIGHBORS = tuple((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0))


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


def peaks(
    maps: Array,  # [K, h, w] float32 or float16
    threshold: float,
    capacity: int,
) -> tuple[Array, Array]:
    """The peaks of each map: (peaks [K, P, 3] float32 of x, y, score, P = capacity; counts [K] int32).

    A pixel is a peak where it is above the threshold and the highest of its 3x3 neighborhood; of equal
    neighbors the first in raster order is. Peaks are listed in raster order, the first `capacity` of them,
    and rows after them are 0; `counts` is how many there are. A parabola through the pixel and its two
    neighbors refines each axis by at most half a pixel; none at the border of that axis. The score is the
    pixel's. Raises ModelError for maps that are not finite.
    """
    check_array("maps", maps, ("K", "h", "w"))
    refuse_overflow(maps, "joint maps")
    maps = np.asarray(maps, np.float32)
    joint, y, x = np.nonzero(_highest(maps) & (maps > np.float32(threshold)))
    counts = np.bincount(joint, minlength=len(maps)).astype(np.int32)
    place = np.arange(len(joint)) - (np.cumsum(counts) - counts)[joint]
    kept = place < capacity
    joint, y, x, place = joint[kept], y[kept], x[kept], place[kept]
    found = np.zeros((len(maps), capacity, 3), np.float32)
    found[joint, place, 0] = x + _parabola(maps[joint, y], x)
    found[joint, place, 1] = y + _parabola(maps[joint, :, x], y)
    found[joint, place, 2] = maps[joint, y, x]
    return found, counts


def _highest(maps: Array) -> Array:
    """[K, h, w] bool: above each neighbor that comes earlier in raster order, not below one that comes later."""
    height, width = maps.shape[1:]
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    best = np.ones(maps.shape, bool)
    for dy, dx in NEIGHBORS:
        other = padded[:, 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        best &= maps > other if (dy, dx) < (0, 0) else maps >= other
    return best


def _parabola(lines: Array, at: Array) -> Array:
    """[M] float64: from place `at` [M] of each line [M, n] to the top of the parabola through its neighbors."""
    row, last = np.arange(len(lines)), lines.shape[1] - 1
    step = ((at > 0) & (at < last)).astype(int)  # 0 at the border: all three are the peak, and flat
    before, peak, after = (lines[row, at + way * step].astype(np.float64) for way in (-1, 0, 1))
    curve = before - 2 * peak + after
    bent = curve < 0
    return np.where(bent, np.clip(0.5 * (before - after) / np.where(bent, curve, 1.0), -0.5, 0.5), 0.0)


def needed(samples: int, ratio: float) -> int:
    """How many of the samples of a limb must be above the threshold."""
    return math.ceil(ratio * samples - 1e-9)  # 0.55 * 20 is 11, not 11.000000000000002


def scores(
    fields: Array,  # [L, 2, h, w] float32 or float16
    peaks: Array,  # [K, P, 3] float32, from `peaks`
    counts: Array,  # [K] int
    limbs: Array,  # [L, 2] int
    samples: int = 10,
    threshold: float = 0.05,
    ratio: float = 0.8,
) -> Array:
    """[L, P, P] float32: how well limb l joins peak i of its first joint to peak j of its second (section 2.3).

    The mean, over `samples` evenly spaced points from peak to peak, both included, of the field (bilinear)
    times the unit vector from peak to peak. 0 where fewer than `ratio` of the samples are above `threshold`,
    where the mean is not above 0, where the peaks coincide, and beyond the counts. Raises ModelError where a
    sample is not finite, whatever the others are; what is not sampled is not looked at.
    """
    count = check_array("fields", fields, ("L", 2, "h", "w"))["L"]
    joints, capacity = peaks.shape[:2]
    check_array("peaks", peaks, (joints, capacity, 3))
    check_array("counts", counts, (joints,))
    check_array("limbs", limbs, (count, 2))
    if len(limbs) and not (np.min(limbs) >= 0 and np.max(limbs) < joints):
        raise ValueError(f"limbs: expected indices of {joints} joints, got {np.asarray(limbs).tolist()}")
    if samples < 2:
        raise ValueError(f"samples: expected at least 2, got {samples}")
    listed = np.minimum(counts, capacity)
    found = np.zeros((count, capacity, capacity), np.float32)
    for limb, (a, b) in enumerate(np.asarray(limbs).tolist()):
        starts, ends = peaks[a, : listed[a], :2], peaks[b, : listed[b], :2]
        along, length = _along(fields[limb], starts, ends, samples)
        mean = along.mean(axis=-1)
        enough = (along > threshold).sum(axis=-1) >= needed(samples, ratio)
        unfit = (length == 0) | (np.isfinite(mean) & ~(enough & (mean > 0)))
        found[limb, : listed[a], : listed[b]] = np.where(unfit, 0.0, mean)
    refuse_overflow(found, "part affinity fields")
    return found


def _along(field: Array, starts: Array, ends: Array, samples: int) -> tuple[Array, Array]:
    """(field along each limb [A, B, samples], length [A, B]) from starts [A, 2] to ends [B, 2], in float64."""
    step = ends[None].astype(np.float64) - starts[:, None]
    length = np.hypot(step[..., 0], step[..., 1])
    unit = step / np.where(length > 0, length, 1.0)[..., None]
    share = np.linspace(0.0, 1.0, samples)[:, None]
    sampled = _bilinear(field, starts[:, None, None] + share * step[:, :, None])
    with np.errstate(invalid="ignore"):  # of an overflowed field: `scores` refuses what comes of it
        return (sampled * unit[:, :, None]).sum(axis=-1), length


def _bilinear(field: Array, xy: Array) -> Array:
    """[..., 2] float64: the field [2, h, w] between its pixels at xy [..., 2], taken to the nearest edge."""
    last = np.array(field.shape[:0:-1]) - 1  # x, y
    inside = np.clip(xy, 0, last)
    low = np.floor(inside).astype(int)
    high, part = np.minimum(low + 1, last), inside - low
    field = field.astype(np.float64)
    (x0, y0), (x1, y1) = np.moveaxis(low, -1, 0), np.moveaxis(high, -1, 0)
    across, down = part[..., 0], part[..., 1]
    with np.errstate(invalid="ignore"):
        top = field[:, y0, x0] * (1 - across) + field[:, y0, x1] * across
        bottom = field[:, y1, x0] * (1 - across) + field[:, y1, x1] * across
        return np.moveaxis(top * (1 - down) + bottom * down, 0, -1)


@dataclass(frozen=True, kw_only=True)
class People:
    """M people, the surest first. peaks: [M, K] int32, each joint's place among its peaks, -1 where none was
    found. scores: [M] float32, the mean of a person's peak scores and limb scores."""

    peaks: Array  # [M, K] int32
    scores: Array  # [M] float32


@dataclass
class _Person:
    """joints: joint -> its peak. evidence: the scores of peaks and limbs so far."""

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
) -> People:
    """Peaks joined to people, greedily, limb after limb (section 2.4).

    Of a limb's pairs the best is taken first (the lowest indices where several are equal), and a peak takes
    part in one pair of a limb. A pair starts a person, adds a joint to one, or merges two that have no joint in
    common; a pair that would give a person a second peak of a joint is left out. So a peak belongs to one
    person at most. People with fewer than `min_joints` joints or a score below `min_score` are dropped.
    Raises ModelError when a map has more peaks than are listed.
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


def _as_people(found: list[_Person], joints: int, min_joints: int, min_score: float) -> People:
    score = np.array([np.mean(person.evidence) for person in found], np.float32)
    size = np.array([len(person.joints) for person in found], int)
    kept = [i for i in np.argsort(-score, kind="stable") if size[i] >= min_joints and score[i] >= min_score]
    places = np.full((len(kept), joints), -1, np.int32)
    for row, i in zip(places, kept, strict=True):
        row[list(found[i].joints)] = list(found[i].joints.values())
    return People(peaks=places, scores=score[kept])


def joints_of(people: People, peaks: Array, to_image: Array) -> tuple[Array, Array]:
    """(xy_image [M, K, 2] float32, scores [M, K] float32) of the people's peaks, by the map's matrix [2, 3].

    A joint that was not found lies at (0, 0) with score 0.
    """
    there = people.peaks >= 0
    found = peaks[np.arange(people.peaks.shape[1]), people.peaks]
    xy_image = np.where(there[..., None], apply_affine(to_image, found[..., :2].astype(np.float64)), 0.0)
    return xy_image.astype(np.float32), np.where(there, found[..., 2], np.float32(0))


def people_in_image(
    peaks: Array,  # [K, P, 3] float32
    counts: Array,  # [K] int
    scores: Array,  # [L, P, P] float32
    limbs: Array,  # [L, 2] int
    to_image: Array,  # [2, 3] float, map -> image
    codec: CodecSpec,
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
    codec: CodecSpec,
) -> tuple[Array, Array, Array]:
    """All three steps, with what `people_in_image` returns. Raises ModelError as `peaks`, `scores` and `group`."""
    check_array("inverse", inverse, (2, 3))
    check_array("fields", fields, (len(limbs), 2, *maps.shape[1:]))
    found, counts = peaks(maps, codec.peak_threshold, codec.capacity)
    affinities = scores(fields, found, counts, limbs, codec.limb_samples, codec.limb_threshold, codec.limb_ratio)
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


def mirrored_limbs(limbs: Array, flip_order: Sequence[int]) -> tuple[list[int], Array]:
    """For each limb, the one that takes its place in the mirrored image, and -1 where that runs the other way.

    SpecError for a limb whose mirror the skeleton does not have.
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
