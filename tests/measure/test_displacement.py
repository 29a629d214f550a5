"""Displacement: which joints count as moved, per person, and what retention is predicted from it."""

from __future__ import annotations

import numpy as np
import pytest

from edgepose.measure.displacement import LOSS, THRESHOLDS, TYPICAL, displacement, predicted_loss, predicted_retention
from edgepose.pose.skeletons import SKELETONS, Skeleton

COCO = SKELETONS["coco17"]
HAND = Skeleton(name="hand", joints=("wrist", "thumb", "index"))


def people(n: int = 3) -> np.ndarray:
    """[n, 17, 2]: people with a torso of 100 pixels from shoulder to opposite hip, in a box of 300 pixels."""
    xy = np.random.default_rng(0).uniform(0, 300, (n, 17, 2))
    for side, x in (("left", 60.0), ("right", 0.0)):
        xy[:, COCO.index(f"{side}_shoulder")] = x, 100
        xy[:, COCO.index(f"{side}_hip")] = x, 180
    return xy


def test_equal_joints_have_not_moved_and_retain_everything() -> None:
    same = displacement(people(), people(), COCO)
    assert same.people == 3
    assert same.shares.tolist() == [0.0] * len(THRESHOLDS)
    assert predicted_retention(same) == dict.fromkeys(LOSS, 1.0)


def test_a_joint_counts_from_its_fraction_of_the_torso() -> None:
    found = people()
    found[0, 0] += 4.9, 0
    found[1, 0] += 5.1, 0
    found[1, 1] += 0, 10.1
    found[2, 2] = np.nan
    moved = displacement(people(), found, COCO).moved * 17
    assert np.allclose(moved, [[0, 0], [2, 1], [1, 1]])


def test_without_a_torso_the_box_counts() -> None:
    expected = np.array([[[0.0, 0], [100, 0], [50, 50]]])
    found = expected + np.array([[[0, 0], [3.0, 0], [0, 3.5]]])
    assert np.allclose(displacement(expected, found, HAND).moved * 3, [[2, 1]])


def test_joints_that_the_float_network_is_not_sure_of_count_less() -> None:
    scores = np.full((3, 17), 0.8)
    scores[0, 0] = 0.0
    found = people()
    found[0, 0] += 50
    assert displacement(people(), found, COCO, expected_scores=scores).shares.tolist() == [0.0, 0.0]
    assert displacement(people(), found, COCO).shares[0] > 0


def test_a_person_without_counted_joints_is_left_out() -> None:
    expected = people()
    expected[1] = np.nan
    measured = displacement(expected, people(), COCO)
    assert measured.people == 2 and np.isnan(measured.moved[1]).all()
    assert all(len(loss) == 2 for loss in predicted_loss(measured).values())
    nobody = displacement(expected[1:2], expected[1:2], COCO)
    assert nobody.people == 0 and predicted_retention(nobody) == {}


def test_more_moved_joints_predict_less_retention() -> None:
    random = np.random.default_rng(1)
    steps = [predicted_retention(displacement(people(50), people(50) + random.normal(0, s, (50, 17, 2)), COCO))
             for s in (0, 2, 5, 20)]  # fmt: skip
    for metric in LOSS:
        values = [step[metric] for step in steps]
        assert values == sorted(values, reverse=True) and values[0] == 1 > values[-1]
    assert predicted_loss(displacement(people(), people() + 3, COCO))["pck@0.1"].mean() == pytest.approx(0, abs=1e-12)


def test_the_typical_loss_is_no_larger_than_the_conservative_one():
    assert TYPICAL.keys() == LOSS.keys()
    for metric, weights in LOSS.items():
        assert sum(TYPICAL[metric]) <= sum(weights) and TYPICAL[metric][0] <= weights[0]
