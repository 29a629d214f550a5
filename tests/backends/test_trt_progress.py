"""Nested phases as one share; the bar moves forward only and ends whatever happens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import ModuleType

import pytest

from edgepose._progress import quiet
from edgepose.backends.tensorrt.progress import TICKS, Shares, watch


def test_the_share_of_nested_phases() -> None:
    shares = Shares()
    assert shares.done() == 1.0
    shares.start("all", None, 4)
    assert shares.done() == 0.0
    shares.step("all", 0)
    assert shares.done() == pytest.approx(0.25)
    shares.start("part", "all", 10)
    shares.step("part", 4)
    assert shares.done() == pytest.approx(0.25 + 0.5 / 4)
    shares.start("deep", "part", 2)
    shares.step("deep", 0)
    assert shares.done() == pytest.approx((1 + (5 + 0.5) / 10) / 4)
    shares.finish("part")
    shares.finish("part")
    assert shares.done() == pytest.approx(0.25)
    shares.step("unknown", 3)
    shares.step("all", 3)
    assert shares.done() == 1.0


class Bar:
    """A Track that remembers how far it was drawn, and that it was closed."""

    def __init__(self) -> None:
        self.drawn, self.closed = 0, False

    def __call__(self, items: Iterable[int], label: str, total: int | None = None) -> Iterator[int]:
        try:
            for item in items:
                self.drawn = item
                yield item
        finally:
            self.closed = True


@pytest.fixture
def trt(trt_doubles: ModuleType) -> ModuleType:
    made: ModuleType = trt_doubles.double("tensorrt-10.3.0")
    return made


def test_the_bar_follows_and_is_filled_at_the_end(trt: ModuleType) -> None:
    bar = Bar()
    monitor = watch(trt, "building", bar)
    monitor.phase_start("all", "", 2)
    assert monitor.step_complete("all", 0)
    assert bar.drawn == TICKS // 2
    monitor.phase_start("part", "all", 2)
    monitor.step_complete("part", 0)
    assert bar.drawn == 3 * TICKS // 4
    monitor.phase_finish("part")
    assert bar.drawn == 3 * TICKS // 4  # never back
    monitor.close()
    assert (bar.drawn, bar.closed) == (TICKS - 1, True)


def test_ctrl_c_in_a_callback_is_kept_and_stops_the_build(trt: ModuleType) -> None:
    class Stopping(Bar):
        def __call__(self, items: Iterable[int], label: str, total: int | None = None) -> Iterator[int]:
            yield 0
            raise KeyboardInterrupt

    monitor = watch(trt, "building", Stopping())
    monitor.phase_start("all", None, 2)
    assert monitor.step_complete("all", 0) is False
    assert monitor.interrupted
    assert monitor.step_complete("all", 1) is False
    monitor.close()


def test_ctrl_c_where_a_phase_begins_or_ends(trt: ModuleType) -> None:
    class Interrupted:
        def __enter__(self) -> None:
            raise KeyboardInterrupt

        def __exit__(self, *given: object) -> None: ...

    for call in (lambda m: m.phase_start("all", None, 2), lambda m: m.phase_finish("all")):
        monitor = watch(trt, "building", quiet)
        monitor._lock = Interrupted()
        call(monitor)
        assert monitor.interrupted


def test_without_a_bar(trt: ModuleType) -> None:
    monitor = watch(trt, "building", quiet)
    monitor.phase_start("all", None, 1)
    assert monitor.step_complete("all", 0)
    monitor.interrupted = True
    monitor.close()
