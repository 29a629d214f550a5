"""Operations for part affinity fields: lists of peaks, and how well two peaks make a limb.

`edgepose.codecs.affinity` defines both; `edgepose.codecs.paf` calls them and groups peaks to people.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.codecs import affinity
from edgepose.codecs.overflow import overflowed
from edgepose.kernels.arrays import floats, packed
from edgepose.kernels.choice import native


def paf_peaks(
    maps: Array,  # [K, h, w] float32 or float16
    threshold: float,
    capacity: int,
    *,
    threads: int = 1,
) -> tuple[Array, Array]:
    """Find the peaks of joint maps, as `codecs.affinity.peaks`.

    Args:
        maps: [K, h, w] float32 or float16.
        threshold: The value that a peak must exceed.
        capacity: The number P of peaks that are listed per map.
        threads: The highest number of threads.

    Returns:
        Peaks [K, P, 3] float32 (x, y in map pixels, score) and counts [K] int32.

    Raises:
        ValueError: If arrays do not fit.
        ModelError: If the maps hold NaN or infinity.
    """
    _check_maps("maps", maps, ("K", "h", "w"))
    if capacity < 0:
        raise ValueError(f"capacity: expected at least 0, got {capacity}")
    if native is None:
        return affinity.peaks(maps, threshold, capacity)
    peaks, counts = np.empty((len(maps), capacity, 3), np.float32), np.empty(len(maps), np.int32)
    native.paf_peaks(*floats(maps), threshold, peaks, counts, threads)
    if counts.min(initial=0) < 0:
        raise overflowed("joint maps")
    return peaks, counts


def paf_score(
    fields: Array,  # [L, 2, h, w] float32 or float16
    peaks: Array,  # [K, P, 3] float32
    counts: Array,  # [K] int32
    limbs: Array,  # [L, 2] int
    samples: int = 10,
    threshold: float = 0.05,
    ratio: float = 0.8,
    *,
    threads: int = 1,
) -> Array:
    """Score how well two peaks make a limb, as `codecs.affinity.scores`.

    Args:
        fields: [L, 2, h, w] float32 or float16.
        peaks: [K, P, 3] float32.
        counts: [K] int32.
        limbs: [L, 2] int, joint indices.
        samples: The number of points at which a field is read.
        threshold: The value that the field along the limb must exceed at a point.
        ratio: The share of the points at which it must.
        threads: The highest number of threads.

    Returns:
        [L, P, P] float32.

    Raises:
        ValueError: If arrays do not fit, or peaks are not finite.
        ModelError: If a sampled value is NaN or infinity.
    """
    _check_maps("fields", fields, ("L", 2, "h", "w"))
    if not np.isfinite(peaks).all():
        raise ValueError("peaks: expected finite numbers")
    if native is None:
        return affinity.scores(fields, peaks, counts, limbs, samples, threshold, ratio)
    out = np.empty((len(fields), peaks.shape[1], peaks.shape[1]), np.float32)
    pairs, listed = packed(limbs, np.int32), packed(counts, np.int32)
    found, needed = packed(peaks, np.float32), affinity.needed(samples, ratio)
    if not native.paf_score(*floats(fields), found, listed, pairs, samples, threshold, needed, out, threads):
        raise overflowed("part affinity fields")
    return out


def _check_maps(name: str, maps: Array, shape: Sequence[int | str]) -> None:
    sizes = check_array(name, maps, shape)
    if not sizes["h"] * sizes["w"]:
        raise ValueError(f"{name}: expected at least one pixel, got {list(maps.shape)}")
