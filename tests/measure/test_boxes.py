"""Boxes as joints: their corners, their labels, and which of them moved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgepose._checks import Array
from edgepose.artifacts.acceptance import Acceptance
from edgepose.artifacts.spec import ModelSpec, spec_from_dict
from edgepose.datasets.samples import Picture, Sample, SampleList, pictures
from edgepose.measure.acceptance import examined
from edgepose.measure.boxes import CORNERS, compared_skeleton, labels_for, with_corners
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import PERSON, SKELETONS


def test_corners_take_the_place_of_joints():
    poses = Poses(
        skeleton=PERSON,
        xy_image=np.zeros((1, 0, 2), np.float32),
        scores=np.zeros((1, 0), np.float32),
        boxes_xyxy=np.array([[1, 2, 3, 4]], np.float32),
        box_scores=np.ones(1, np.float32),
    )
    assert with_corners(poses).xy_image.tolist() == [[[1, 2], [3, 4]]]
    assert with_corners(poses).skeleton is compared_skeleton(PERSON) is CORNERS
    lsp = Poses.empty(SKELETONS["lsp14"])
    assert with_corners(lsp) is lsp
    assert compared_skeleton(lsp.skeleton) is lsp.skeleton


def contract() -> ModelSpec:
    return spec_from_dict(
        {"name": "net", "skeleton": "person", "input": {"size": [64, 64]}, "codec": {"type": "onestage"},
         "outputs": ["detections"]}, "net.toml",
    )  # fmt: skip


def rows(*people: list[float]) -> Array:
    """[1, 100, 5]: people, and boxes without a score that are most of the signal."""
    junk = np.tile([[5, 5, 900, 900, 0.0]], (100 - len(people), 1))
    return np.concatenate([np.array(people).reshape(-1, 5), junk])[None].astype(np.float32)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_scores_that_collapse_are_found_although_they_are_little_of_the_output(precision):
    expected = rows([3, 4, 20, 40, 0.9], [30, 4, 50, 40, 0.8])
    sample = Acceptance(inputs=np.zeros((1, 3, 64, 64), np.float32), outputs={"detections": expected}, joints=None)
    same = examined({"detections": expected}, contract(), sample)
    assert same.joints_moved == 0
    assert same.problem(precision) is None
    nobody = rows([3, 4, 20, 40, 0.1], [30, 4, 50, 40, 0.1])
    found = examined({"detections": nobody}, contract(), sample)
    assert found.outputs["detections"].snr_db > 60
    assert found.joints_moved == 1
    assert "100 %" in str(found.problem(precision))


def test_nothing_is_said_of_moved_boxes_where_nobody_is_seen():
    nobody = rows()
    sample = Acceptance(inputs=np.zeros((1, 3, 64, 64), np.float32), outputs={"detections": nobody}, joints=None)
    found = examined({"detections": nobody * np.float32(1.5)}, contract(), sample)
    assert found.joints_moved is None
    assert found.problem("fp32") is not None  # the output itself is compared


def test_nothing_is_said_of_moved_joints_where_nobody_is_seen():
    spec = spec_from_dict(
        {"name": "net", "skeleton": "coco17", "input": {"size": [64, 64]}, "codec": {"type": "onestage"},
         "outputs": ["people"]}, "net.toml",
    )  # fmt: skip
    nobody = np.random.default_rng(0).uniform(0, 0.1, (1, 40, 56)).astype(np.float32)
    sample = Acceptance(inputs=np.zeros((1, 3, 64, 64), np.float32), outputs={"people": nobody}, joints=None)
    found = examined({"people": nobody * np.float32(1.5)}, spec, sample)
    assert found.joints_moved is None
    assert found.problem("fp32") is not None  # it would be 0 % of joints moved, which says that all is well


def person(image: int, box: list[float], **given: Any) -> Sample:
    return Sample(
        image_id=image, name=f"{image}.jpg", read=lambda: np.zeros((4, 4, 3), np.uint8),
        xy_image=np.zeros((17, 2), np.float32), labeled=np.zeros(17, bool), occluded=np.zeros(17, bool),
        box_xyxy=np.array(box, np.float32), area=1.0, ignore=True, **given,
    )  # fmt: skip


def test_labels_of_boxes_count_everyone_with_a_box_but_crowds():
    empty = Picture(image_id=9, name="9.jpg", read=lambda: np.zeros((4, 4, 3), np.uint8))
    people = (person(1, [1, 2, 5, 8]), person(1, [0, 0, 0, 0]), person(2, [1, 1, 9, 9], crowd=True))
    data = SampleList(name="d", skeleton=SKELETONS["coco17"], samples=people, image_ids=(1, 2, 9), empty=(empty,))
    boxes = labels_for(data, CORNERS)
    assert boxes.skeleton is CORNERS
    assert [boxes[i].ignore for i in range(3)] == [False, True, True]
    assert boxes[0].xy_image.tolist() == [[1, 2], [5, 8]] and boxes[0].labeled.all()
    assert [one.image_id for one in pictures(boxes)] == [1, 2, 9]
    assert labels_for(boxes, CORNERS) is boxes
    assert labels_for(data, SKELETONS["coco17"]) is data
