"""OpenPose's JSON: names of files, and BODY_25 out of other skeletons."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgepose.media.results.openpose import BODY25, NEEDED
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import SKELETONS


def person(skeleton: str) -> Poses:
    """One person whose joint j lies at (10 j + 1, 10 j + 2) with score 0.5 + j / 1000."""
    layout = SKELETONS[skeleton]
    j = np.arange(len(layout), dtype=np.float32)
    return Poses(
        skeleton=layout,
        xy_image=np.stack([10 * j + 1, 10 * j + 2], axis=-1)[None],
        scores=(0.5 + j / 1000)[None],
        boxes_xyxy=np.array([[0, 0, 50, 90]], np.float32),
        box_scores=np.ones(1, np.float32),
        track_ids=np.array([3]),
    )


@pytest.mark.parametrize("name", ["coco17", "halpe26", "body25", "lsp14", "openpose18", "coco_wholebody133"])
def test_joints_come_in_the_order_of_body25(name, opened, frame, tmp_path) -> None:
    one = person(name)
    with opened("openpose", skeleton=one.skeleton) as sink:
        sink.write(frame(12), one)
    path = tmp_path / "out" / "clip_000000000012_keypoints.json"
    value = json.loads(path.read_text())
    (found,) = value["people"]
    points = np.reshape(found["pose_keypoints_2d"], (25, 3))
    for place, joint in enumerate(BODY25):
        if joint in one.skeleton.joints:
            j = one.skeleton.index(joint)
            assert points[place].tolist() == pytest.approx([10 * j + 1, 10 * j + 2, 0.5 + j / 1000], abs=1e-3)
        elif joint not in ("neck", "pelvis"):
            assert points[place].tolist() == [0, 0, 0]
    middle = [one.xy_image[0, one.skeleton.index(f"{side}_hip")] for side in ("left", "right")]
    if "pelvis" not in one.skeleton.joints:
        assert points[BODY25.index("pelvis")][:2] == pytest.approx(np.mean(middle, axis=0), abs=1e-3)
    assert found["person_id"] == [3] and found["face_keypoints_2d"] == []
    assert (value["edgepose"]["time_s"], value["edgepose"]["joints"]) == (1.2, list(BODY25))


def test_a_joint_that_was_not_found_makes_no_middle(opened, frame, tmp_path) -> None:
    one = person("coco17")
    one.scores[0, one.skeleton.index("left_hip")] = 0
    with opened("openpose", skeleton=one.skeleton) as sink:
        sink.write(frame(0), one)
    (path,) = (tmp_path / "out").glob("*.json")
    points = np.reshape(json.loads(path.read_text())["people"][0]["pose_keypoints_2d"], (25, 3))
    assert points[BODY25.index("pelvis")].tolist() == points[BODY25.index("left_hip")].tolist() == [0, 0, 0]


def test_a_hand_keeps_its_order_and_what_is_left_out_is_said(opened, frame, tmp_path) -> None:
    one, lines = person("hand21"), []
    with opened("openpose", skeleton=one.skeleton, note=lines.append) as sink:
        sink.write(frame(0), one)
    (path,) = (tmp_path / "out").glob("*.json")
    value = json.loads(path.read_text())
    assert len(value["people"][0]["pose_keypoints_2d"]) == 3 * 21
    assert value["edgepose"]["joints"] == list(one.skeleton.joints) and not lines
    with opened("openpose", skeleton=SKELETONS["halpe26"], note=lines.append):
        pass
    assert lines == ["--out-openpose: joints of halpe26 that have no place in BODY_25 are left out: head_top"]


def test_frames_without_people_have_a_file(opened, frame, nobody, tmp_path) -> None:
    with opened("openpose") as sink:
        sink.write(frame(0), nobody)
    (path,) = (tmp_path / "out").glob("*.json")
    assert json.loads(path.read_text())["people"] == []


def test_the_needed_joints_are_joints_of_body25() -> None:
    assert set(NEEDED) < set(BODY25)
