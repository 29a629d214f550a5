"""How sure a metric is, and what a second engine keeps of it: the paired bootstrap.

Efron's percentile bootstrap (1979): draw as many people as there are, with replacement, a thousand times;
the metric over each draw is a sample of what another test set of that kind would have shown, and the middle
95 % of them is the interval. A draw is a row of weights, how often each person was drawn, so a thousand
draws are one matrix product and no person is measured twice.

Two engines are compared on the same draws: their errors on the same hard person cancel in the ratio, which
makes the interval of the retention far narrower than those of the two values. For average precision the
unit that is drawn is the image, because its people share one list of scores.

An interval around "nothing lost" says little without the smallest change that so many people could have
shown (`smallest_change`): 2.80 standard errors of the paired ratio, the change that a 95 % interval tells
from none in four of five such test sets (1.960 + 0.842, a two-sided test at 5 % with power 80 %). Two engines
that differ on nobody have no spread, and still cannot be told apart beyond a few people: a loss on m people
is missing from a share exp(-m) of the draws, so below m = -ln 2.5 % = 3.7, that is with fewer than four, no
interval excludes "no change". Four hits are therefore the floor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array, check_array

PERCENTILES = (2.5, 97.5)
STANDARD_ERRORS = 2.80  # 1.960 + 0.842
FEWEST = 4  # people who must change for a percentile interval to show it


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


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What an engine keeps of another: the ratio with its interval, and the smallest change that n shows.

    `smallest` is on the scale of the ratio: with 0.02, a true retention of 98 % would have been told from
    100 % in four of five test sets of this size.
    """

    interval: Interval
    smallest: float


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

    Every counted joint of every person weighs the same, as in MPII's toolkit; where everything is labeled,
    as in LSP, that is also the mean over joints.
    """
    counted = np.isfinite(hits)
    return float(hits[counted].mean()) if counted.any() else float("nan")


def resampled_hits(
    hits: Array,  # [N, K] float, 0..1 or NaN
    weights: Array,  # [B, N] float, from `resamples`
) -> Resampled:
    """`pooled` over everybody and over each draw."""
    n = check_array("hits", hits, ("N", "K"))["N"]
    check_array("weights", weights, ("B", n))
    right = weights @ np.nansum(hits, axis=1)
    total = weights @ np.isfinite(hits).sum(axis=1).astype(np.float64)
    return Resampled(value=pooled(hits), values=_share(right, total))


def resampled_parts(hits: Array, weights: Array) -> list[Resampled]:
    """`resampled_hits` of each column of hits [N, K] by itself, K of them."""
    n = check_array("hits", hits, ("N", "K"))["N"]
    check_array("weights", weights, ("B", n))
    counted = np.isfinite(hits)
    right = weights @ np.where(counted, hits, 0.0)  # [B, K]
    values = _share(right, weights @ counted.astype(np.float64))
    return [Resampled(value=pooled(hits[:, [k]]), values=values[:, k]) for k in range(hits.shape[1])]


def _share(right: Array, total: Array) -> Array:
    return np.asarray(np.divide(right, total, out=np.full(right.shape, np.nan), where=total > 0))


def interval(metric: Resampled) -> Interval:
    """The value with its 95 % percentile interval; draws where it is undefined are left out.

    Average precision jumps where two predictions change places, so that its value over everybody may be beyond
    nearly all draws; the interval then reaches to it, and is wider than 95 % rather than beside its own value.
    ValueError when the value itself, or every draw of it, is undefined: nothing was counted.
    """
    defined = metric.values[np.isfinite(metric.values)]
    if not np.isfinite(metric.value) or not len(defined):
        raise ValueError("metric: expected a counted entry in the whole and in at least one draw, got none")
    low, high = np.percentile(defined, PERCENTILES)
    return Interval(value=metric.value, low=min(float(low), metric.value), high=max(float(high), metric.value))


def ratio(base: Resampled, other: Resampled) -> Resampled:
    """other / base, everybody and draw by draw; both must come from the same draws.

    ValueError when base is zero, since there is nothing to keep. A draw where it is zero is left out.
    """
    check_array("other.values", other.values, base.values.shape)
    if not base.value > 0:
        raise ValueError(f"base: expected a value above 0, got {base.value}")
    values = np.full(base.values.shape, np.nan)
    np.divide(other.values, base.values, out=values, where=base.values > 0)
    return Resampled(value=other.value / base.value, values=values)


def retention(base: Resampled, other: Resampled, counted: float) -> Kept:
    """other / base with its 95 % interval and the smallest change that could have been seen. As `ratio`.

    counted: of how many joints, limbs or people the metric is the share; it sets the floor of four hits.
    """
    kept = ratio(base, other)
    return Kept(interval=interval(kept), smallest=smallest_change(kept, FEWEST / (counted * base.value)))


def smallest_change(kept: Resampled, floor: float) -> float:
    """The change of a ratio told from none in four of five test sets like this one; at least `floor`."""
    defined = kept.values[np.isfinite(kept.values)]
    return max(STANDARD_ERRORS * float(defined.std()), floor)
