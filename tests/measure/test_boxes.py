"""Boxes of two detectors compared: who is lost, and whose box has moved."""

from __future__ import annotations

import numpy as np
import pytest

from edgepose._checks import Array
from edgepose.artifacts.acceptance import Acceptance
from edgepose.artifacts.spec import ModelSpec, spec_from_dict
from edgepose.measure.acceptance import examined
from edgepose.measure.boxes import CORNERS, compared_skeleton, kept_people, likely_kept, lost_people, with_corners
from edgepose.measure.matched import Crowd, same_people
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import PERSON, SKELETONS


def crowd(boxes: list[list[float]], scores: list[float] | None = None, image: list[int] | None = None) -> Crowd:
    rows = np.array(boxes, float).reshape(-1, 2, 2)
    return Crowd(
        image=np.zeros(len(rows), np.int64) if image is None else np.array(image),
        xy=rows,
        scores=np.ones(rows.shape[:2]),
        person_scores=np.full(len(rows), 0.9) if scores is None else np.array(scores),
    )


def test_found_moved_and_lost_people():
    first = crowd([[0, 0, 10, 20], [30, 0, 40, 20], [60, 0, 70, 20], [90, 0, 100, 20]])
    second = crowd([[0, 0, 10, 20], [30, 0, 40, 14], [60, 0, 70, 9], [200, 0, 210, 20]])  # overlaps 1, 0.7, 0.45, 0
    pairs = same_people(first, second, CORNERS, 0.3)
    lost = lost_people(pairs)
    assert lost["boxes@0.5"].tolist() == [0, 0, 1, 1, 1]  # the last one was found by the second network only
    assert lost["boxes@0.75"].tolist() == [0, 1, 1, 1, 1]
    assert kept_people(pairs) == {"boxes@0.5": pytest.approx(0.4), "boxes@0.75": pytest.approx(0.2)}
    assert kept_people(same_people(first, first, CORNERS, 0.3)) == {"boxes@0.5": 1.0, "boxes@0.75": 1.0}


def test_a_person_near_the_threshold_is_no_loss():
    first, second = crowd([[0, 0, 10, 20]], [0.31]), crowd([[0, 0, 10, 20]], [0.29])
    assert kept_people(same_people(first, second, CORNERS, 0.3))["boxes@0.5"] == 1
    assert kept_people(same_people(first, crowd([]), CORNERS, 0.3))["boxes@0.5"] == 0
    assert kept_people(same_people(crowd([]), crowd([]), CORNERS, 0.3)) == {}


def test_people_of_other_images_are_others():
    first, second = crowd([[0, 0, 10, 20]] * 2, image=[0, 1]), crowd([[0, 0, 10, 20]], image=[1])
    pairs = same_people(first, second, CORNERS, 0.3)
    assert lost_people(pairs)["boxes@0.5"].tolist() == [1, 0]


def test_one_lost_person_of_few_may_be_chance():
    assert likely_kept(np.zeros(100)) == 1
    assert likely_kept(np.eye(1, 100)[0]) == 1
    assert likely_kept(np.arange(100) < 9) == pytest.approx(1 - (9 - 1.645 * 3) / 100)
    assert likely_kept(np.ones(400)) < 0.1


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
