"""How long the stages of a run take, for a view of the run while it goes on."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

RECENT = 60  # frames that count
WAITING = 64  # frames that may be between reading and writing; older ones were dropped

READ, FIND, POSES, FOLLOW, WRITE, TOTAL = "read", "find people", "poses", "track", "write", "read to written"
STAGES = (READ, FIND, POSES, FOLLOW, WRITE, TOTAL)


class StageTimes:
    """Collects the times of stages. Threads may use it at the same time.

    `read` includes the time that a live source waits for its next frame. `poses` is the time from the beginning of a
    frame in the network to its result, `track` that of tracking, selection and smoothing. `read to written` is the age
    of a frame when its outputs are written.
    """

    def __init__(self) -> None:
        self._recent: dict[str, deque[float]] = {stage: deque(maxlen=RECENT) for stage in STAGES}
        self._read_at: deque[tuple[int, float]] = deque(maxlen=WAITING)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as a stage."""
        start = time.perf_counter()
        yield
        self.add(name, time.perf_counter() - start)

    def add(self, name: str, seconds: float) -> None:
        """Add a time in seconds."""
        self._recent[name].append(seconds)

    def began(self, index: int) -> None:
        """Remember when a frame was read."""
        self._read_at.append((index, time.perf_counter()))

    def ended(self, index: int) -> None:
        """Add the age of a frame whose outputs are written."""
        for number, start in list(self._read_at):
            if number == index:
                self.add(TOTAL, time.perf_counter() - start)
                return

    def latencies_ms(self) -> dict[str, float]:
        """Return the median of the latest times of each stage in milliseconds; stages that did not run are left out."""
        latest = {stage: list(times) for stage, times in self._recent.items()}
        return {stage: round(1000 * statistics.median(times), 2) for stage, times in latest.items() if times}
