"""Entropy: the threshold whose int8 values keep most of the information of the histogram.

This is the rule of TensorRT's entropy calibrator (Migacz, "8-bit inference with TensorRT", GTC 2017): the histogram up
to the threshold, with all that is clipped in its last bin, is compared with the same histogram held in 128 levels. The
threshold with the smallest Kullback-Leibler divergence wins. Here about a hundred thresholds are tried, 3 % apart.
"""

from __future__ import annotations

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.quantize.ranges.estimator import STEPS, Estimator
from edgepose.quantize.statistics import Observed

LEVELS = STEPS + 1
_CANDIDATES = 96


def entropy(seen: Observed, options: QuantizeOptions) -> float:
    """Return the upper edge of the bin up to which the divergence is smallest, at most the largest value."""
    histogram, largest = seen["histogram"], float(seen["range"].magnitude)
    width = float(histogram.limit) / histogram.counts.size
    counts = histogram.counts.astype(np.float64)
    counts[0] = counts[1]  # nearly all of the first bin are the exact zeros behind a ReLU, which every scale keeps
    used = min(int(np.ceil(largest / width)), counts.size)
    if used <= LEVELS or not counts.any():
        return largest
    ends = np.unique(np.geomspace(LEVELS, used, _CANDIDATES).round().astype(int))
    divergences = [_divergence(counts, int(end)) for end in ends]
    return float(min(int(ends[int(np.argmin(divergences))]) * width, largest))


def _divergence(counts: Array, end: int) -> float:
    """Return the Kullback-Leibler divergence between the first `end` bins and the same in 128 levels, in nats."""
    kept = counts[:end]
    reference = kept.copy()
    reference[-1] += counts[end:].sum()
    filled = kept > 0
    level = np.arange(end) * LEVELS // end
    sums = np.bincount(level, kept, LEVELS)
    bins = np.maximum(np.bincount(level, filled, LEVELS), 1)
    quantized = np.where(filled, (sums / bins)[level], 0.0)
    total, mass = reference.sum(), quantized.sum()
    seen = reference > 0
    if not mass or not quantized[seen].all():
        return float("inf")  # a bin would have values in the one and none in the other
    share, held = reference[seen] / total, quantized[seen] / mass
    return float(np.sum(share * np.log(share / held)))


ENTROPY = Estimator(name="entropy", threshold=entropy, needs=("histogram",))
