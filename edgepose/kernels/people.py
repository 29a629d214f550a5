"""Bottom-up networks: lists of peaks, and how well pairs of them make limbs. `edgepose.codecs.paf` defines both and
groups them to people.
"""

from __future__ import annotations

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.codecs import paf
from edgepose.codecs.overflow import overflowed
from edgepose.kernels.choice import native


def paf_peaks(
    maps: Array,  # [K, h, w] float32 or float16
    threshold: float,
    capacity: int,
    *,
    threads: int = 1,
) -> tuple[Array, Array]:
    """(peaks [K, P, 3] float32 of x, y, score in map pixels, counts [K] int32), as `codecs.paf.peaks`."""
    sizes = check_array("maps", maps, ("K", "h", "w"))
    if native is None:
        return paf.peaks(maps, threshold, capacity)
    peaks, counts = np.empty((sizes["K"], capacity, 3), np.float32), np.empty(sizes["K"], np.int32)
    native.paf_peaks(np.ascontiguousarray(maps), threshold, peaks, counts, threads)
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
) -> Array:
    """[L, P, P] float32: how well two peaks make a limb, as `codecs.paf.scores`."""
    if native is None:
        return paf.scores(fields, peaks, counts, limbs, samples, threshold, ratio)
    out = np.empty((len(fields), peaks.shape[1], peaks.shape[1]), np.float32)
    pairs = np.ascontiguousarray(limbs, np.int32).reshape(-1, 2)
    found, listed = np.ascontiguousarray(peaks, np.float32), np.ascontiguousarray(counts, np.int32)
    whole = np.ascontiguousarray(fields)
    if not native.paf_score(whole, found, listed, pairs, samples, threshold, paf.needed(samples, ratio), out, 1):
        raise overflowed("part affinity fields")
    return out
