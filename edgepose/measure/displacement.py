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
SURE = 0.3  # a joint whose score is below this share of the median score is a guess, and may move

# Metric -> its loss for each unit of the shares of `THRESHOLDS`, relative to the float network's value.
LOSS: Mapping[str, tuple[float, ...]] = {
    "pck@0.2": (0.02, 0.3),
    "pck@0.1": (0.15, 0.5),
    "pcp@0.5": (0.02, 0.4),
    "oks_ap": (0.1, 0.6),
}


@dataclass(frozen=True, kw_only=True)
class Displacement:
    """How many joints of each person have moved.

    Attributes:
        moved: [N, T] float64, the share of the person's counted joints that moved by more than each of the T
            `THRESHOLDS`; NaN for a person of whom no joint is counted.
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
        expected_scores: [N, K] float, the scores of the float network's joints. Joints that it is not sure of are not
            counted, such as legs outside the image: below `SURE` of the median score. None counts every joint.

    Returns:
        The shares of moved joints of each person.
    """
    people = check_array("expected_xy", expected_xy, ("N", len(skeleton), 2))["N"]
    check_array("found_xy", found_xy, (people, len(skeleton), 2))
    length = torso_length(expected_xy, skeleton)
    counted = np.isfinite(expected_xy).all(axis=2) & (length > 0)[:, None]
    if expected_scores is not None and expected_scores.size:
        check_array("expected_scores", expected_scores, (people, len(skeleton)))
        counted &= np.asarray(expected_scores) >= SURE * np.median(expected_scores)
    with np.errstate(invalid="ignore", over="ignore"):
        offset = np.asarray(found_xy, np.float64) - np.asarray(expected_xy, np.float64)
        distance = np.hypot(offset[..., 0], offset[..., 1])
    distance = np.where(np.isnan(distance), np.inf, distance)
    each = counted.sum(axis=1)  # [N]
    moved = [(counted & (distance > limit * length[:, None])).sum(axis=1) for limit in THRESHOLDS]
    shares = np.stack(moved, axis=1) / np.maximum(each, 1)[:, None]
    return Displacement(moved=np.where(each[:, None] > 0, shares, np.nan))


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


def predicted_loss(measured: Displacement) -> dict[str, Array]:
    """Predict the relative loss of each metric, person by person.

    Returns:
        Metric -> [M] float64, the loss of each counted person; its mean is the predicted loss.
    """
    moved = measured.moved[np.isfinite(measured.moved[:, 0])]
    return {metric: np.asarray(moved @ np.array(weights)) for metric, weights in LOSS.items()}


def predicted_retention(measured: Displacement) -> dict[str, float]:
    """Predict what is retained of each metric, conservatively.

    Returns:
        Metric -> its value over that of the float network, at most 1; empty where nobody is counted.
    """
    if not measured.people:
        return {}
    return {metric: max(0.0, 1.0 - float(loss.mean())) for metric, loss in predicted_loss(measured).items()}
