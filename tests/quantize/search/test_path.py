"""The path of candidates that the guard tests."""

from __future__ import annotations

import pytest

from edgepose.quantize.search.path import undominated


@pytest.mark.parametrize(
    ("losses", "kept"),
    [
        ([0.1, 0.5, 1.5, 3.0], [0, 1, 2, 3]),  # losses grow with the int8 layers
        ([0.1, 4.0, 5.0, 2.0, 3.0], [0, 3, 4]),  # what loses more with fewer int8 layers is left out
        ([2.0, 4.0, 1.5], [0, 2]),  # the last resort stays
        ([0.9, 0.8, 0.7], [0, 1, 2]),  # candidates that are good enough are steps of the test
        ([float("inf"), float("inf")], [0, 1]),
        ([], []),
    ],
)
def test_candidates_that_lose_more_than_one_with_more_int8_layers_are_not_tested(
    losses: list[float], kept: list[int]
) -> None:
    assert undominated(losses) == kept
