"""The end-point error: distances by hand, who is counted."""

from __future__ import annotations

import numpy as np

from edgepose.metrics.epe import errors_px


def test_by_hand() -> None:
    """(3, 4) off is 5 px; an unlabeled joint is not counted; a joint that was not predicted has no distance."""
    true = np.zeros((1, 4, 2))
    pred = np.array([[[3.0, 4.0], [0.0, 0.0], [9.0, 9.0], [np.nan, 0.0]]])
    labeled = np.array([[True, True, False, True]])
    np.testing.assert_array_equal(errors_px(pred, true, labeled), [[5, 0, np.nan, np.inf]])
