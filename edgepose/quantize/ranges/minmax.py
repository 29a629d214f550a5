"""Min-max: the largest absolute value, so that nothing is clipped."""

from __future__ import annotations

from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.quantize.ranges.estimator import Estimator
from edgepose.quantize.statistics import Observed


def minmax(seen: Observed, options: QuantizeOptions) -> float:
    """Return the largest absolute value."""
    return float(seen["range"].magnitude)


MINMAX = Estimator(name="minmax", threshold=minmax)
