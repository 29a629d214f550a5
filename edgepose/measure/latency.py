"""Timings that can be compared: subjects take turns in one run, and ratios come with a confidence interval.

Timings taken minutes apart on a shared machine differ by more than the subjects do. Here every round times every
subject once, in an order shuffled by a seed, so a slow moment affects all of them alike.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array, check_array
from edgepose._progress import Track, quiet
from edgepose.errors import UsageError
from edgepose.metrics.retention import Interval

PERCENTILES = (50, 90, 95, 99)
RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class Percentiles:
    """Percentiles of a latency in milliseconds."""

    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float


def time_interleaved(
    subjects: Mapping[str, Callable[[], object]],
    rounds: int,
    warmup: int,
    track: Track = quiet,
    *,
    seed: int = 0,
) -> dict[str, Array]:
    """Time every subject in the same rounds.

    Args:
        subjects: Name -> the call to time.
        rounds: Number of timed calls of each subject.
        warmup: Number of untimed calls of each subject before the first round.
        track: Progress callback over the rounds.
        seed: Seed of the order within each round.

    Returns:
        Name -> [rounds] float64 seconds.

    Raises:
        UsageError: There is nothing to time.
    """
    if not subjects or rounds < 1 or warmup < 0:
        raise UsageError(f"{len(subjects)} subjects, rounds {rounds}, warmup {warmup}: nothing to time")
    names = list(subjects)
    for name in names:
        for _ in range(warmup):
            subjects[name]()
    random = np.random.default_rng(seed)
    seconds = {name: np.empty(rounds) for name in names}
    with no_collection():
        for done in track(range(rounds), "timing", rounds):
            for i in random.permutation(len(names)):
                seconds[names[i]][done] = _time_once(subjects[names[i]])
    return seconds


def _time_once(subject: Callable[[], object]) -> float:
    start = time.perf_counter()
    subject()
    return time.perf_counter() - start


@contextmanager
def no_collection() -> Iterator[None]:
    """Keep Python's garbage collector from running inside a timing, and restore it afterwards."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def percentiles(seconds: Array) -> Percentiles:
    """Compute percentiles of timings.

    Args:
        seconds: [N] float, timings in seconds.

    Raises:
        ValueError: There is no timing.
    """
    if check_array("seconds", seconds, ("N",))["N"] < 1:
        raise ValueError("seconds: expected at least one timing")
    p50, p90, p95, p99 = np.percentile(seconds * 1e3, PERCENTILES).tolist()
    return Percentiles(p50_ms=p50, p90_ms=p90, p95_ms=p95, p99_ms=p99)


def ratio(slow: Array, fast: Array, *, seed: int = 0) -> Interval:
    """Compute how many times faster `fast` is: the ratio of medians with its 95 % interval.

    The interval is a paired bootstrap over rounds: a round is drawn for both subjects or for neither.

    Args:
        slow: [N] float, seconds.
        fast: [N] float, seconds of the same rounds.
        seed: Seed of the bootstrap.

    Raises:
        ValueError: There is no round.
    """
    n = check_array("slow", slow, ("N",))["N"]
    check_array("fast", fast, (n,))
    if n < 1:
        raise ValueError("slow, fast: expected at least one round")
    rows = np.random.default_rng(seed).integers(0, n, (RESAMPLES, n))
    drawn = np.median(slow[rows], axis=1) / np.median(fast[rows], axis=1)
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Interval(value=float(np.median(slow) / np.median(fast)), low=float(low), high=float(high))
