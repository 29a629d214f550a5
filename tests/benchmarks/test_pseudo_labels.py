"""The factors of the guard without labels follow from the measurements that are committed."""

from __future__ import annotations

import numpy as np
import pseudo_labels
import pytest
from records import read_csv

from edgepose.measure.pseudo_labels import FACTORS


def test_the_factors_are_those_of_the_csv() -> None:
    rows = read_csv("pseudo-labels.csv")
    assert {metric: pseudo_labels.fitted(rows, metric).factor for metric in FACTORS} == FACTORS


def test_the_smallest_factor_that_covers() -> None:
    """20 graphs, of which one loses three times what all others lose: 95 % are covered without it."""
    rows = [
        {"ap": str(0.012 * (3 if i == 7 else 1)), "ap_pseudo": "0.01", "ap_pseudo_error": "0.001"} for i in range(20)
    ]
    found = pseudo_labels.fitted(rows, "ap")
    needed = 0.012 / (0.01 + 1.645 * 0.001)
    assert found.factor == pytest.approx(np.ceil(needed / 0.05) * 0.05) and needed > found.factor - 0.05
    assert (found.graphs, found.bounds) == (20, 19)
    lossy = [{"ap": "0.9", "ap_pseudo": "0.2", "ap_pseudo_error": "0.01"}] * 20
    assert pseudo_labels.fitted([*rows, *lossy], "ap") == found  # graphs that fail any floor do not count
