"""Joint names in other spellings."""

from __future__ import annotations

import pytest

from edgepose.pose.skeletons import SKELETONS
from edgepose.pose.spelling import usual_name, usual_names

SPELLINGS = (
    "left_shoulder", "LShoulder", "l_shoulder", "L-Shoulder", "leftShoulder", "LEFT_SHOULDER", "Left Shoulder",
    "shoulder_left", "shoulder.l", "ShoulderL", "lshoulder", "leftshoulder", "lsho", "L_Sho",
)  # fmt: skip


@pytest.mark.parametrize("name", SPELLINGS)
def test_spellings_of_one_joint(name: str) -> None:
    assert usual_name(name) == "left_shoulder"


def test_names_without_a_side_and_names_that_are_none_of_ours() -> None:
    assert usual_names(["Head Top", "HeadTop", "upper_neck", "Nose"]) == ("head_top", "head_top", "neck", "nose")
    unknown = ["wrist", "left_tip", "l", "", "thumb_1", "left", "snout", "k3"]
    assert list(usual_names(unknown)) == unknown
    for skeleton in SKELETONS.values():
        assert usual_names(skeleton.joints) == skeleton.joints
