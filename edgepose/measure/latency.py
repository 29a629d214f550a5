"""Timing that can be compared: subjects take turns in one run, and ratios come with an interval.

Timings taken minutes apart on a shared machine differ by more than the subjects do. Here every round times
every subject once, in an order shuffled by a seed, so a slow moment hits all of them alike.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from edgepose._checks import Array, check_array
from edgepose._progress import Track, quiet
from edgepose.errors import UsageError

PERCENTILES = (50, 90, 95, 99)
RESAMPLES = 2000


def time_interleaved(
    subjects: Mapping[str, Callable[[], object]],
    rounds: int,
    warmup: int,
    track: Track = quiet,
    *,
    seed: int = 0,
) -> dict[str, Array]:
    """[rounds] float64 seconds for each subject, all timed in the same rounds.

    warmup: untimed calls of each before. Raises UsageError when there is nothing to time.
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
    """Keep Python's garbage collector from running inside a timing; it is as before afterwards."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def percentiles(seconds: Array) -> dict[str, float]:
    """{"p50_ms", "p90_ms", "p95_ms", "p99_ms"} of timings in seconds [N]."""
    if check_array("seconds", seconds, ("N",))["N"] < 1:
        raise ValueError("seconds: expected at least one timing")
    values = np.percentile(seconds * 1e3, PERCENTILES)
    return {f"p{p}_ms": float(value) for p, value in zip(PERCENTILES, values, strict=True)}


def ratio(
    slow: Array,  # [N] seconds
    fast: Array,  # [N] seconds, of the same rounds
    *,
    seed: int = 0,
) -> dict[str, float]:
    """How many times faster `fast` is: {"value", "low", "high"}, ratio of medians with its 95 % interval.

    The interval is a bootstrap over rounds, paired: a round is drawn for both or for neither.
    """
    n = check_array("slow", slow, ("N",))["N"]
    check_array("fast", fast, (n,))
    if n < 1:
        raise ValueError("slow, fast: expected at least one round")
    rows = np.random.default_rng(seed).integers(0, n, (RESAMPLES, n))
    drawn = np.median(slow[rows], axis=1) / np.median(fast[rows], axis=1)
    low, high = np.percentile(drawn, (2.5, 97.5))
    return {"value": float(np.median(slow) / np.median(fast)), "low": float(low), "high": float(high)}
