"""PCP: cases worked out by hand, strict against loose, and which limbs a skeleton has."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgepose.metrics import pcp
from edgepose.pose.skeletons import SKELETONS

LSP = SKELETONS["lsp14"]
PAIR = (pcp.Limb(name="arm", start=("a",), end=("b",)),)
BOTH = np.ones((1, 2), bool)


def _arm(start: tuple[float, float], end: tuple[float, float], *, loose: bool = False) -> float:
    """Hit of one predicted limb; the true one runs from (0, 0) to (10, 0), so half its length is 5."""
    true = np.array([[[0, 0], [10, 0]]], float)
    found = pcp.hits(np.array([[start, end]], float), true, BOTH, ("a", "b"), PAIR, loose=loose)
    return float(found[0, 0])


@pytest.mark.parametrize(
    ("start", "end", "strict", "loose"),
    [
        ((0, 5), (10, 5), 1, 1),  # 5 and 5: both on the line
        ((0, 6), (10, 0), 0, 1),  # 6 and 0: one end is out, the mean 3 is in
        ((0, 6), (10, 4.5), 0, 0),  # 6 and 4.5: the mean 5.25 is out
        ((3, 4), (10, 0), 1, 1),  # 5 (a 3-4-5 triangle) and 0
        ((10, 0), (0, 0), 0, 0),  # swapped ends: 10 and 10
        ((np.nan, np.nan), (10, 0), 0, 0),  # one end not predicted
    ],
)
def test_by_hand(start: tuple[float, float], end: tuple[float, float], strict: float, loose: float) -> None:
    assert _arm(start, end) == strict
    assert _arm(start, end, loose=True) == loose


def test_what_counts() -> None:
    """An unlabeled end or a true length of zero: NaN."""
    true = np.array([[[0, 0], [10, 0]], [[3, 3], [3, 3]]], float)
    labeled = np.array([[True, False], [True, True]])
    found = pcp.hits(true, true, labeled, ("a", "b"), PAIR)
    assert np.isnan(found).all()


def test_lsp_has_ten_limbs() -> None:
    names = [limb.name for limb in pcp.limbs_of(LSP)]
    assert names == [
        "torso", "head",
        "right_upper_arm", "left_upper_arm", "right_lower_arm", "left_lower_arm",
        "right_upper_leg", "left_upper_leg", "right_lower_leg", "left_lower_leg",
    ]  # fmt: skip


def test_torso_runs_from_the_middle_of_the_shoulders_to_the_middle_of_the_hips() -> None:
    """Shoulders (-6, 0) and (6, 0), hips (-2, 20) and (4, 20): middles (0, 0) and (1, 20), length sqrt(401) = 20.02.

    Half of it is 10.01. Both hips 10 px to the right move the middle by 10: in. One hip by 21 px
    moves it by 10.5: out.
    """
    true = np.full((1, 14, 2), 50.0)
    hips = [LSP.index("right_hip"), LSP.index("left_hip")]
    true[0, [LSP.index("right_shoulder"), LSP.index("left_shoulder")]] = [(-6, 0), (6, 0)]
    true[0, hips] = [(-2, 20), (4, 20)]
    torso = [limb for limb in pcp.limbs_of(LSP) if limb.name == "torso"]
    labeled = np.ones((1, 14), bool)
    pred = true.copy()
    pred[0, hips, 0] += 10
    assert pcp.hits(pred, true, labeled, LSP.joints, torso) == 1
    pred = true.copy()
    pred[0, hips[0], 0] += 21
    assert pcp.hits(pred, true, labeled, LSP.joints, torso) == 0


def test_flic_has_six_limbs_whose_neck_is_the_middle_of_the_shoulders() -> None:
    """Shoulders (0, 0) and (20, 0), hips (5, 40) and (15, 40), nose (10, -20): torso 40 long, head 20.

    One shoulder 30 px too low moves the neck 15 px down: within half the torso (20), outside half the head (10).
    """
    flic = SKELETONS["flic11"]
    limbs = pcp.limbs_of(flic)
    assert [limb.name for limb in limbs] == [
        "torso", "head", "right_upper_arm", "left_upper_arm", "right_lower_arm", "left_lower_arm",
    ]  # fmt: skip
    true = np.random.default_rng(0).uniform(0, 50, (1, 11, 2))
    for joint, xy in {
        "right_shoulder": (0, 0), "left_shoulder": (20, 0), "right_hip": (5, 40), "left_hip": (15, 40),
        "nose": (10, -20),
    }.items():  # fmt: skip
        true[0, flic.index(joint)] = xy
    pred = true.copy()
    pred[0, flic.index("left_shoulder"), 1] += 30
    found = pcp.hits(pred, true, np.ones((1, 11), bool), flic.joints, limbs[:2])
    np.testing.assert_array_equal(found, [[1, 0]])


def test_limbs_need_both_ends_among_the_compared_joints() -> None:
    """Without neck and head_top (a COCO network on LSP) the head goes, the nine others stay."""
    names = [limb.name for limb in pcp.limbs_of(LSP, SKELETONS["coco17"].joints)]
    assert len(names) == 9
    assert "torso" in names
    assert "head" not in names


def test_other_skeletons_are_measured_on_their_own_limbs() -> None:
    coco = SKELETONS["coco17"]
    limbs = pcp.limbs_of(coco)
    assert len(limbs) == len(coco.limbs)
    assert [limb.joints for limb in limbs] == list(coco.limbs)
    assert limbs[0].name == "right_upper_arm"
    assert limbs[-1].name == "right_eye-right_ear"
    assert "head" in [limb.name for limb in pcp.limbs_of(SKELETONS["mpii16"])]


@given(arrays(np.float64, (2, 4, 14, 2), elements=st.floats(0, 100)), arrays(np.bool_, (4, 14)))
def test_equals_the_slow_twin_and_loose_is_never_stricter(xy, labeled) -> None:  # type: ignore[no-untyped-def]
    pred, true = xy
    limbs = pcp.limbs_of(LSP)
    strict = pcp.hits(pred, true, labeled, LSP.joints, limbs)
    loose = pcp.hits(pred, true, labeled, LSP.joints, limbs, loose=True)
    np.testing.assert_array_equal(strict, _slow(pred, true, labeled, limbs))
    counted = np.isfinite(strict)
    np.testing.assert_array_equal(counted, np.isfinite(loose))
    assert (loose[counted] >= strict[counted]).all()


def _slow(pred, true, labeled, limbs):  # type: ignore[no-untyped-def]
    out = np.full((len(pred), len(limbs)), np.nan)
    for n, (column, limb) in ((n, item) for n in range(len(pred)) for item in enumerate(limbs)):
        if not all(labeled[n, LSP.index(joint)] for joint in limb.joints):
            continue
        ends = [
            [np.mean([xy[n, LSP.index(joint)] for joint in side], axis=0) for side in (limb.start, limb.end)]
            for xy in (true, pred)
        ]
        (ta, tb), (pa, pb) = ends
        length = np.hypot(*(ta - tb))
        if length > 0:
            off = float(np.hypot(*(pa - ta))), float(np.hypot(*(pb - tb)))
            out[n, column] = float(max(off) / float(length) <= 0.5)
    return out


def test_a_perfect_prediction_finds_every_limb() -> None:
    xy = np.random.default_rng(0).uniform(0, 200, (5, 14, 2))
    assert (pcp.hits(xy, xy, np.ones((5, 14), bool), LSP.joints, pcp.limbs_of(LSP)) == 1).all()
