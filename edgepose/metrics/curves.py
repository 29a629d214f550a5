"""Curves over thresholds and the area under them, which PCK, PDJ, PCKh and the 3-D PCK have in common.

All of them measure the fraction of joints whose error is at most a threshold. `errors` [N, K] holds the distance of
each joint from its label in units of its reference length (or in millimeters). It is NaN where the joint is not
counted, and infinite where the joint was not predicted. Hits at a threshold, curves and areas follow from this array.

Two definitions of the area are in use, and they differ:

- The trapezium rule over the thresholds, divided by their range. The PDJ curves of Sapp & Taskar (CVPR 2013) and the
  PCKh curves of MPII's toolkit (`area_under_curve(scale01(range), ...)`) use it, both over 0, 0.01 ... 0.5.
- The plain mean over the thresholds. Mehta et al. (3DV 2017) use it over 0, 5 ... 150 mm.

Either area is a weighted sum of the hits at each threshold, so it is the mean over joints of a number from 0 to 1.
`area_hits` computes that number, and means, bootstrap and retention treat it like a hit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array, check_array

FRACTIONS = np.arange(51) / 100  # 0 ... 0.5 of a reference length


def within(errors: Array, threshold: float, *, strict: bool = False) -> Array:
    """Compute hits at one threshold.

    Args:
        errors: [N, K] float.
        threshold: In the unit of `errors`.
        strict: Require errors below the threshold; by default an error equal to it is a hit.

    Returns:
        [N, K] float64: 1 for a hit, 0 for a miss, NaN where `errors` is NaN.
    """
    near = errors < threshold if strict else errors <= threshold
    return np.where(np.isnan(errors), np.nan, near)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The fraction of hits at T thresholds.

    Attributes:
        thresholds: [T] float64, rising.
        pooled: [T] float64, over all counted joints; NaN where nothing is counted.
        parts: [T, K] float64, joint by joint; NaN where the joint is not counted.
    """

    thresholds: Array
    pooled: Array
    parts: Array


def curve(errors: Array, thresholds: Array = FRACTIONS, *, strict: bool = False) -> Curve:
    """Compute the fraction of hits at every threshold.

    Args:
        errors: [N, K] float.
        thresholds: [T] float, rising, in the unit of `errors`.
        strict: Require errors below the threshold.

    Raises:
        ValueError: The thresholds do not rise.
    """
    check_array("errors", errors, ("N", "K"))
    _check_rising(thresholds)
    counted = (~np.isnan(errors)).sum(axis=0)  # [K]
    ordered = np.sort(errors, axis=0).T  # NaN and infinity are sorted last, beyond every threshold
    hits = np.stack([np.searchsorted(row, thresholds, "left" if strict else "right") for row in ordered], axis=1)
    with np.errstate(invalid="ignore"):  # 0 / 0: nobody counted
        return Curve(
            thresholds=np.asarray(thresholds, np.float64),
            pooled=hits.sum(axis=1) / counted.sum(),
            parts=hits / counted,
        )


def trapezium(thresholds: Array) -> Array:
    """Compute the weights of the trapezium rule.

    Args:
        thresholds: [T] float, rising.

    Returns:
        [T] float64 weights whose sum is 1, so that weights @ curve is the area divided by the range.
    """
    _check_rising(thresholds)
    steps = np.diff(thresholds)
    weights = np.zeros(len(thresholds))
    weights[:-1] += steps / 2
    weights[1:] += steps / 2
    return np.asarray(weights / steps.sum())


def mean_weights(thresholds: Array) -> Array:
    """Return equal weights [T] float64, for the area that is the mean over the thresholds [T]."""
    return np.full(len(thresholds), 1 / len(thresholds))


def area_hits(errors: Array, thresholds: Array, weights: Array, *, strict: bool = False) -> Array:
    """Compute the share of each joint in the area. The mean over the counted joints is the area under their curve.

    Args:
        errors: [N, K] float.
        thresholds: [T] float, rising, in the unit of `errors`.
        weights: [T] float, from `trapezium` or `mean_weights`.
        strict: Require errors below the threshold.

    Returns:
        [N, K] float64 from 0 to 1, NaN where not counted.
    """
    _check_rising(thresholds)
    check_array("weights", weights, (len(thresholds),))
    beyond = np.concatenate([np.cumsum(weights[::-1])[::-1], [0.0]])  # the sum of the weights from threshold t on
    at = np.searchsorted(thresholds, errors, side="right" if strict else "left")
    return np.where(np.isnan(errors), np.nan, beyond[at])


def _check_rising(thresholds: Array) -> None:
    if np.ndim(thresholds) != 1 or len(thresholds) < 2 or not (np.diff(thresholds) > 0).all():
        raise ValueError(f"thresholds: expected two or more rising numbers, got {np.asarray(thresholds).tolist()}")
