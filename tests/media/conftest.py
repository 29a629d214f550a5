"""Poses to write and to draw."""

from __future__ import annotations

import numpy as np
import pytest

from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import SKELETONS


@pytest.fixture
def two_people() -> Poses:
    """Two people, the second with half of its joints unsure."""
    rng = np.random.default_rng(1)
    scores = np.full((2, 14), 0.9, np.float32)
    scores[1, 7:] = 0.1
    return Poses(
        skeleton=SKELETONS["lsp14"],
        xy_image=rng.uniform(20, 90, (2, 14, 2)).astype(np.float32),
        scores=scores,
        boxes_xyxy=np.array([[10, 20, 60, 90], [5, 5, 95, 95]], np.float32),
        box_scores=np.array([1.0, 0.5], np.float32),
    )
