"""Work on several cores."""

from __future__ import annotations

import threading

import pytest

from edgepose import _cores
from edgepose._cores import cores, side_by_side


def test_results_stand_in_the_order_of_the_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cores, "cores", lambda: 2)
    second = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert second.wait(10), "the second item does not run beside the first"
        second.set()
        return -item

    assert side_by_side(work, range(5)) == [0, -1, -2, -3, -4]
    assert cores() >= 1


def test_an_error_of_one_item_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        side_by_side(lambda item: 1 // item, [1, 0, 2])
