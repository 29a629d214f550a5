"""Skeletons: the published layouts, mirrors, names in common, and tables written by hand."""

from __future__ import annotations

import re

import numpy as np
import pytest

from edgepose.errors import SpecError
from edgepose.media.draw import RIM, draw_poses
from edgepose.metrics import registered_metrics
from edgepose.metrics.labels import Labels
from edgepose.metrics.metric import Skip
from edgepose.metrics.oks import People
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import PERSON, SKELETONS, Skeleton, sigma_origin, skeleton_from

TABLE = {
    "name": "hand",
    "joints": ["wrist", "left_tip", "right_tip"],
    "flips": [["left_tip", "right_tip"]],
    "limbs": [["wrist", "left_tip"]],
    "sigmas": [0.1, 0.05, 0.05],
}


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
def test_every_layout_is_whole(skeleton):
    assert SKELETONS[skeleton.name] is skeleton
    assert int(re.findall(r"\d+$", skeleton.name)[0]) == len(skeleton)
    assert len(skeleton.sigmas) in (0, len(skeleton))
    order = skeleton.flip_order()
    assert [order[i] for i in order] == list(range(len(skeleton)))
    for i, joint in enumerate(skeleton.joints):
        side, _, rest = joint.partition("_")
        if side in ("left", "right"):
            assert skeleton.joints[order[i]] == {"left": f"right_{rest}", "right": f"left_{rest}"}[side]
        elif not side.startswith("face"):  # landmarks of faces are numbered
            assert order[i] == i
    limbs = skeleton.limb_indices()
    assert all(a != b for a, b in limbs)
    assert len({frozenset(limb) for limb in limbs}) == len(limbs)
    assert {frozenset((order[a], order[b])) for a, b in limbs} == {frozenset(limb) for limb in limbs}
    assert skeleton_from(skeleton.to_json(), "json") == skeleton


def test_published_orders():
    """As in the README of LSP; and COCO's own sigmas."""
    assert SKELETONS["lsp14"].joints[:3] == ("right_ankle", "right_knee", "right_hip")
    assert SKELETONS["lsp14"].joints[-2:] == ("neck", "head_top")
    assert SKELETONS["coco17"].joints[5:7] == ("left_shoulder", "right_shoulder")
    pycocotools = pytest.importorskip("pycocotools.cocoeval")
    assert np.allclose(SKELETONS["coco17"].sigmas, pycocotools.Params(iouType="keypoints").kpt_oks_sigmas)


def test_strict_pcp_has_ten_limbs_of_lsp():
    limbs = SKELETONS["lsp14"].limbs
    assert len(limbs) == len(set(limbs)) == 11  # four each of arms and legs, two of the torso, the head


def test_shared_joints_keep_their_order():
    lsp, coco = SKELETONS["lsp14"], SKELETONS["coco17"]
    assert set(lsp.shared(coco)) == set(lsp.joints) - {"neck", "head_top"}
    assert [lsp.index(joint) for joint in lsp.shared(coco)] == list(range(12))
    assert coco.shared(lsp) == coco.joints[5:]


def test_sigmas_say_where_they_come_from():
    assert sigma_origin(SKELETONS["flic11"]).startswith("sigmas: elbow, eye, hip, nose, shoulder, wrist of COCO")
    assert "CrowdPose" not in sigma_origin(SKELETONS["flic11"])
    assert "head_top, neck of CrowdPose" in sigma_origin(SKELETONS["lsp14"])
    assert "pelvis, thorax of no published source" in sigma_origin(SKELETONS["mpii16"])
    coco = dict(zip(SKELETONS["coco17"].joints, SKELETONS["coco17"].sigmas, strict=True))
    flic = SKELETONS["flic11"]
    assert flic.sigmas == tuple(coco[joint] for joint in flic.joints)
    assert sigma_origin(skeleton_from(TABLE, "x")) == "sigmas given with skeleton hand"


