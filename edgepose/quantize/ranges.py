"""Methods that turn observed activations into one symmetric int8 quantization scale.

    minmax       The largest absolute value: nothing is clipped. The default.
    percentile   The value that `percentile` percent of all absolute values stay under: outliers are clipped.
    mse          The threshold with the smallest squared error of rounding and clipping together.

The scale is threshold / 127, so int8 -128 is never needed and zero stays zero. To add a method, write its function,
add a line to `METHODS` with the statistics and options that it reads, and its name to `artifacts.quantization.METHODS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.scales import TensorRange
from edgepose.quantize.statistics import Observed

STEPS = 127
_CANDIDATES = 128  # thresholds that mse tries, from a 64th of the largest value up, 3 % apart


def minmax(seen: Observed, options: QuantizeOptions) -> float:
    """Return the largest absolute value."""
    return float(seen["range"].magnitude)


def percentile(seen: Observed, options: QuantizeOptions) -> float:
    """Return the upper edge of the bin in which the percentile lies, at most the largest value."""
    histogram, extent = seen["histogram"], seen["range"]
    reached = np.cumsum(histogram.counts) >= options.percentile / 100 * extent.total
    edge = float(np.argmax(reached) + 1) * histogram.limit / histogram.counts.size
    return min(float(edge), float(extent.magnitude))


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


class Method(NamedTuple):
    """A method, the statistics that it needs in addition to "range", and the options that scales.json keeps of it."""

    threshold: Callable[[Observed, QuantizeOptions], float]
    needs: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()


METHODS: dict[str, Method] = {
    "minmax": Method(minmax),
    "percentile": Method(percentile, ("histogram",), ("percentile",)),
    "mse": Method(mse, ("histogram",)),
}


def choose(seen: Observed, options: QuantizeOptions) -> TensorRange:
    """Return a tensor's range with the scale that the method gives it; scale 0 for a tensor that is always 0."""
    extent = seen["range"]
    threshold = METHODS[options.method].threshold(seen, options) if extent.magnitude > 0 else 0.0
    statistics = {name: value for name, value in seen.to_json().items() if name != "range"}
    return TensorRange(
        min=extent.low, max=extent.high, scale=float(np.float32(threshold / STEPS)), statistics=statistics
    )
