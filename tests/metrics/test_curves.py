"""Curves and areas: by hand, against a slow loop, and as means of hits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgepose.metrics import pck
from edgepose.metrics.curves import FRACTIONS, area_hits, curve, mean_weights, trapezium, within
from edgepose.metrics.retention import pooled

ERRORS = arrays(
    np.float64, (5, 3), elements=st.one_of(st.sampled_from([0.0, 0.1, 0.2, np.inf, np.nan]), st.floats(0, 1))
)
THRESHOLDS = np.array([0.0, 0.1, 0.2, 0.5])


def test_curve_by_hand() -> None:
    """Two joints of two people, errors 0.1 and 0.3, and 0.2 and unlabeled.

    At 0.1 one of three is hit, at 0.2 two, at 0.3 all; the first joint: 1 of 2, 1 of 2, 2 of 2.
    """
    made = curve(np.array([[0.1, 0.2], [0.3, np.nan]]), np.array([0.1, 0.2, 0.3]))
    np.testing.assert_allclose(made.pooled, [1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(made.parts, [[0.5, 0], [0.5, 1], [1, 1]])


def test_strict_leaves_the_threshold_itself_out() -> None:
    errors = np.array([[0.1, 0.2]])
    np.testing.assert_array_equal(within(errors, 0.1), [[1, 0]])
    np.testing.assert_array_equal(within(errors, 0.1, strict=True), [[0, 0]])
    np.testing.assert_array_equal(curve(errors, np.array([0.1, 0.2]), strict=True).pooled, [0, 0.5])


def test_area_by_hand() -> None:
    """One joint, error 0.2, thresholds 0, 0.1, 0.2, 0.5: shares 0, 0, 1, 1.

    Trapezium: 0.05 from 0.1 to 0.2 and 0.3 from 0.2 to 0.5, over 0.5: 0.7. Mean over thresholds: 2/4.
    """
    errors = np.array([[0.2]])
    assert area_hits(errors, THRESHOLDS, trapezium(THRESHOLDS))[0, 0] == pytest.approx(0.35 / 0.5)
    assert area_hits(errors, THRESHOLDS, mean_weights(THRESHOLDS))[0, 0] == 0.5


@given(ERRORS, st.booleans())
def test_equals_the_slow_twin(errors, strict) -> None:  # type: ignore[no-untyped-def]
    made = curve(errors, THRESHOLDS, strict=strict)
    for t, threshold in enumerate(THRESHOLDS):
        hits = within(errors, threshold, strict=strict)
        np.testing.assert_equal(made.pooled[t], pooled(hits))
        np.testing.assert_equal(made.parts[t], [pooled(hits[:, [k]]) for k in range(3)])


@given(ERRORS, st.booleans())
def test_the_mean_of_area_hits_is_the_area_under_the_curve(errors, strict) -> None:  # type: ignore[no-untyped-def]
    made = curve(errors, THRESHOLDS, strict=strict)
    by_rule = ((made.pooled[1:] + made.pooled[:-1]) / 2 * np.diff(THRESHOLDS)).sum() / 0.5
    got = pooled(area_hits(errors, THRESHOLDS, trapezium(THRESHOLDS), strict=strict))
    np.testing.assert_allclose(got, by_rule, atol=1e-12)
    got = pooled(area_hits(errors, THRESHOLDS, mean_weights(THRESHOLDS), strict=strict))
    np.testing.assert_allclose(got, made.pooled.mean(), atol=1e-12)


@given(ERRORS)
def test_a_curve_never_falls_and_pdj_at_a_point_is_pck(errors) -> None:  # type: ignore[no-untyped-def]
    made = curve(errors, FRACTIONS)
    if np.isfinite(made.pooled).all():
        assert (np.diff(made.pooled) >= 0).all()
    at = int(np.searchsorted(FRACTIONS, 0.2))
    assert FRACTIONS[at] == 0.2
    np.testing.assert_equal(made.pooled[at], pooled(within(errors, 0.2)))


def test_pdj_at_0_2_equals_pck_at_0_2_on_the_same_reference_length() -> None:
    random = np.random.default_rng(0)
    true, labeled = random.uniform(0, 100, (40, 14, 2)), random.random((40, 14)) < 0.9
    pred, torso = true + random.normal(0, 10, true.shape), random.uniform(20, 60, 40)
    pdj = curve(pck.relative_errors(pred, true, labeled, torso), FRACTIONS)
    hits = pck.hits(pred, true, labeled, torso, 0.2)
    assert pdj.pooled[20] == pooled(hits)
    np.testing.assert_allclose(pdj.parts[20], np.nanmean(hits, axis=0), rtol=0, atol=1e-15)


def test_thresholds_must_rise() -> None:
    for bad in (np.array([0.1]), np.array([0.2, 0.1]), np.zeros((2, 2))):
        with pytest.raises(ValueError, match="two or more rising numbers"):
            curve(np.zeros((1, 1)), bad)