def test_joints_of_newer_layouts_are_matched_by_name():
    """Halpe's head is the top of the head, and its hip the middle of the hips (the conversion of mmpose's Body8)."""
    lsp, mpii, halpe = SKELETONS["lsp14"], SKELETONS["mpii16"], SKELETONS["halpe26"]
    assert lsp.shared(halpe) == lsp.joints
    assert set(mpii.joints) - set(mpii.shared(halpe)) == {"thorax"}
    for name in ("halpe26", "coco_wholebody133", "openpose18", "body25", "blazepose33"):
        assert SKELETONS["coco17"].shared(SKELETONS[name]) == tuple(
            joint for joint in SKELETONS["coco17"].joints if joint in SKELETONS[name].joints
        )
        assert set(SKELETONS["coco17"].joints) <= set(SKELETONS[name].joints)
    for name in ("crowdpose14", "aic14"):
        assert set(SKELETONS[name].joints) == set(lsp.joints)
    whole = SKELETONS["coco_wholebody133"]
    assert SKELETONS["face68"].shared(whole) == SKELETONS["face68"].joints
    assert not set(SKELETONS["face106"].joints) & set(SKELETONS["face68"].joints)
    feet = {f"{side}_{part}" for side in ("left", "right") for part in ("big_toe", "small_toe", "heel")}
    assert all(feet <= set(SKELETONS[name].joints) for name in ("halpe26", "body25", "coco_wholebody133"))


def test_orders_of_newer_layouts():
    """Places that the projects' own lists state: OpenPose, mmpose, MediaPipe."""
    places = {
        "openpose18": {1: "neck", 4: "right_wrist", 14: "right_eye", 17: "left_ear"},
        "body25": {1: "neck", 8: "pelvis", 11: "right_ankle", 19: "left_big_toe", 24: "right_heel"},
        "halpe26": {17: "head_top", 18: "neck", 19: "pelvis", 20: "left_big_toe", 25: "right_heel"},
        "blazepose33": {2: "left_eye", 7: "left_ear", 12: "right_shoulder", 28: "right_ankle", 32: "right_foot_index"},
        "coco_wholebody133": {17: "left_big_toe", 23: "face_0", 90: "face_67", 132: "right_pinky_finger4"},
        "crowdpose14": {0: "left_shoulder", 11: "right_ankle", 12: "head_top", 13: "neck"},
        "aic14": {0: "right_shoulder", 5: "left_wrist", 8: "right_ankle", 13: "neck"},
        "jhmdb15": {0: "neck", 1: "belly", 2: "face", 3: "right_shoulder", 14: "left_ankle"},
        "hand21": {0: "hand_root", 4: "thumb4", 5: "forefinger1", 20: "pinky_finger4"},
    }  # fmt: skip
    for name, expected in places.items():
        assert {i: SKELETONS[name].joints[i] for i in expected} == expected
    sigmas = dict(zip(SKELETONS["coco_wholebody133"].joints, SKELETONS["coco_wholebody133"].sigmas, strict=True))
    some = ("right_heel", "face_0", "face_67", "left_hand_root", "left_pinky_finger4", "right_thumb4")
    assert [sigmas[joint] for joint in some] == [0.094, 0.042, 0.008, 0.029, 0.031, 0.047]


def test_only_published_sigmas_are_there_and_oks_says_where_none_are():
    none = {name for name, skeleton in SKELETONS.items() if not skeleton.sigmas}
    assert none == {"jhmdb15", "body25", "blazepose33", "hand21", "face106"}
    assert "halpecocotools" in sigma_origin(SKELETONS["halpe26"])
    assert "halpecocotools" in sigma_origin(SKELETONS["halpe26"].only(("nose", "left_heel")))
    assert "keypoint_eval.py" in sigma_origin(SKELETONS["aic14"])
    assert "CrowdPose" in sigma_origin(SKELETONS["crowdpose14"])
    for name in none:
        skeleton = SKELETONS[name]
        people = People(
            image=np.zeros(1, np.int64),
            xy_image=np.zeros((1, len(skeleton), 2)),
            labeled=np.ones((1, len(skeleton)), bool),
            area=np.ones(1),
            boxes_xyxy=np.zeros((1, 4)),
            crowd=np.zeros(1, bool),
        )
        labels = Labels(
            skeleton=skeleton, compared=np.arange(len(skeleton)), people=people, head_px=np.full(1, np.nan),
            images=1, empty=0, counted=np.ones(1, bool),
        )  # fmt: skip
        answer = registered_metrics()["oks_ap"].plan(labels)
        assert isinstance(answer, Skip)
        assert "no OKS sigmas" in answer.reason


