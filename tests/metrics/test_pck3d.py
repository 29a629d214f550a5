"""3-D PCK at 150 mm: by hand, and against the arithmetic of the published evaluation written out."""

from __future__ import annotations

import numpy as np
import pytest

from edgepose.metrics import pck3d
from edgepose.metrics.retention import pooled

ALL = np.ones((1, 3), bool)


def test_by_hand() -> None:
    """Off by (100, 100, 50): 150 exactly, no hit, since less than 150 is asked. Off by (60, 80, 0): 100, a hit.

    Its curve is 0 up to 100 mm and 1 at the ten thresholds 105 ... 150: area 10/31. A perfect joint is found
    at every threshold but 0: 30/31. So of the three joints 2/3 are found, and the area is (0 + 10 + 30) / 93.
    """
    true = np.zeros((1, 3, 3))
    pred = np.array([[[100, 100, 50], [60, 80, 0], [0, 0, 0]]], float)
    errors = pck3d.errors_mm(pred, true, ALL)
    np.testing.assert_allclose(errors, [[150, 100, 0]])
    np.testing.assert_array_equal(pck3d.hits(errors), [[0, 1, 1]])
    np.testing.assert_allclose(pck3d.auc_hits(errors), [[0, 10 / 31, 30 / 31]])
    assert pooled(pck3d.auc_hits(errors)) == pytest.approx(40 / 93)


def test_what_counts() -> None:
    """Unlabeled: NaN. Not predicted: a miss, with nothing under its curve."""
    pred = np.zeros((1, 3, 3))
    pred[0, 1] = np.nan
    pred[0, 2] = np.inf
    errors = pck3d.errors_mm(pred, np.zeros((1, 3, 3)), np.array([[False, True, True]]))
    np.testing.assert_array_equal(pck3d.hits(errors), [[np.nan, 0, 0]])
    np.testing.assert_array_equal(pck3d.auc_hits(errors), [[np.nan, 0, 0]])


def test_root() -> None:
    """A pose that is right but 1 m to the side: nothing is found before, all after both start at the pelvis."""
    true = np.array([[[0, 0, 0], [100, 200, 0], [0, 500, 50]]], float)
    pred = true + np.array([1000, 0, 0])
    assert pooled(pck3d.hits(pck3d.errors_mm(pred, true, ALL))) == 0
    moved = [pck3d.relative_to_root(xyz, 0) for xyz in (pred, true)]
    assert pooled(pck3d.hits(pck3d.errors_mm(*moved, ALL))) == 1


def test_equals_the_published_arithmetic() -> None:
    """mpii_compute_3d_pck.m: at each of 0:5:150 the share of errors below it; their sum over 31 is the area."""
    random = np.random.default_rng(0)
    true = random.normal(0, 300, (50, 17, 3))
    pred = true + random.normal(0, 60, true.shape)
    errors = pck3d.errors_mm(pred, true, np.ones((50, 17), bool))
    distance = np.sqrt(((pred - true) ** 2).sum(axis=2))
    shares = [(distance < threshold).mean() for threshold in range(0, 151, 5)]
    np.testing.assert_allclose(pck3d.curve_mm(errors).pooled, shares, rtol=0, atol=1e-12)
    assert pooled(pck3d.hits(errors)) == pytest.approx(shares[-1])
    assert pooled(pck3d.auc_hits(errors)) == pytest.approx(sum(shares) / 31)


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match="pred_xyz_mm: expected shape"):
        pck3d.errors_mm(np.zeros((1, 3, 2)), np.zeros((1, 3, 3)), ALL)
