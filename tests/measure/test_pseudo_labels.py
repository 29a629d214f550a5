"""Pseudo-labels: what is retained on them, and how boxes are moved."""

from __future__ import annotations

import numpy as np

from edgepose.datasets.samples import SampleList
from edgepose.measure.predictions import Engine, Predictions
from edgepose.measure.pseudo_labels import (
    COPIES,
    FACTORS,
    SCALE,
    SHIFT,
    moves,
    people_at,
    pseudo_labels,
    with_moved_boxes,
)
from edgepose.pose.skeletons import SKELETONS

COCO = SKELETONS["coco17"]
PEOPLE = 40
IMAGES = [(i // 2, f"{i // 2}.jpg") for i in range(PEOPLE)]  # two people in an image


def body() -> np.ndarray:
    """Joints of an upright person, [17, 2], with a torso of about 60 pixels."""
    random = np.random.default_rng(0)
    xy = random.uniform(0, 120, (17, 2))
    xy[COCO.index("left_shoulder")], xy[COCO.index("right_shoulder")] = (70, 40), (40, 40)
    xy[COCO.index("left_hip")], xy[COCO.index("right_hip")] = (65, 95), (45, 95)
    return xy


def predictions(noise: float = 0.0, seed: int = 0, shift: float = 0.0) -> Predictions:
    random = np.random.default_rng(seed)
    xy = np.tile(body(), (PEOPLE, 1, 1)) + random.normal(0, noise, (PEOPLE, 17, 2)) + shift
    engine = Engine(path="", precision="fp32", backend="", onnx_sha256="", skeleton=COCO)
    return Predictions(engine=engine, xy_image=xy, scores=np.ones((PEOPLE, 17)))


def labels(first: Predictions, noise: float = 4.0):
    copies = [predictions(noise, seed=10 + copy).xy_image for copy in range(COPIES)]
    found = pseudo_labels(first, copies, IMAGES)
    assert found is not None
    return found


def test_the_float_network_retains_everything_and_images_are_left_out_with_all_their_copies() -> None:
    first = predictions()
    kept = labels(first).retained(first)
    assert list(kept) == list(FACTORS)
    for item in kept.values():
        assert item.value == 1.0 and len(item.without) == PEOPLE // 2
        assert np.all(item.without == 1.0) and np.all(item.sizes == 2 * COPIES)


def test_a_network_that_moves_certain_joints_retains_less() -> None:
    first = predictions()
    its = labels(first)
    kept = [its.retained(predictions(noise, seed=3))["pck@0.1"].value for noise in (0.5, 3.0, 9.0)]
    assert 1.02 > kept[0] > kept[1] > kept[2] and kept[2] < 0.8


def test_a_joint_that_is_uncertain_may_move() -> None:
    """The left wrist is found somewhere else in every crop; a network that moves it too loses nothing."""
    first, at = predictions(), COCO.index("left_wrist")
    copies = []
    for copy in range(COPIES):
        xy = predictions(1.0, seed=10 + copy).xy_image
        xy[:, at] += np.random.default_rng(copy).choice([-90, 90], (PEOPLE, 2))
        copies.append(xy)
    its = pseudo_labels(first, copies, IMAGES)
    assert its is not None
    found = predictions()
    found.xy_image[:, at] += 35
    assert its.retained(found)["pck@0.1"].value == 1.0
    found.xy_image[:, COCO.index("right_wrist")] += 35
    assert its.retained(found)["pck@0.1"].value < 0.95


def test_joints_that_allow_no_metric() -> None:
    first = predictions()
    first.xy_image[:] = np.nan
    assert pseudo_labels(first, [first.xy_image] * COPIES, IMAGES) is None


def test_boxes_are_moved_a_little_and_alike_in_every_run() -> None:
    data = people_at(COCO, predictions().xy_image, IMAGES, "people")
    moved, again = with_moved_boxes(data, 1), with_moved_boxes(data, 1)
    assert isinstance(moved, SampleList) and len(moved) == PEOPLE and moved.name == "people"
    boxes, before = (np.stack([one.box_xyxy for one in part.samples]) for part in (moved, data.samples and data))
    assert np.array_equal(boxes, np.stack([one.box_xyxy for one in again.samples]))
    assert not np.array_equal(boxes, np.stack([one.box_xyxy for one in with_moved_boxes(data, 2).samples]))
    side = (before[:, 2:] - before[:, :2]).max(axis=1)
    centers = [(corners[:, 2:] + corners[:, :2]) / 2 for corners in (boxes, before)]
    away = np.abs(centers[0] - centers[1]).max(axis=1) / side
    assert 0.02 < away.max() <= SHIFT + 1e-5
    scale = (boxes[:, 2] - boxes[:, 0]) / (before[:, 2] - before[:, 0])
    assert 0.05 < np.abs(np.log(scale)).max() <= SCALE + 1e-5
    assert np.array_equal(moves(5, 3)[0], moves(5, 3)[0])
