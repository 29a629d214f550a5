"""Interleaving, percentiles and ratios, on subjects whose timing is known."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from edgepose.errors import UsageError
from edgepose.measure.latency import percentiles, ratio, time_interleaved


def test_every_round_calls_every_subject_once_in_shuffled_order() -> None:
    calls: list[str] = []
    subjects = {name: (lambda name=name: calls.append(name)) for name in "abc"}
    seconds = time_interleaved(subjects, rounds=40, warmup=2)
    assert calls[:6] == ["a", "a", "b", "b", "c", "c"]
    timed = [tuple(calls[i : i + 3]) for i in range(6, len(calls), 3)]
    assert len(timed) == 40
    assert {frozenset(order) for order in timed} == {frozenset("abc")}
    assert len(set(timed)) == 6
    assert all(value.shape == (40,) and (value >= 0).all() for value in seconds.values())


def test_the_order_is_the_seeds() -> None:
    def order(seed: int) -> list[str]:
        calls: list[str] = []
        subjects = {name: (lambda name=name: calls.append(name)) for name in "ab"}
        time_interleaved(subjects, rounds=20, warmup=0, seed=seed)
        return calls

    assert order(1) == order(1) != order(2)


def test_it_times_the_call() -> None:
    seconds = time_interleaved({"sleep": lambda: time.sleep(0.005), "none": lambda: None}, 3, 1)
    assert seconds["sleep"].min() >= 0.005
    assert seconds["none"].min() < 0.005


def test_the_collector_is_off_while_timing_and_on_afterwards() -> None:
    states: list[bool] = []
    time_interleaved({"a": lambda: states.append(gc.isenabled())}, 2, 0)
    assert states == [False, False]
    assert gc.isenabled()


def test_progress_counts_rounds() -> None:
    seen: list[Any] = []

    def track(items: Iterable[Any], label: str, total: int | None = None) -> Iterable[Any]:
        seen.append((label, total))
        return items

    time_interleaved({"a": lambda: None}, 7, 0, track)
    assert seen == [("timing", 7)]


@pytest.mark.parametrize(("subjects", "rounds", "warmup"), [({}, 1, 0), ({"a": int}, 0, 0), ({"a": int}, 1, -1)])
def test_nothing_to_time(subjects: dict[str, Any], rounds: int, warmup: int) -> None:
    with pytest.raises(UsageError, match="nothing to time"):
        time_interleaved(subjects, rounds, warmup)


def test_percentiles_are_milliseconds() -> None:
    found = percentiles(np.arange(101) / 1000)
    assert vars(found) == pytest.approx({"p50_ms": 50, "p90_ms": 90, "p95_ms": 95, "p99_ms": 99})
    with pytest.raises(ValueError, match="at least one timing"):
        percentiles(np.empty(0))


def test_ratio_of_medians_and_its_interval() -> None:
    random = np.random.default_rng(0)
    fast = random.normal(1.0, 0.05, 400)
    slow = random.normal(3.0, 0.15, 400)
    found = ratio(slow, fast)
    assert found.value == pytest.approx(np.median(slow) / np.median(fast))
    assert found.low < 3 < found.high
    assert found.high - found.low < 0.1


def test_pairing_cancels_what_hits_both() -> None:
    """A machine that slows down for both in the same rounds leaves their ratio certain."""
    load = np.repeat([1.0, 5.0], 50)
    found = ratio(2 * load, load)
    assert vars(found) == pytest.approx({"value": 2, "low": 2, "high": 2})


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    covered = 0
    for trial in range(100):
        random = np.random.default_rng(trial)
        found = ratio(random.exponential(2, 60), random.exponential(1, 60), seed=trial)
        covered += found.low <= 2 <= found.high
    assert 88 <= covered <= 100


def test_rounds_must_be_the_same() -> None:
    with pytest.raises(ValueError, match="fast: expected shape"):
        ratio(np.ones(3), np.ones(4))
