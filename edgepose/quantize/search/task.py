"""One search: its network, units, times and floors, and the candidates that it measures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgepose.quantize.placement import Placement
from edgepose.quantize.search.effort import Effort
from edgepose.quantize.search.path import Times
from edgepose.quantize.search.result import Candidate, Measured
from edgepose.quantize.search.state import Trial
from edgepose.quantize.search.trials import Trials, typical
from edgepose.quantize.search.units import Group, Unit

SAFE = 0.5  # share of the allowed loss below which a placement needs no safer ones beside it
SMALL = 1e-3  # relative squared error that counts as good where joints cannot be compared
TINY = 1e-9  # allowed loss where everything shall be retained
SLOW = "search: int8 saves no time"
FALLBACK = "search: the first and last layers are float where int8 is not good enough"


@dataclass(frozen=True, kw_only=True)
class Task:
    """One search.

    Attributes:
        trials: Runs graphs.
        units: The units of the placement.
        placement: The placement with most int8 layers.
        times: Estimated times.
        multiply_adds: Of each node with weights.
        floors: Metric -> the share that shall be retained.
        limits: The effort.
    """

    trials: Trials
    units: tuple[Unit, ...]
    placement: Placement
    times: Times
    multiply_adds: Mapping[str, int]
    floors: Mapping[str, float]
    limits: Effort

    def start(self) -> dict[str, str]:
        """Return the nodes that are float in every candidate: those that int8 saves no time on, if others remain."""
        slow = [unit for unit in self.units if self.times.known(unit.nodes) and self.times.gain(unit.nodes) <= 0]
        kept = {name: SLOW for unit in slow for name in unit.nodes}
        return kept if set(self.placement.quantized) - kept.keys() else {}

    def leaves_int8(self, start: Mapping[str, str], chosen: Sequence[Group]) -> bool:
        """Whether a layer stays in int8 when some groups are float."""
        kept = {name for group in chosen for name in group.nodes} | start.keys()
        return not kept.issuperset(self.placement.quantized)

    def fallback(self, start: Mapping[str, str]) -> Candidate | None:
        """Return the candidate with the first and last layers in float; None where they are float anyway."""
        kept = {**start, **dict.fromkeys(self.trials.int8_ends(start), FALLBACK)}
        if len(kept) == len(start) or kept.keys() >= set(self.placement.quantized):
            return None
        return self.candidate(kept, (), {})

    def candidate(
        self, start: Mapping[str, str], chosen: Sequence[Group], errors: Mapping[Group, float], hard: Sequence[int] = ()
    ) -> Candidate:
        """Measure the placement in which some groups are float."""
        total = sum(errors.values())
        reasons = {
            name: f"search: {errors[group] / total:.1%} of the error of all units" if total else "search"
            for group in chosen
            for name in group.nodes
        }
        keep = {**start, **reasons}
        int8 = [name for name in self._members() if name not in keep]
        counted = [self.multiply_adds.get(name, 0) for name in int8]
        everything = sum(self.multiply_adds.values())
        return Candidate(
            keep_float=keep,
            error=max(0.0, total - sum(errors[group] for group in chosen)) if errors else float("nan"),
            measured=measured(self.trials.real(keep), hard),
            int8_share=sum(counted) / everything if everything else None,
            time=self.times.of(int8),
            int8_ends=self.trials.int8_ends(keep),
            corrected=self.trials.made.get(frozenset(keep)),
        )

    def _members(self) -> Iterable[str]:
        return (name for unit in self.units for name in unit.nodes)

    def loss(self, found: Measured) -> float:
        """Return the predicted loss as a fraction of what is allowed: the worst metric, or the error of the outputs."""
        rated = [
            (1 - value) / max(1 - self.floors[name], TINY)
            for name, value in found.retention.items()
            if name in self.floors
        ]
        return max(rated, default=found.error / SMALL)

    def safe(self, found: Measured) -> bool:
        """Whether a placement loses so little that no safer one is needed."""
        return self.loss(found) <= SAFE

    def describe(self, candidate: Candidate) -> str:
        """Return a candidate as a clause."""
        share = "" if candidate.int8_share is None else f"{candidate.int8_share:.0%} of the multiply-adds in int8, "
        kept = [
            f"{name} {100 * value:.1f} %" for name, value in candidate.measured.retention.items() if name in self.floors
        ]
        return f"{share}predicted to keep {', '.join(kept)}" if kept else f"{share}error {candidate.measured.error:.2g}"


def measured(trial: Trial, hard: Sequence[int] = ()) -> Measured:
    """Return what a trial on all crops gave, and its error on the hardest ones."""
    chosen = trial.errors if not hard else tuple(trial.errors[index] for index in hard)
    return Measured(error=float(np.mean(trial.errors)), hard=typical(Trial(errors=chosen)), retention=trial.retention)