@pytest.mark.parametrize("name", SKELETONS)
def test_every_layout_can_be_drawn(name):
    """Each joint is a dot with a rim, and each limb darkens pixels between its ends."""
    skeleton = SKELETONS[name]
    angle = np.linspace(0, 2 * np.pi, len(skeleton), endpoint=False)
    xy = (np.stack([np.cos(angle), np.sin(angle)], axis=1) * 180 + 200).astype(np.float32)[None]
    poses = Poses(
        skeleton=skeleton,
        xy_image=xy,
        scores=np.ones((1, len(skeleton)), np.float32),
        boxes_xyxy=np.array([[0, 0, 400, 400]], np.float32),
        box_scores=np.ones(1, np.float32),
    )
    drawn = draw_poses(np.full((400, 400, 3), 128, np.uint8), poses)
    at = np.rint(xy[0]).astype(int)
    assert (drawn[at[:, 1], at[:, 0]] != 128).any(axis=1).all()
    if skeleton.limbs:
        ends = np.array(skeleton.limb_indices())
        middle = np.rint(xy[0][ends].mean(axis=1)).astype(int)
        assert (drawn[middle[:, 1], middle[:, 0]] != 128).any(axis=1).all()
    assert (drawn == RIM).all(axis=2).any()


def test_a_person_without_joints():
    """What a person detector finds; no other layout may be empty."""
    assert len(PERSON) == 0
    assert PERSON.flip_order() == () and PERSON.unreached() == ()
    assert skeleton_from(PERSON.to_json(), "net.toml") == PERSON
    assert skeleton_from("person", "net.toml") is PERSON
    assert "person" not in SKELETONS
    with pytest.raises(SpecError, match="joints is empty"):
        skeleton_from({"name": "people", "joints": []}, "net.toml")


def test_some_joints_of_a_layout():
    some = SKELETONS["lsp14"].only(("neck", "left_hip", "right_hip", "head_top"))
    assert some.joints == ("neck", "left_hip", "right_hip", "head_top")
    assert some.flips == (("left_hip", "right_hip"),)
    assert some.limbs == (("neck", "head_top"),)
    assert some.sigmas == (0.079, 0.107, 0.107, 0.079)
    with pytest.raises(SpecError, match="no joint 'nose'"):
        some.only(("nose",))


def test_a_table_written_by_hand():
    made = skeleton_from(TABLE, "net.toml")
    assert made.flip_order() == (0, 2, 1)
    assert made.limb_indices() == ((0, 1),)
    assert skeleton_from({"joints": ["a", "b"]}, "net.toml") == Skeleton(name="custom", joints=("a", "b"))
    assert skeleton_from("coco17", "net.toml") is SKELETONS["coco17"]


