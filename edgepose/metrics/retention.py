"""How sure a metric is, and what a second engine keeps of it: the paired bootstrap.

Efron's percentile bootstrap (1979): draw as many people as there are, with replacement, a thousand times;
the metric over each draw is a sample of what another test set of that kind would have shown, and the middle
95 % of them is the interval. A draw is a row of weights, how often each person was drawn, so a thousand
draws are one matrix product and no person is measured twice.

Two engines are compared on the same draws: their errors on the same hard person cancel in the ratio, which
makes the interval of the retention far narrower than those of the two values. For average precision the
unit that is drawn is the image, because its people share one list of scores.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array, check_array

PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Resampled:
    """A metric over everybody (`value`) and over each draw (`values` [B], NaN where undefined)."""

    value: float
    values: Array  # [B] float64


def resamples(count: int, *, n_boot: int = 1000, seed: int = 0) -> Array:
    """[n_boot, count] float64: how often each of `count` people (or images) is in each draw of `count`.

    The same arguments give the same draws: that is what pairs two engines.
    """
    if count < 1 or n_boot < 1:
        raise ValueError(f"expected at least one person and one draw, got count={count}, n_boot={n_boot}")
    random = np.random.default_rng(seed)
    weights = np.empty((n_boot, count))
    for row in weights:
        row[:] = np.bincount(random.integers(count, size=count), minlength=count)
    return weights


def pooled(hits: Array) -> float:
    """The mean of the counted entries of hits [N, K] (NaN = not counted); NaN when none is counted.

    Every counted joint of every person weighs the same, as in MPII's mean; where everything is labelled,
    as in LSP, that is also the mean over joints.
    """
    counted = np.isfinite(hits)
    return float(hits[counted].mean()) if counted.any() else float("nan")


def resampled_hits(
    hits: Array,  # [N, K] float, 1 / 0 / NaN
    weights: Array,  # [B, N] float, from `resamples`
) -> Resampled:
    """`pooled` over everybody and over each draw."""
    n = check_array("hits", hits, ("N", "K"))["N"]
    check_array("weights", weights, ("B", n))
    right = weights @ np.nansum(hits, axis=1)
    total = weights @ np.isfinite(hits).sum(axis=1).astype(np.float64)
    values = np.divide(right, total, out=np.full(len(weights), np.nan), where=total > 0)
    return Resampled(value=pooled(hits), values=values)


def interval(metric: Resampled) -> Interval:
    """The value with its 95 % percentile interval; draws where it is undefined are left out.

    ValueError when the value itself, or every draw of it, is undefined: nothing was counted.
    """
    defined = metric.values[np.isfinite(metric.values)]
    if not np.isfinite(metric.value) or not len(defined):
        raise ValueError("metric: expected a counted entry in the whole and in at least one draw, got none")
    low, high = np.percentile(defined, PERCENTILES)
    return Interval(value=metric.value, low=float(low), high=float(high))


def retention(base: Resampled, other: Resampled) -> Interval:
    """other / base with its 95 % interval; both must come from the same draws.

    ValueError when base is zero, since there is nothing to keep. A draw where it is zero is left out.
    """
    check_array("other.values", other.values, base.values.shape)
    if not base.value > 0:
        raise ValueError(f"base: expected a value above 0, got {base.value}")
    ratio = np.full(base.values.shape, np.nan)
    np.divide(other.values, base.values, out=ratio, where=base.values > 0)
    return interval(Resampled(value=other.value / base.value, values=ratio))
