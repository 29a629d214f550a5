"""Percentile: the value that a given percentage of all absolute values stay under, so that outliers are clipped."""

from __future__ import annotations

import numpy as np

from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.quantize.ranges.estimator import Estimator
from edgepose.quantize.statistics import Observed


def percentile(seen: Observed, options: QuantizeOptions) -> float:
    """Return the upper edge of the bin in which the percentile lies, at most the largest value."""
    histogram, extent = seen["histogram"], seen["range"]
    reached = np.cumsum(histogram.counts) >= options.percentile / 100 * extent.total
    edge = float(np.argmax(reached) + 1) * histogram.limit / histogram.counts.size
    return min(float(edge), float(extent.magnitude))


PERCENTILE = Estimator(name="percentile", threshold=percentile, needs=("histogram",), parameters=("percentile",))
