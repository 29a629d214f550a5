"""PCK, PDJ, PCKh: cases worked out by hand, the rules of what counts, and a published number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgepose.errors import SpecError
from edgepose.metrics import lengths, pck
from edgepose.pose.skeletons import SKELETONS

LSP = SKELETONS["lsp14"]
XY = arrays(np.float64, (3, 4, 2), elements=st.floats(-100, 100))


def test_by_hand() -> None:
    """Torso 10 px, threshold 0.2: within 2 px is a hit.

    Errors: (0, 2) -> 2.0, on the line, a hit; (1.5, 1.5) -> 2.12, a miss; (-1, 1) -> 1.41, a hit.
    """
    true = np.zeros((1, 3, 2))
    pred = np.array([[[0, 2], [1.5, 1.5], [-1, 1]]], float)
    found = pck.hits(pred, true, np.ones((1, 3), bool), np.array([10.0]), 0.2)
    np.testing.assert_array_equal(found, [[1, 0, 1]])


def test_what_counts() -> None:
    """Unlabeled: NaN. Reference unknown or zero: the whole row NaN. Not predicted: a miss."""
    true = np.zeros((3, 3, 2))
    pred = true.copy()
    pred[0, 1] = np.nan
    pred[0, 2] = np.inf
    labeled = np.ones((3, 3), bool)
    labeled[0, 0] = False
    found = pck.hits(pred, true, labeled, np.array([10.0, np.nan, 0.0]), 0.2)
    np.testing.assert_array_equal(found, [[np.nan, 0, 0], [np.nan] * 3, [np.nan] * 3])


def test_an_unlabeled_true_joint_may_hold_anything() -> None:
    true = np.full((1, 1, 2), np.nan)
    found = pck.hits(np.zeros((1, 1, 2)), true, np.zeros((1, 1), bool), np.array([1.0]), 0.2)
    assert np.isnan(found).all()


def test_torso_is_left_shoulder_to_right_hip() -> None:
    """(3, 4) to (0, 0) is 5; with the hip unlabeled it is unknown."""
    true = np.full((2, 14, 2), 77.0)
    true[:, LSP.index("left_shoulder")] = (3, 4)
    true[:, LSP.index("right_hip")] = (0, 0)
    labeled = np.ones((2, 14), bool)
    labeled[1, LSP.index("right_hip")] = False
    np.testing.assert_array_equal(lengths.torso_px(true, labeled, LSP), [5, np.nan])


def test_head_lengths() -> None:
    """Head segment (0, 0) to (0, 6) is 6. Head box 30 x 40 has diagonal 50, of which 0.6 is 30."""
    true = np.zeros((1, 14, 2))
    true[:, LSP.index("neck")] = (0, 6)
    np.testing.assert_allclose(lengths.head_segment_px(true, np.ones((1, 14), bool), LSP), [6])
    np.testing.assert_allclose(lengths.head_box_px(np.array([[10.0, 10, 40, 50]])), [30])


def test_a_skeleton_without_the_ends_is_an_error() -> None:
    with pytest.raises(SpecError, match="no joint 'head_top'"):
        lengths.head_segment_px(np.zeros((1, 17, 2)), np.ones((1, 17), bool), SKELETONS["coco17"])


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match="pred_xy: expected shape"):
        pck.hits(np.zeros((2, 3, 2)), np.zeros((2, 4, 2)), np.ones((2, 4), bool), np.ones(2), 0.2)


@given(XY, XY, arrays(np.bool_, (3, 4)), arrays(np.float64, 3, elements=st.floats(0, 50)))
def test_equals_the_slow_twin_and_grows_with_the_threshold(pred, true, labeled, length) -> None:  # type: ignore[no-untyped-def]
    before = np.zeros((3, 4))
    for threshold in (0.1, 0.2, 0.5, 1.0):
        found = pck.hits(pred, true, labeled, length, threshold)
        np.testing.assert_array_equal(found, _slow(pred, true, labeled, length, threshold))
        counted = np.isfinite(found)
        assert (found[counted] >= before[counted]).all()
        before = found


def _slow(pred, true, labeled, length, threshold):  # type: ignore[no-untyped-def]
    out = np.full(labeled.shape, np.nan)
    for n, k in np.ndindex(*labeled.shape):
        if labeled[n, k] and length[n] > 0:
            off = np.hypot(pred[n, k, 0] - true[n, k, 0], pred[n, k, 1] - true[n, k, 1])
            out[n, k] = 1.0 if float(off) / float(length[n]) <= threshold else 0.0
    return out


@pytest.mark.parametrize(("off", "length", "threshold"), [(6, 30, 0.2), (0.3, 3, 0.1), (7, 10, 0.7), (1.5, 5, 0.3)])
def test_a_distance_on_the_threshold_is_a_hit_whatever_the_binary_fraction(
    off: float, length: float, threshold: float
) -> None:
    """0.1 * 3 is 0.30000000000000004 and 0.7 * 10 is 7.000000000000001; the quotients round to the threshold."""
    pred = np.array([[[off, 0.0]]])
    found = pck.hits(pred, np.zeros((1, 1, 2)), np.ones((1, 1), bool), np.array([length]), threshold)
    assert found == 1


def test_box_side_by_hand() -> None:
    """Labeled joints from (2, 3) to (12, 43): sides 10 + 1 and 40 + 1 pixels, the larger is 41. Nobody: NaN."""
    true = np.array([[[2, 43], [12, 3], [99, 99]], [[1, 1], [2, 2], [3, 3]]], float)
    labeled = np.array([[True, True, False], [False, False, False]])
    np.testing.assert_array_equal(lengths.box_side_px(true, labeled), [41, np.nan])


def test_pck_of_the_box_by_hand() -> None:
    """Side 41, threshold 0.1: within 4.1 px. Off by 4.1 on the first joint, by 4.2 on the second."""
    true = np.array([[[2.0, 43], [12, 3]]])
    labeled = np.ones((1, 2), bool)
    pred = true + np.array([[[4.1, 0], [0, 4.2]]])
    found = pck.hits(pred, true, labeled, lengths.box_side_px(true, labeled), 0.1)
    np.testing.assert_array_equal(found, [[1, 0]])


def test_relative_errors_by_hand() -> None:
    """3-4-5 triangle over a length of 10: 0.5. Not predicted: infinite. Not labeled: NaN."""
    true = np.zeros((1, 3, 2))
    pred = np.array([[[3, 4], [np.nan, 0], [1, 1]]])
    errors = pck.relative_errors(pred, true, np.array([[True, True, False]]), np.array([10.0]))
    np.testing.assert_array_equal(errors, [[0.5, np.inf, np.nan]])
