"""Agreement without labels: how many joints a quantized network moves, and what accuracy that predicts.

`displacement` compares the joints of a network with those of the float network on the same crops. A joint has moved if
its distance from the float network's joint is more than a fraction (`THRESHOLDS`) of the person's torso.
`predicted_retention` turns the shares of moved joints into the accuracy that the network retains at least, by a
conservative linear model. The model was fitted to measurements of labeled people, benchmarks/results/displacement.csv
(made by benchmarks/displacement.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.pose.skeletons import Skeleton

THRESHOLDS = (0.05, 0.1)
DIAGONALS = (("left_shoulder", "right_hip"), ("right_shoulder", "left_hip"))
TORSO_OF_BOX = 0.33  # length of the torso over the larger side of the box around the joints

# Metric -> its loss for each unit of the shares of `THRESHOLDS`, relative to the float network's value. Fitted to
# benchmarks/results/displacement.csv at the 90 % quantile: of the 40 graphs of which at most 6 % of the joints moved by
# 0.1, 33 to 35 lose no more than predicted. Graphs that move more joints fail any reasonable limit.
LOSS: Mapping[str, tuple[float, ...]] = {
    "pck@0.2": (0.085, 0.214),
    "pck@0.1": (0.604, 0.391),
    "pcp@0.5": (0.007, 0.433),
    "oks_ap": (0.091, 0.180),
}

# The same at the 50 % quantile: what a graph typically loses.
TYPICAL: Mapping[str, tuple[float, ...]] = {
    "pck@0.2": (0.027, 0.0),
    "pck@0.1": (0.388, 0.0),
    "pcp@0.5": (0.0, 0.062),
    "oks_ap": (0.0, 0.0),
}


@dataclass(frozen=True, kw_only=True)
class Displacement:
    """How many joints of each person have moved.

    Attributes:
        moved: [N, T] float64, the share of the person's joints that moved by more than each of the T `THRESHOLDS`,
            with each joint weighted by its certainty; NaN for a person of whom no joint is counted.
    """

    moved: Array

    @property
    def people(self) -> int:
        """Number of people of whom a joint is counted."""
        return int(np.isfinite(self.moved[:, 0]).sum())

    @property
    def shares(self) -> Array:
        """[T] float64: the mean over people of each share; NaN where nobody is counted."""
        counted = self.moved[np.isfinite(self.moved[:, 0])]
        return np.asarray(counted.mean(axis=0)) if len(counted) else np.full(self.moved.shape[1], np.nan)


def displacement(
    expected_xy: Array, found_xy: Array, skeleton: Skeleton, *, expected_scores: Array | None = None
) -> Displacement:
    """Measure which joints a network places elsewhere than the float network does.

    Args:
        expected_xy: [N, K, 2] float, the float network's joints, in pixels of the image or of the crop.
        found_xy: [N, K, 2] float, the joints of the other network in the same space. A joint that is not finite has
            moved.
        skeleton: The K joints.
        expected_scores: [N, K] float, the scores of the float network's joints. A joint that the network is not sure
            of, such as a leg outside the image, may move without a loss. It weighs its score over the median of all
            scores, at most 1. None weighs every joint alike.

    Returns:
        The shares of moved joints of each person.
    """
    people = check_array("expected_xy", expected_xy, ("N", len(skeleton), 2))["N"]
    check_array("found_xy", found_xy, (people, len(skeleton), 2))
    length = torso_length(expected_xy, skeleton)
    weight = (np.isfinite(expected_xy).all(axis=2) & (length > 0)[:, None]).astype(np.float64)
    if expected_scores is not None:
        check_array("expected_scores", expected_scores, (people, len(skeleton)))
        weight *= certainty(expected_scores)
    with np.errstate(invalid="ignore", over="ignore"):
        offset = np.asarray(found_xy, np.float64) - np.asarray(expected_xy, np.float64)
        distance = np.hypot(offset[..., 0], offset[..., 1])
    distance = np.where(np.isnan(distance), np.inf, distance)
    each = weight.sum(axis=1)  # [N]
    moved = [(weight * (distance > limit * length[:, None])).sum(axis=1) for limit in THRESHOLDS]
    shares = np.stack(moved, axis=1) / np.where(each > 0, each, 1.0)[:, None]
    return Displacement(moved=np.where(each[:, None] > 0, shares, np.nan))


def certainty(scores: Array) -> Array:
    """Return how much each joint weighs by its score [N, K]: the score over the median of all, from 0 to 1."""
    median = float(np.median(scores)) if scores.size else 0.0
    if not median > 0:
        return np.ones(scores.shape)
    return np.asarray(np.clip(np.asarray(scores, np.float64) / median, 0.0, 1.0))


def torso_length(xy: Array, skeleton: Skeleton) -> Array:
    """Return the longer diagonal of each torso, shoulder to opposite hip.

    Args:
        xy: [N, K, 2] float.
        skeleton: The K joints.

    Returns:
        [N] float64 in the unit of `xy`. For skeletons without a torso it is `TORSO_OF_BOX` of the larger side of the
        box around the joints. Half of that is the least that a torso counts for, since it may be seen end on. 0 where
        no joint is finite.
    """
    xy = np.asarray(xy, np.float64)
    known = np.asarray(np.isfinite(xy).all(axis=2, keepdims=True))
    low = np.where(known, xy, np.inf).min(axis=1, initial=np.inf)
    high = np.where(known, xy, -np.inf).max(axis=1, initial=-np.inf)
    box = np.where(known.any(axis=(1, 2)), (high - low).max(axis=1, initial=-np.inf), 0.0)
    ends = [(skeleton.index(a), skeleton.index(b)) for a, b in DIAGONALS if {a, b} <= set(skeleton.joints)]
    if not ends:
        return np.asarray(TORSO_OF_BOX * box)
    sides = np.stack([np.hypot(*np.moveaxis(xy[:, a] - xy[:, b], -1, 0)) for a, b in ends])
    torso = np.nan_to_num(sides, nan=0.0, posinf=0.0).max(axis=0)
    return np.asarray(np.maximum(torso, TORSO_OF_BOX * box / 2))


def predicted_loss(measured: Displacement, weights: Mapping[str, tuple[float, ...]] = LOSS) -> dict[str, Array]:
    """Predict the relative loss of each metric, person by person.

    Args:
        measured: The joints that moved.
        weights: `LOSS` for a conservative prediction, `TYPICAL` for what is likely.

    Returns:
        Metric -> [M] float64, the loss of each counted person; its mean is the predicted loss.
    """
    moved = measured.moved[np.isfinite(measured.moved[:, 0])]
    return {metric: np.asarray(moved @ np.array(each)) for metric, each in weights.items()}


def predicted_retention(measured: Displacement) -> dict[str, float]:
    """Predict what is retained of each metric, conservatively.

    Returns:
        Metric -> its value over that of the float network, at most 1; empty where nobody is counted.
    """
    if not measured.people:
        return {}
    return {metric: max(0.0, 1.0 - float(loss.mean())) for metric, loss in predicted_loss(measured).items()}
