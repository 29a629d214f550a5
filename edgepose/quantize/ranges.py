"""Ranges: from what a tensor did to one symmetric int8 scale.

    minmax       the largest absolute value: nothing is clipped. The default: over 100 photographs it kept
                 99.9 % of PCK on a heatmap network.
    percentile   the value that `percentile` percent of all values stay under: outliers are clipped.
    mse          the threshold with the least squared error of rounding and clipping together.

The scale is threshold / 127, so int8 -128 is never needed and zero stays zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.scales import TensorRange
from edgepose.errors import UsageError, nearest

STEPS = 127
_CANDIDATES = 128  # thresholds that mse tries, from a 64th of the largest value up, 3 % apart


class Observed(Protocol):
    """What `observe.Statistics` knows: see there."""

    low: float
    high: float
    limit: float
    total: int
    counts: Array  # [BINS] int64 over absolute values [0, limit)

    @property
    def magnitude(self) -> float: ...


@dataclass(frozen=True, kw_only=True)
class CalibrationOptions:
    """method: a key of METHODS. percentile: for that method, in percent, above 50 up to 100."""

    method: str = "minmax"
    percentile: float = 99.99

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(f"calibration method {self.method!r}{nearest(self.method, METHODS)}")
        if not 50 < self.percentile <= 100:
            raise UsageError(f"percentile = {self.percentile}; expected above 50 up to 100, such as 99.99")


def minmax(seen: Observed, options: CalibrationOptions) -> float:
    return seen.magnitude


def percentile(seen: Observed, options: CalibrationOptions) -> float:
    """The upper edge of the bin in which the percentile lies, at most the largest value."""
    reached = np.cumsum(seen.counts) >= options.percentile / 100 * seen.total
    return min(float(np.argmax(reached) + 1) * seen.limit / seen.counts.size, seen.magnitude)


def mse(seen: Observed, options: CalibrationOptions) -> float:
    """The candidate threshold with the least squared error, values taken as even within each bin."""
    edges = np.linspace(0.0, seen.limit, seen.counts.size + 1)
    candidates = np.geomspace(seen.magnitude / 64, seen.magnitude, _CANDIDATES)
    errors = [_squared_error(edges, seen.counts, threshold) for threshold in candidates]
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
    threshold: Callable[[Observed, CalibrationOptions], float]
    parameters: tuple[str, ...] = ()  # the options it reads; they are kept in scales.json


METHODS: dict[str, Method] = {
    "minmax": Method(minmax),
    "percentile": Method(percentile, ("percentile",)),
    "mse": Method(mse),
}


def choose(seen: Observed, options: CalibrationOptions) -> TensorRange:
    """The tensor's range with the scale that `options.method` gives it; scale 0 for one that is always 0."""
    threshold = METHODS[options.method].threshold(seen, options) if seen.magnitude > 0 else 0.0
    return TensorRange(min=seen.low, max=seen.high, scale=float(np.float32(threshold / STEPS)))
