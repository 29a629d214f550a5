"""The candidates of one order of groups: first with large steps toward float, then between the two that matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edgepose._progress import Track
from edgepose.quantize.search.path import between, levels
from edgepose.quantize.search.result import Candidate
from edgepose.quantize.search.task import Task
from edgepose.quantize.search.units import Group


@dataclass(kw_only=True)
class Climb:
    """The candidates of one order of groups.

    Attributes:
        task: The search.
        start: Nodes that are float in every candidate.
        hard: Indexes of the hardest crops.
        errors: The error of each group alone.
        order: Groups in the order in which they become float.
        track: Progress callback.
        found: Number of float groups -> the candidate.
    """

    task: Task
    start: Mapping[str, str]
    hard: Sequence[int]
    errors: Mapping[Group, float]
    order: Sequence[Group]
    track: Track
    found: dict[int, Candidate] = field(default_factory=dict)

    def coarse(self) -> None:
        """Measure candidates with ever more float layers until one is safe."""
        for end in levels(self.order, self.errors, self.task.limits.candidates // 2 + 1):
            if len(self.found) >= self.task.limits.candidates or any(self._safe(one) for one in self.found.values()):
                break
            self._measure(end)

    def refine(self) -> None:
        """Look for more int8 layers between the last candidate that loses too much and the next, which does not."""
        while len(self.found) < self.task.limits.candidates:
            bad = max((end for end, one in self.found.items() if self.task.loss(one.measured) > 1), default=None)
            good = min((end for end in self.found if bad is not None and end > bad), default=None)
            middle = between(self.order, self.errors, bad, good) if bad is not None and good is not None else None
            if middle is None:
                break
            self._measure(middle)

    def _safe(self, candidate: Candidate) -> bool:
        return self.task.safe(candidate.measured)

    def _measure(self, end: int) -> None:
        best = [one for one in self.found.values() if self.task.loss(one.measured) <= 1]
        words = self.task.describe(max(best, key=lambda one: one.int8_share or 0.0)) if best else "none good enough yet"
        label = f"search: candidate {len(self.found) + 1} of at most {self.task.limits.candidates}; best: {words}"
        for _ in self.track(range(1), label, None):
            self.found[end] = self.task.candidate(self.start, self.order[:end], self.errors, self.hard)
