"""Chunking: every item once, in order, in sizes the engine has."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepose.backends.batches import batch_sizes, check_feed, chunks
from edgepose.errors import EngineError


@given(total=st.integers(1, 60), more=st.sets(st.integers(2, 9), max_size=3))
def test_chunks_cover_everything_once_in_order(total: int, more: set[int]) -> None:
    parts = list(chunks(total, (1, *more)))
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(total))
    assert {part.stop - part.start for part in parts} <= {1, *more}


def test_batch_sizes() -> None:
    assert batch_sizes([[None, 3, 8, 8]], free=(1, 4)) == (1, 4)
    assert batch_sizes([[1, 3, 8, 8]], free=(1, 4)) == (1,)
    with pytest.raises(EngineError, match="fixed to 2"):
        batch_sizes([[2, 3, 8, 8]], free=(1, 4))


@pytest.mark.parametrize(
    ("feed", "message"),
    [
        ({"x": np.zeros((1, 3, 4, 4), np.float32)}, "expected inputs"),
        ({"image": np.zeros((1, 3, 4, 5), np.float32)}, "expected shape"),
        ({"image": np.zeros((1, 3, 4, 4))}, "expected dtype float32"),
        ({"image": np.zeros((1, 3, 4, 4), np.uint8)}, "expected dtype float32"),
        ({"image": np.zeros((0, 3, 4, 4), np.float32)}, "at least 1"),
    ],
)
def test_a_wrong_feed_is_named(feed: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_feed(feed, {"image": (3, 4, 4)}, {"image": np.float32})
