"""Curves over thresholds, and the area under them: what PCK, PDJ, PCKh and the 3-D PCK have in common.

All of them ask which share of joints is off by no more than a threshold. `errors` [N, K] is how far each
joint is off in units of its reference length (or in millimeters): NaN where the joint is not counted,
infinite where it was not predicted. From that one array come hits at a threshold, curves and areas.

Two areas are in use, and they differ:
- the trapezium rule over the thresholds, divided by their range: the PDJ curves of Sapp & Taskar (CVPR 2013)
  and the PCKh curves of MPII's toolkit (`area_under_curve(scale01(range), ...)`), both over 0, 0.01 ... 0.5;
- the plain mean over the thresholds: Mehta et al. (3DV 2017) over 0, 5 ... 150 mm.
Either is a weighted sum of the hits at each threshold, so it is a mean over joints of a number from 0 to 1:
`area_hits` gives that number, and whatever takes hits (means, bootstrap, retention) takes it too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array, check_array

FRACTIONS = np.arange(51) / 100  # 0 ... 0.5 of a reference length


def within(errors: Array, threshold: float, *, strict: bool = False) -> Array:
    """[N, K] float64: 1 where errors [N, K] are at most `threshold` (below it if `strict`), else 0; NaN stays."""
    near = errors < threshold if strict else errors <= threshold
    return np.where(np.isnan(errors), np.nan, near)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The share of hits at T thresholds: `pooled` over all counted joints, `parts` joint by joint."""

    thresholds: Array  # [T]
    pooled: Array  # [T] float64, NaN where nothing is counted
    parts: Array  # [T, K] float64


def curve(errors: Array, thresholds: Array = FRACTIONS, *, strict: bool = False) -> Curve:
    """The curve of errors [N, K] at rising thresholds [T]."""
    check_array("errors", errors, ("N", "K"))
    _check_rising(thresholds)
    counted = (~np.isnan(errors)).sum(axis=0)  # [K]
    ordered = np.sort(errors, axis=0).T  # NaN and infinity last, beyond every threshold
    hits = np.stack([np.searchsorted(row, thresholds, "left" if strict else "right") for row in ordered], axis=1)
    with np.errstate(invalid="ignore"):  # 0 / 0: nobody counted
        return Curve(
            thresholds=np.asarray(thresholds, np.float64),
            pooled=hits.sum(axis=1) / counted.sum(),
            parts=hits / counted,
        )


def trapezium(thresholds: Array) -> Array:
    """[T] float64: weights whose sum is 1, so that weights @ curve is the trapezium area over the range."""
    _check_rising(thresholds)
    steps = np.diff(thresholds)
    weights = np.zeros(len(thresholds))
    weights[:-1] += steps / 2
    weights[1:] += steps / 2
    return np.asarray(weights / steps.sum())


def mean_weights(thresholds: Array) -> Array:
    """[T] float64: equal weights, for the area that is the mean over the thresholds."""
    return np.full(len(thresholds), 1 / len(thresholds))


def area_hits(errors: Array, thresholds: Array, weights: Array, *, strict: bool = False) -> Array:
    """[N, K] float64: each joint's share of the area, 0..1; NaN where it is not counted.

    The mean over the counted joints is the area under their curve, with `weights` [T] from `trapezium` or
    `mean_weights`.
    """
    _check_rising(thresholds)
    check_array("weights", weights, (len(thresholds),))
    beyond = np.concatenate([np.cumsum(weights[::-1])[::-1], [0.0]])  # what thresholds from t on weigh
    at = np.searchsorted(thresholds, errors, side="right" if strict else "left")
    return np.where(np.isnan(errors), np.nan, beyond[at])


def _check_rising(thresholds: Array) -> None:
    if np.ndim(thresholds) != 1 or len(thresholds) < 2 or not (np.diff(thresholds) > 0).all():
        raise ValueError(f"thresholds: expected two or more rising numbers, got {np.asarray(thresholds).tolist()}")
