"""Skeletons: the published layouts, mirrors, names in common, and tables written by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgepose.errors import SpecError
from edgepose.pose.skeletons import SKELETONS, Skeleton, sigma_origin, skeleton_from

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
    assert int(skeleton.name[-2:]) == len(skeleton) == len(skeleton.sigmas)
    order = skeleton.flip_order()
    assert [order[i] for i in order] == list(range(len(skeleton)))
    for i, joint in enumerate(skeleton.joints):
        side, _, rest = joint.partition("_")
        other = {"left": f"right_{rest}", "right": f"left_{rest}"}.get(side, joint)
        assert skeleton.joints[order[i]] == other
    for a, b in skeleton.limb_indices():
        assert a != b
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


@pytest.mark.parametrize("name", SKELETONS)
def test_linked_limbs_lead_from_every_joint_to_every_other(name: str) -> None:
    skeleton = SKELETONS[name]
    linked = skeleton.linked()
    assert linked.limbs[: len(skeleton.limbs)] == skeleton.limbs
    assert linked.unreached() == ()
    assert linked.joints == skeleton.joints and linked.name == f"{name}-linked"
    assert linked.linked() is linked


@pytest.mark.parametrize("name", SKELETONS)
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
