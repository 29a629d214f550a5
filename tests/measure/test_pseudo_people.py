"""Pseudo-labels of whole images: people of all copies, images without people, and images left out with their copies."""

from __future__ import annotations

import numpy as np
import pytest

from edgepose._checks import Array
from edgepose.measure.boxes import CORNERS
from edgepose.measure.predictions import Detected, Engine
from edgepose.measure.pseudo_people import pseudo_people
from edgepose.pose.skeletons import SKELETONS, Skeleton

COCO = SKELETONS["coco17"]


def found(image: list[int], xy: Array, scores: list[float], skeleton: Skeleton = CORNERS) -> Detected:
    return Detected(
        engine=Engine(path="", precision="", backend="", onnx_sha256="", skeleton=skeleton), boxes="itself",
        image=np.array(image, np.int64), xy_image=xy, scores=np.ones(xy.shape[:2]), box_scores=np.array(scores),
        area=np.ones(len(xy)), grouped=True,
    )  # fmt: skip


def boxes(*at: float) -> Array:
    """Boxes [P, 2, 2] of 20 x 40 pixels."""
    low = np.stack([np.array(at), np.zeros(len(at))], axis=1)
    return np.stack([low, low + np.array([20.0, 40.0])], axis=1)


def test_a_person_in_an_image_where_the_float_network_is_sure_of_nobody_is_a_false_one() -> None:
    first = found([0, 2], boxes(0, 50), [0.9, 0.9])
    labels = pseudo_people(first, [first, found([2], boxes(50), [0.9])], 4, ["box_ap", "box_ar"], 0.25)
    assert labels is not None and labels.count == 3  # two in the first copy, one in the second
    assert labels.numbers.shape == (2, 4) and sorted(labels.numbers.ravel()) == list(range(8))
    same = labels.retained(first)
    assert same["box_ap"].value == 1.0 and len(same["box_ap"].without) == 4  # images, not copies of images
    false = labels.retained(found([3, 0, 2], boxes(200, 0, 50), [0.95, 0.9, 0.9]))
    assert false["box_ap"].value < 0.8
    assert false["box_ar"].value == 1.0
    assert false["box_ap"].without[3] == pytest.approx(1.0)  # without the image of the false person
    lost = labels.retained(found([2], boxes(50), [0.9]))
    assert lost["box_ap"].value < 1.0
    assert lost["box_ap"].without[0] == pytest.approx(1.0)


def test_unsure_people_are_no_labels_and_nobody_sure_gives_none() -> None:
    first = found([0, 1], boxes(0, 50), [0.9, 0.4])
    labels = pseudo_people(first, [first], 2, ["box_ap"], 0.25)
    assert labels is not None and labels.count == 1
    unsure = found([0], boxes(0), [0.4])
    assert pseudo_people(unsure, [unsure], 2, ["box_ap"], 0.25) is None


def test_joints_are_measured_by_ap_and_on_matched_people() -> None:
    random = np.random.default_rng(0)
    xy = random.uniform(0, 100, (12, 17, 2)) + 300 * np.arange(12)[:, None, None]
    first = found(list(range(12)), xy, [0.9] * 12, COCO)
    labels = pseudo_people(first, [first] * 2, 12, ["oks_ap", "pck@0.2"], 0.25)
    assert labels is not None
    moved = xy.copy()
    moved[:6, 9:] += 40  # half of the people have some joints elsewhere
    kept = labels.retained(found(list(range(12)), moved, [0.9] * 12, COCO))
    assert set(kept) == {"oks_ap", "pck@0.2"}
    assert kept["pck@0.2"].value == pytest.approx(1 - 6 * 8 / (12 * 17))
    assert kept["oks_ap"].value < 0.9
