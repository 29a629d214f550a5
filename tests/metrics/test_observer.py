"""Observer-centric labels: who is turned away, what is exchanged, and PCP of a person seen from behind."""

from __future__ import annotations

import numpy as np
import pytest

from edgepose.errors import SpecError
from edgepose.metrics import pcp
from edgepose.metrics.observer import can_judge, observer_centric, turned_away
from edgepose.pose.skeletons import SKELETONS, Skeleton

LSP = SKELETONS["lsp14"]
ALL = np.ones((1, 14), bool)


def _facing() -> np.ndarray:  # type: ignore[type-arg]
    """[1, 14, 2]: facing the camera, so the right side is on the left of the picture."""
    xy = np.array([[0, 90], [0, 70], [0, 50], [20, 50], [20, 70], [20, 90], [-5, 50], [-5, 35], [0, 20], [20, 20],
                   [25, 35], [25, 50], [10, 15], [10, 0]], float)  # fmt: skip
    return xy[None]


def _away() -> np.ndarray:  # type: ignore[type-arg]
    return _facing()[:, list(LSP.flip_order())]


def test_who_is_turned_away() -> None:
    """Shoulders and hips both reversed. Only one of them, a person in profile who twists: not."""
    twisted = _facing()
    a, b = LSP.index("left_shoulder"), LSP.index("right_shoulder")
    twisted[0, [a, b]] = twisted[0, [b, a]]
    people = np.concatenate([_facing(), _away(), twisted])
    np.testing.assert_array_equal(turned_away(people, np.ones((3, 14), bool), LSP), [False, True, False])


def test_an_unlabeled_hip_leaves_it_undecided() -> None:
    labeled = ALL.copy()
    labeled[0, LSP.index("left_hip")] = False
    assert not turned_away(_away(), labeled, LSP)[0]


def test_everything_paired_is_exchanged() -> None:
    labeled = ALL.copy()
    labeled[0, LSP.index("left_wrist")] = False
    xy, shown = observer_centric(_away(), labeled, LSP)
    np.testing.assert_array_equal(xy, _facing())
    assert not shown[0, LSP.index("right_wrist")]
    assert shown[0, LSP.index("left_wrist")]
    same, _ = observer_centric(_facing(), ALL, LSP)
    np.testing.assert_array_equal(same, _facing())


def test_pcp_of_a_back_taken_for_a_front() -> None:
    """The network mistakes back for front: of ten limbs only torso and head are right, observer-centric all ten."""
    true, pred = _away(), _facing()
    limbs = pcp.limbs_of(LSP)
    assert np.nansum(pcp.hits(pred, true, ALL, LSP.joints, limbs)) == 2
    true, labeled = observer_centric(true, ALL, LSP)
    pred, _ = observer_centric(pred, ALL, LSP)
    assert np.nansum(pcp.hits(pred, true, labeled, LSP.joints, limbs)) == 10


def test_a_skeleton_without_hips_cannot_be_judged() -> None:
    bare = Skeleton(name="arms", joints=("left_shoulder", "right_shoulder"))
    assert can_judge(LSP.joints)
    assert not can_judge(bare.joints)
    with pytest.raises(SpecError, match="no joint 'left_hip'"):
        turned_away(np.zeros((1, 2, 2)), np.ones((1, 2), bool), bare)
