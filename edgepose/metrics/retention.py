"""How certain a metric is, and how much of it a second engine retains: the paired bootstrap.

Efron's percentile bootstrap (1979): draw as many people as there are, with replacement, a thousand times. The metric
over each draw is a sample of what another test set of that kind would have shown, and the middle 95 % of the draws is
the confidence interval. A draw is a row of weights (how often each person was drawn), so a thousand draws are one
matrix product and no person is measured twice. The values may be hits (0 or 1) or real numbers such as errors in
pixels; the bootstrap of a mean does not distinguish them.

Retention is the fraction of the first engine's quality that another engine keeps. It is defined once, for both
directions, so that 1 (100 %) means that nothing was lost and a lower number is worse:

    higher is better   retention = value / first value
    lower is better    retention = first value / value     (an error twice as large is a retention of 50 %)

Two engines are compared on the same draws. Their errors on the same hard person cancel in the ratio, which makes the
interval of the retention far narrower than the intervals of the two values. For average precision the unit that is
drawn is the image, because the people of an image share one list of scores.

An interval around "nothing lost" says little without the smallest loss that this sample size can detect
(`detectable_loss`): 2.80 standard errors of the paired ratio, the change that a 95 % interval distinguishes from no
change in four of five such test sets (1.960 + 0.842, a two-sided test at 5 % with a power of 80 %). Two engines that
differ on nobody have no spread, and still cannot be distinguished beyond a few people: a loss on m people is missing
from a fraction exp(-m) of the draws, so below m = -ln 2.5 % = 3.7, that is with fewer than four people, no interval
excludes "no change". The floor is therefore four entries, each changed by a whole hit (for a fraction) or by as much
as the mean (for a metric without an upper bound).
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
    """A value and the two ends of its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Resampled:
    """A metric over everybody, and over each bootstrap draw.

    Attributes:
        value: The metric over everybody.
        values: [B] float64, the metric over each draw; NaN where it is undefined.
    """

    value: float
    values: Array


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How much of the first engine's quality another engine retains.

    Attributes:
        interval: The retention with its 95 % interval; 1 means that nothing was lost.
        detectable: The smallest retention loss that this sample size can detect at 95 % confidence. With 0.02, a true
            retention of 98 % would have been distinguished from 100 % in four of five test sets of this size.
    """

    interval: Interval
    detectable: float


def resamples(count: int, *, n_boot: int = 1000, seed: int = 0) -> Array:
    """Draw bootstrap weights. The same arguments give the same draws, which pairs two engines.

    Args:
        count: Number of people (or images).
        n_boot: Number of draws.
        seed: Seed of the random generator.

    Returns:
        [n_boot, count] float64: how often each person is in each draw of `count` people.

    Raises:
        ValueError: `count` or `n_boot` is below 1.
    """
    if count < 1 or n_boot < 1:
        raise ValueError(f"expected at least one person and one draw, got count={count}, n_boot={n_boot}")
    random = np.random.default_rng(seed)
    weights = np.empty((n_boot, count))
    for row in weights:
        row[:] = np.bincount(random.integers(count, size=count), minlength=count)
    return weights


def pooled(values: Array) -> float:
    """Compute the mean of the counted entries, NaN when none is counted.

    Every counted joint of every person weighs the same, as in MPII's toolkit. Where everything is labeled, as in LSP,
    this is also the mean over joints.

    Args:
        values: [N, K] float, NaN where not counted.
    """
    counted = np.isfinite(values)
    return float(values[counted].mean()) if counted.any() else float("nan")


def resampled_mean(values: Array, weights: Array) -> Resampled:
    """Compute `pooled` over everybody and over each draw.

    Args:
        values: [N, K] float, hits or real numbers; NaN where not counted.
        weights: [B, N] float, from `resamples`.
    """
    n = check_array("values", values, ("N", "K"))["N"]
    check_array("weights", weights, ("B", n))
    sums = weights @ np.nansum(values, axis=1)
    total = weights @ np.isfinite(values).sum(axis=1).astype(np.float64)
    return Resampled(value=pooled(values), values=_quotient(sums, total))


def resampled_means(values: Array, weights: Array) -> list[Resampled]:
    """Compute `resampled_mean` of each of the K columns of `values` [N, K]."""
    n = check_array("values", values, ("N", "K"))["N"]
    check_array("weights", weights, ("B", n))
    counted = np.isfinite(values)
    sums = weights @ np.where(counted, values, 0.0)  # [B, K]
    means = _quotient(sums, weights @ counted.astype(np.float64))
    return [Resampled(value=pooled(values[:, [k]]), values=means[:, k]) for k in range(values.shape[1])]


def _quotient(sums: Array, total: Array) -> Array:
    return np.asarray(np.divide(sums, total, out=np.full(sums.shape, np.nan), where=total > 0))


def interval(metric: Resampled) -> Interval:
    """Compute the 95 % percentile interval. Draws where the metric is undefined are left out.

    Average precision jumps where two predictions exchange ranks, so its value over everybody may lie beyond nearly all
    draws. The interval is then extended to the value, and covers more than 95 %.

    Raises:
        ValueError: The value, or every draw of it, is undefined: nothing was counted.
    """
    defined = metric.values[np.isfinite(metric.values)]
    if not np.isfinite(metric.value) or not len(defined):
        raise ValueError("metric: expected a counted entry in the whole and in at least one draw, got none")
    low, high = np.percentile(defined, PERCENTILES)
    return Interval(value=metric.value, low=min(float(low), metric.value), high=max(float(high), metric.value))


def ratio(base: Resampled, other: Resampled) -> Resampled:
    """Compute other / base over everybody and draw by draw. Both must come from the same draws.

    Draws where `base` is zero are undefined.

    Raises:
        ValueError: `base` is not above zero, so the ratio is undefined.
    """
    check_array("other.values", other.values, base.values.shape)
    if not base.value > 0:
        raise ValueError(f"base: expected a value above 0, got {base.value}")
    values = np.full(base.values.shape, np.nan)
    np.divide(other.values, base.values, out=values, where=base.values > 0)
    return Resampled(value=other.value / base.value, values=values)


def retention(
    base: Resampled, other: Resampled, counted: float, *, lower_is_better: bool = False, bounded: bool = True
) -> Retention:
    """Compute how much of `base` is retained by `other`, with its interval and the smallest detectable loss.

    Args:
        base: The metric of the first engine.
        other: The metric of the other engine, over the same draws.
        counted: Number of joints, limbs or people that the metric is the mean of.
        lower_is_better: Whether the metric is an error, so that the retention is base / other.
        bounded: Whether one entry changes by 1 at most, as a hit does. It sets the floor of `detectable`.

    Raises:
        ValueError: The denominator is not above zero, so the retention is undefined.
    """
    kept = ratio(other, base) if lower_is_better else ratio(base, other)
    floor = FEWEST / (counted * base.value) if bounded else FEWEST / counted
    return Retention(interval=interval(kept), detectable=detectable_loss(kept, floor))


def detectable_loss(kept: Resampled, floor: float) -> float:
    """Compute the loss of a retention that four of five test sets like this one distinguish from none.

    Args:
        kept: The retention and its draws.
        floor: The smallest number to return.
    """
    defined = kept.values[np.isfinite(kept.values)]
    return max(STANDARD_ERRORS * float(defined.std()), floor)
