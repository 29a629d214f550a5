"""`search`: the verb that finds nested placements, from most layers in float to most layers in int8."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgepose import __version__
from edgepose._checks import Array
from edgepose._files import sha256_bytes, sha256_json
from edgepose._progress import Note, Track, quiet, silent
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.scales import Scales
from edgepose.artifacts.spec import ModelSpec
from edgepose.graph.cost import multiply_adds_of
from edgepose.graph.lookup import graph_of
from edgepose.graph.prepare import prepare
from edgepose.quantize.placement import Placement, place
from edgepose.quantize.search.effort import Effort, effort_of
from edgepose.quantize.search.path import Cost, Times, levels, ordered
from edgepose.quantize.search.result import Candidate, Judge, Measured, SearchResult
from edgepose.quantize.search.sensitivity import sensitivities
from edgepose.quantize.search.state import Trial, open_state
from edgepose.quantize.search.trials import Correct, Trials, run_on
from edgepose.quantize.search.units import Group, Unit, units_of
from edgepose.quantize.value_ranges import Sample

if TYPE_CHECKING:
    import onnx

FLOORS: Mapping[str, float] = {"pck@0.2": 0.995, "pcp@0.5": 0.995, "oks_ap": 0.995, "pck@0.1": 0.99}
SAFE = 0.5  # share of the allowed loss below which a placement needs no safer ones beside it
SMALL = 1e-3  # relative squared error that counts as good where joints cannot be compared
SLOW = "search: int8 saves no time"


def unjudged(expected: Mapping[str, Array], found: Mapping[str, Array]) -> Mapping[str, float]:
    """Predict nothing: the default judge. The search then goes by the error of the outputs alone."""
    return {}


def search(
    model: onnx.ModelProto,
    spec: ModelSpec,
    scales: Scales,
    options: QuantizeOptions,
    sample: Sample,
    cost: Cost,
    *,
    judge: Judge = unjudged,
    correct: Correct | None = None,
    floors: Mapping[str, float] = FLOORS,
    effort: str = "default",
    state: Path | None = None,
    track: Track = quiet,
    note: Note = silent,
) -> SearchResult:
    """Find which layers stay in float, without labels.

    Layers that save no time in int8 stay in float first. If the network is safely good then, there is nothing to
    search. Otherwise units are measured alone, ordered by error removed for the time that they cost, and nested
    candidates are verified by running their graphs on the crops of the sample.

    Args:
        model: The float graph.
        spec: The network's contract.
        scales: Its scales; nodes in `keep_float` are float in every candidate.
        options: The options that apply.
        sample: Crops that were not used to calibrate, 32 to 128 of them, and what runs a graph on them exactly, such as
            `backends.onnxruntime.make_exact_runner`.
        cost: Node -> time in float and in int8, in any one unit, from `backends.layer_times` or
            `graph.cost.estimated_times`.
        judge: Predicts what is retained of each metric; without one the search goes by the error of the outputs.
        correct: Corrects the biases of a candidate (`quantize.bias_correction`); None leaves them.
        floors: Metric -> the share of the float network's value that shall be retained.
        effort: "fast", "default" or "thorough".
        state: A JSON file with what was measured so far; a search that was stopped goes on there. None keeps nothing.
        track: Progress callback.
        note: Receives a line about what was found.

    Returns:
        The candidates and the error of each unit.

    Raises:
        ModelError: Nothing can be quantized, or the graph cannot be run.
        UsageError: There is no such effort.
    """
    limits = effort_of(effort)
    prepared = prepare(model)
    placement = place(prepared, spec, options, scales.keep_float)
    units = units_of(graph_of(prepared), placement)
    task = Task(
        trials=_trials(prepared, spec, scales, options, sample, judge, correct, state),
        units=units,
        placement=placement,
        times=Times(cost=cost),
        multiply_adds=multiply_adds_of(prepared),
        floors=floors,
        limits=limits,
    )
    start = task.start()
    first = task.candidate(start, (), {})
    if task.safe(first.measured):
        note(f"search: {task.describe(first)}: nothing to search")
        return SearchResult(candidates=(first,), searched=False, graphs=len(task.trials.state.trials))
    return _searched(task, start, first, track, note)


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
            error=total - sum(errors[group] for group in chosen) if errors else float("nan"),
            measured=measured(self.trials.real(keep), hard),
            int8_share=sum(counted) / everything if everything else None,
            time=self.times.of(int8),
        )

    def _members(self) -> Iterable[str]:
        return (name for unit in self.units for name in unit.nodes)

    def loss(self, found: Measured) -> float:
        """Return the predicted loss as a fraction of what is allowed: the worst metric, or the error of the outputs."""
        rated = [
            (1 - value) / (1 - self.floors[name]) for name, value in found.retention.items() if name in self.floors
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


def _searched(task: Task, start: Mapping[str, str], first: Candidate, track: Track, note: Note) -> SearchResult:
    trial = task.trials.real(start)
    hard = hardest(trial, task.limits.crops)
    units = [unit for unit in task.units if unit.name not in start]
    errors = sensitivities(task.trials, units, tuple(start), hard, task.limits.probes, track)
    order = ordered(errors, task.times)
    ends = levels(order, errors, task.limits.candidates)
    found = [task.candidate(start, (), errors, hard)]
    best = first
    for position, end in enumerate(ends[1:], 1):
        label = f"search: candidate {position + 1} of {len(ends)}, best so far {task.describe(best)}"
        for _ in track(range(1), label, None):
            found.append(task.candidate(start, order[:end], errors, hard))
        best = min(best, found[-1], key=lambda one: task.loss(one.measured))
        if task.safe(found[-1].measured):
            break
    for one in found:
        note(f"search: {task.describe(one)}")
    each = {group.units[0].name: error for group, error in errors.items()}
    return SearchResult(candidates=tuple(reversed(found)), errors=each, graphs=len(task.trials.state.trials))


def measured(trial: Trial, hard: Sequence[int] = ()) -> Measured:
    """Return what a trial on all crops gave, and its error on the hardest ones."""
    errors = np.array(trial.errors)
    rows = list(hard) or list(range(len(errors)))
    return Measured(error=float(errors.mean()), hard=float(errors[rows].mean()), retention=trial.retention)


def hardest(trial: Trial, count: int) -> tuple[int, ...]:
    """Return the indexes of the crops with the largest errors, in order."""
    order = np.argsort(-np.array(trial.errors), kind="stable")[:count]
    return tuple(sorted(int(index) for index in order))


def _trials(
    prepared: onnx.ModelProto,
    spec: ModelSpec,
    scales: Scales,
    options: QuantizeOptions,
    sample: Sample,
    judge: Judge,
    correct: Correct | None,
    state: Path | None,
) -> Trials:
    key = sha256_json(
        {
            "network": sha256_bytes(prepared.SerializeToString(deterministic=True)),
            "crops": sha256_bytes(np.ascontiguousarray(sample.inputs).tobytes()),
            "scales": sha256_json(scales.to_json()),
            "options": asdict(options),
            "spec": asdict(spec),
            "corrected": correct is not None,
            "version": __version__,
        }
    )
    return Trials(
        model=prepared,
        spec=spec,
        scales=scales,
        options=options,
        sample=sample,
        expected=run_on(prepared, tuple(spec.outputs), sample),
        state=open_state(state, key),
        judge=judge,
        correct=correct,
    )
