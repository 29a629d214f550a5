"""Peaks of joint maps, and how well two peaks make a limb: the image operations of `codecs.paf`, in plain numpy.

Section 2.2 and 2.3 of Cao et al., CVPR 2017. Coordinates are map pixels with centers at integers; `limbs` [L, 2] are
joint indices, in the order of the fields.
"""

from __future__ import annotations

import math

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.codecs.overflow import refuse_overflow

NEIGHBORS = tuple((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0))


def peaks(
    maps: Array,  # [K, h, w] float32 or float16
    threshold: float,
    capacity: int,
) -> tuple[Array, Array]:
    """Find the peaks of each joint map.

    A pixel is a peak where it is above the threshold and the highest of its 3x3 neighborhood; of equal neighbors, the
    first in raster order is the peak. A parabola through the pixel and its two neighbors refines each axis by at most
    half a pixel; at the border of an axis that axis is not refined. The score is the value of the pixel.

    Args:
        maps: [K, h, w] float32 or float16.
        threshold: The value that a peak must exceed.
        capacity: The number P of peaks that are listed per map, in raster order.

    Returns:
        Peaks [K, P, 3] float32 (x, y in map pixels, score; 0 beyond the last peak), and counts [K] int32, how many
        peaks there are, which may exceed P.

    Raises:
        ModelError: If the maps hold NaN or infinity.
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
    """Return how many samples of a limb must be above the threshold.

    Args:
        samples: The number of samples.
        ratio: The share that must be above it, 0 to 1.
    """
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
    """Score how well each limb joins each peak of its first joint to each peak of its second joint (section 2.3).

    The score is the mean, over evenly spaced points from peak to peak (both included), of the field (bilinear) times
    the unit vector from peak to peak.

    Args:
        fields: [L, 2, h, w] float32 or float16, x and y of the field of each limb.
        peaks: [K, P, 3] float32, from `peaks`.
        counts: [K] int, the number of peaks of each map.
        limbs: [L, 2] int, joint indices.
        samples: The number of points.
        threshold: The value that the product must exceed at a point.
        ratio: The share of the points at which it must.

    Returns:
        [L, P, P] float32. 0 where too few points are above the threshold, where the mean is not above 0, where the
        peaks coincide, and beyond the counts.

    Raises:
        ModelError: If a sampled value is not finite, whatever the others are. Other values are not examined.
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
