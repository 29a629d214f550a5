"""Matching: the groups give the result of the whole assignment problem."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from edgepose.runtime.tracking.matching import match


def gain(similarity, found, least):
    rows = np.flatnonzero(found >= 0)
    return float((similarity[rows, found[rows]] - least).sum())


@pytest.mark.parametrize("seed", range(60))
def test_the_gain_is_the_largest_there_is(seed):
    rng = np.random.default_rng(seed)
    people, tracks = rng.integers(1, 9, 2)
    similarity = rng.random((people, tracks)) * (rng.random((people, tracks)) < rng.uniform(0.2, 1))
    least = 0.3
    found = match(similarity, least)
    used = found[found >= 0]
    assert len(set(used.tolist())) == len(used)
    assert (similarity[found >= 0, used] >= least).all()
    padded = np.concatenate([np.maximum(similarity - least, 0), np.zeros((people, people))], axis=1)
    rows, columns = linear_sum_assignment(-padded)
    assert gain(similarity, found, least) == pytest.approx(padded[rows, columns].sum())


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_nobody_matches_nothing(shape):
    assert match(np.zeros(shape), 0.3).tolist() == [-1] * shape[0]
