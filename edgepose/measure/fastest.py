"""Which of several engines is the fastest on this machine: one short interleaved run, and the decision.

Only the network is timed, on crops that were cut beforehand. Times of a noisy machine decide with their 95 % interval:
an engine counts as slower only where the interval of the ratio says so.

Run only the tests of this file with `pytest tests/measure/test_fastest.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepose._checks import Array
from edgepose._progress import Track, quiet
from edgepose.backends.engine import open_engine
from edgepose.backends.session import OpenOptions
from edgepose.errors import UsageError
from edgepose.measure.latency import ratio, time_interleaved
from edgepose.metrics.retention import Interval
from edgepose.runtime.pipeline import open_pipeline

THREADS = 1  # as in `edgepose bench`
WARMUP = 3
ROUNDS = (5, 200)  # fewest and most


@dataclass(frozen=True, kw_only=True)
class Times:
    """The times of several engines in the same rounds.

    Attributes:
        seconds: Name of an engine -> [rounds] float64 seconds.
    """

    seconds: Mapping[str, Array]

    @property
    def rounds(self) -> int:
        """How often each engine was timed."""
        return len(next(iter(self.seconds.values())))

    def median_ms(self, name: str) -> float:
        """Return the median latency of an engine in milliseconds."""
        return float(np.median(self.seconds[name]) * 1e3)

    def longer(self, name: str, than: str) -> Interval:
        """Return how many times as long an engine takes as another one, with its 95 % interval."""
        return ratio(self.seconds[name], self.seconds[than])

    def fastest(self, order: Sequence[str]) -> str:
        """Return the engine to keep: the fastest, or the first in `order` that cannot be told apart from it.

        Args:
            order: Names of engines, the preferred ones first, such as the most precise.

        Raises:
            UsageError: `order` is empty.
        """
        if not order:
            raise UsageError("no engine to choose from")
        best = min(order, key=self.median_ms)
        return next(name for name in order if name == best or self.longer(name, best).low <= 1)


def time_networks(
    engines: Mapping[str, Path], image: Array, boxes_xyxy: Array, budget_s: float, track: Track = quiet
) -> Times:
    """Time the networks of engines in one interleaved run, with one CPU thread.

    Args:
        engines: Name -> engine folder.
        image: [H, W, 3] uint8 BGR, the frame.
        boxes_xyxy: [N, 4] float32, the people that are run as one batch, in pixels of the frame.
        budget_s: Time for the rounds in seconds; slow networks take longer, since there are at least 5 rounds.
        track: Shows the progress.

    Raises:
        UsageError: There is no engine.
        EngineError: An engine cannot be opened here.
    """
    with contextlib.ExitStack() as stack:
        calls: dict[str, Callable[[], object]] = {}
        for name, path in engines.items():
            session, manifest = open_engine(path, OpenOptions(threads=THREADS))
            stack.enter_context(session)
            pipeline = stack.enter_context(open_pipeline(session, manifest.spec, threads=THREADS))
            boxes = None if pipeline.finds_people else boxes_xyxy
            calls[name] = pipeline.stages(image, boxes)["network"]
        return time_calls(calls, budget_s, track)


def time_calls(calls: Mapping[str, Callable[[], object]], budget_s: float, track: Track = quiet) -> Times:
    """Time calls in as many interleaved rounds as fit into a time, 5 to 200.

    Args:
        calls: Name -> the call to time.
        budget_s: Time for the rounds in seconds.
        track: Shows the progress.

    Raises:
        UsageError: There is nothing to time.
    """
    first = time_interleaved(calls, 1, WARMUP)
    one_round = sum(float(seconds[0]) for seconds in first.values())
    fewest, most = ROUNDS
    rounds = int(np.clip(budget_s / max(one_round, 1e-9), fewest, most))
    return Times(seconds=time_interleaved(calls, rounds, 0, track))
