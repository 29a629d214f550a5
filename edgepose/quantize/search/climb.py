"""The candidates of one order of groups: first with large steps toward float, then between the two that matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edgepose._progress import Track
from edgepose.quantize.search.path import between, levels
from edgepose.quantize.search.repair import gains, is_wrong, reordered
from edgepose.quantize.search.result import Candidate
from edgepose.quantize.search.task import Task
from edgepose.quantize.search.units import Group

LOST = 0.3  # relative squared error from which on one unit more in float changes little


@dataclass(kw_only=True)
class Climb:
    """The candidates of one order of groups.

    Attributes:
        task: The search.
        start: Nodes that are float in every candidate.
        hard: Indexes of the hardest crops.
        errors: The error of each group: alone, or what it removed where that was measured.
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

    def coarse(self, behind: int = -1) -> None:
        """Measure candidates with ever more float layers, more than `behind` groups, until one is safe."""
        for end in levels(self.order, self.errors, self.task.limits.candidates // 2 + 1):
            if end <= behind or not self.task.leaves_int8(self.start, self.order[:end]):
                continue
            if len(self.found) >= self.task.limits.candidates or any(self._safe(one) for one in self.found.values()):
                break
            self._measure(end)

    def repair(self) -> None:
        """Measure what each of the next groups removes, from the first candidate at which errors do not add up.

        The groups behind it are sorted by that, and the candidates with more float layers are measured again.
        """
        wrong = [end for end in sorted(self.found) if self._is_wrong(self.found[end])]
        limit = self.task.limits.repairs
        if not wrong or not limit:
            return
        end, before = wrong[0], self.order[: wrong[0]]
        next_ones = [group for group in self.order[end:] if self.task.leaves_int8(self.start, [*before, group])]
        base = tuple(self.found[end].keep_float)
        removed = gains(self.task.trials, base, next_ones[:limit], self.hard, self.track)
        self.errors = {**self.errors, **removed}
        self.order = reordered(self.order, end, removed, self.task.times)
        self.found = {number: one for number, one in self.found.items() if number <= end}
        self.coarse(end)

    def _is_wrong(self, candidate: Candidate) -> bool:
        """Whether a candidate loses too much, and more or less than the sum says, though not all signal is lost."""
        error = candidate.measured.hard
        return self.task.loss(candidate.measured) > 1 and error < LOST and is_wrong(candidate.error, error)

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
