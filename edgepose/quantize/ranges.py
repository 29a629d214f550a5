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
_CANDIDATES = 112  # thresholds that mse tries, from an eighth of the histogram up


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
    """The candidate threshold with the least squared error, each bin taken at its centre."""
    width = seen.limit / seen.counts.size
    centres = (np.arange(seen.counts.size) + 0.5) * width
    centres[0] = 0.0  # nearly all of it is exact zeros behind a ReLU
    candidates = np.linspace(seen.limit / 8, seen.limit, _CANDIDATES, endpoint=False)
    candidates = np.append(candidates[candidates < seen.magnitude], seen.magnitude)
    errors = [_squared_error(centres, seen.counts, threshold) for threshold in candidates]
    return float(candidates[int(np.argmin(errors))])


def _squared_error(centres: Array, counts: Array, threshold: float) -> float:
    scale = threshold / STEPS
    rounded = np.minimum(np.rint(centres / scale), STEPS) * scale
    return float(np.sum(counts * np.square(rounded - centres)))


class Method(NamedTuple):
    threshold: Callable[[Observed, CalibrationOptions], float]
    parameters: tuple[str, ...] = ()  # the options it reads; they are kept in scales.json


METHODS: dict[str, Method] = {
    "minmax": Method(minmax),
    "percentile": Method(percentile, ("percentile",)),
    "mse": Method(mse),
}


DEFAULT = CalibrationOptions()


def choose(seen: Observed, options: CalibrationOptions) -> TensorRange:
    """The tensor's range with the scale that `options.method` gives it; scale 0 for one that is always 0."""
    threshold = METHODS[options.method].threshold(seen, options) if seen.magnitude > 0 else 0.0
    return TensorRange(min=seen.low, max=seen.high, scale=float(np.float32(threshold / STEPS)))