BAD = [
    ("coco71", "unknown skeleton 'coco71'; did you mean 'coco17'"),
    (17, "must be a name or a table with joints, got int"),
    ({}, "no joints"),
    (TABLE | {"limb": []}, "unknown key 'limb'; did you mean 'limbs'"),
    (TABLE | {"name": 3}, "skeleton name: expected a name, got 3"),
    (TABLE | {"joints": "wrist"}, "skeleton joints: expected a list of names"),
    (TABLE | {"joints": [1, 2, 3]}, "skeleton joints: expected a name, got 1"),
    (TABLE | {"joints": []}, "joints is empty"),
    (TABLE | {"joints": ["wrist", "wrist"]}, "occurs twice"),
    (TABLE | {"flips": "ab"}, "skeleton flips"),
    (TABLE | {"flips": [["left_tip"]]}, "skeleton flips: expected a list of pairs"),
    (TABLE | {"flips": ["ab"]}, "skeleton flips: expected a list of names"),
    (TABLE | {"flips": [["left_tip", "rigth_tip"]]}, "unknown joint 'rigth_tip'; did you mean 'right_tip'"),
    (TABLE | {"flips": [["left_tip", "right_tip"], ["wrist", "left_tip"]]}, "twice in flips"),
    (TABLE | {"flips": [["wrist", "wrist"]]}, "twice in flips"),
    (TABLE | {"limbs": [["wrist", "elbow"]]}, "limbs names unknown joint 'elbow'"),
    (TABLE | {"limbs": [["wrist", "wrist"]]}, "joins 'wrist' to itself"),
    (TABLE | {"limbs": 3}, "skeleton limbs: expected a list of pairs"),
    (TABLE | {"sigmas": [0.1]}, "1 sigmas for 3 joints"),
    (TABLE | {"sigmas": 0.1}, "skeleton sigmas: expected a list of numbers"),
    (TABLE | {"sigmas": ["0.1", "0.1", "0.1"]}, "skeleton sigmas: expected a list of numbers"),
    (TABLE | {"sigmas": [0.1, 0.0, 0.1]}, "each must be above 0"),
    (TABLE | {"sigmas": [0.1, float("nan"), 0.1]}, "each must be above 0"),
]


@pytest.mark.parametrize(("value", "says"), BAD, ids=[says for _, says in BAD])
def test_a_bad_table_is_told_what_is_wrong(value, says):
    with pytest.raises(SpecError, match=says):
        skeleton_from(value, "net.toml")


def test_what_limbs_do_not_reach():
    """A chain in the least handy order is followed to its end; PCP's limbs of LSP are three pieces."""
    names = tuple("abcdef")
    chain = tuple(zip(names[1:], names, strict=False))[::-1]
    assert Skeleton(name="chain", joints=names, limbs=chain).unreached() == ()
    assert Skeleton(name="cut", joints=names, limbs=chain[:2] + chain[3:]).unreached() == ("d", "e", "f")[-3:]
    assert Skeleton(name="bare", joints=names).unreached() == names[1:]
    assert "neck" in SKELETONS["lsp14"].unreached()


def test_an_unknown_joint_has_a_nearest():
    with pytest.raises(SpecError, match="has no joint 'left_angle'; did you mean 'left_ankle'"):
        SKELETONS["lsp14"].index("left_angle")


IN_PARTS = ("blazepose33", "coco_wholebody133", "face68", "face106")  # limbs that no joint of the body joins


@pytest.mark.parametrize("name", [name for name in SKELETONS if name not in IN_PARTS])
def test_linked_limbs_lead_from_every_joint_to_every_other(name: str) -> None:
    skeleton = SKELETONS[name]
    linked = skeleton.linked()
    assert linked.limbs[: len(skeleton.limbs)] == skeleton.limbs
    assert linked.unreached() == ()
    assert linked.joints == skeleton.joints
    assert linked.name == (f"{name}-linked" if skeleton.unreached() else name)
    assert linked.linked() is linked


@pytest.mark.parametrize("name", IN_PARTS)
def test_a_layout_in_parts_says_which_joints_nothing_leads_to(name):
    with pytest.raises(SpecError, match="no limbs lead from"):
        SKELETONS[name].linked()


@pytest.mark.parametrize("name", [name for name in SKELETONS if name not in IN_PARTS])
def test_a_mirrored_body_is_linked_alike(name: str) -> None:
    linked = SKELETONS[name].linked()
    flip, limbs = linked.flip_order(), linked.limb_indices()
    assert {frozenset((flip[a], flip[b])) for a, b in limbs} == {frozenset(limb) for limb in limbs}
    assert len({frozenset(limb) for limb in limbs}) == len(limbs)


def test_the_linked_limbs_of_lsp_are_a_tree() -> None:
    assert len(SKELETONS["lsp14"].linked().limbs) == 13


def test_a_joint_that_nothing_leads_to() -> None:
    skeleton = Skeleton(name="hand", joints=("palm", "thumb", "ring"), limbs=(("palm", "thumb"),))
    with pytest.raises(SpecError, match="skeleton 'hand': no limbs lead from 'palm' to ring; add limbs"):
        skeleton.linked()
