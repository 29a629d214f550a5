"""Mean squared error: the threshold with the smallest squared error of rounding and clipping together."""

from __future__ import annotations

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.quantize.ranges.estimator import STEPS, Estimator
from edgepose.quantize.statistics import Observed

_CANDIDATES = 128  # thresholds that are tried, from a 64th of the largest value up, 3 % apart


def mse(seen: Observed, options: QuantizeOptions) -> float:
    """Return the candidate threshold with the least squared error, values taken as even within each bin."""
    histogram, largest = seen["histogram"], seen["range"].magnitude
    edges = np.linspace(0.0, histogram.limit, histogram.counts.size + 1)
    candidates = np.geomspace(largest / 64, largest, _CANDIDATES)
    errors = [_squared_error(edges, histogram.counts, threshold) for threshold in candidates]
    return float(candidates[int(np.argmin(errors))])


def _squared_error(edges: Array, counts: Array, threshold: float) -> float:
    """The sum over all values of the squared error of rounding up to `threshold` and clipping beyond it.

    Integrated over each bin, not taken at its center: bins may be wider than a step, and then centers lie.
    The first bin counts as exact zeros, which nearly all of it is behind a ReLU.
    """
    scale = threshold / STEPS
    kept = np.minimum(edges, threshold)
    steps = np.rint(kept / scale)
    # from 0 up to each edge: whole steps, the rest of the last one, and what is clipped
    integral = steps * scale**3 / 12 + (kept - steps * scale) ** 3 / 3 + (edges - kept) ** 3 / 3
    return float(np.sum(counts[1:] * np.diff(integral)[1:]) / edges[1])


MSE = Estimator(name="mse", threshold=mse, needs=("histogram",))
