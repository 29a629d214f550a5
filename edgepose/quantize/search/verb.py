"""`search`: the verb that finds nested placements, from most layers in float to most layers in int8."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
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
from edgepose.quantize.bias_correction import corrected
from edgepose.quantize.ends import open_ends
from edgepose.quantize.placement import place
from edgepose.quantize.search.climb import Climb
from edgepose.quantize.search.effort import effort_of
from edgepose.quantize.search.path import Cost, Times, ordered, undominated
from edgepose.quantize.search.result import Candidate, Errors, Judge, SearchResult
from edgepose.quantize.search.sensitivity import sensitivities
from edgepose.quantize.search.state import State, Trial, open_state
from edgepose.quantize.search.task import Task
from edgepose.quantize.search.trials import Trials, crop_errors, run_on
from edgepose.quantize.search.units import units_of
from edgepose.quantize.value_ranges import Sample

if TYPE_CHECKING:
    import onnx

FLOORS: Mapping[str, float] = {"pck@0.2": 0.995, "pcp@0.5": 0.995, "oks_ap": 0.995, "pck@0.1": 0.99}
CORRECTION = 32  # crops that the biases of a candidate are corrected on


def unjudged(expected: Mapping[str, Array], found: Mapping[str, Array]) -> Mapping[str, float]:
    """Predict nothing: the default judge. The search then goes by the error of the outputs alone."""
    return {}


def search(
    model: onnx.ModelProto,
    spec: ModelSpec,
    scales: Scales,
    options: QuantizeOptions,
    sample: Sample,
    cost: Callable[[], Cost],
    *,
    expected: Mapping[str, Array] | None = None,
    for_biases: Array | None = None,
    judge: Judge = unjudged,
    errors: Errors = crop_errors,
    floors: Mapping[str, float] = FLOORS,
    effort: str = "default",
    state: Path | None = None,
    place_of_costs: str = "",
    track: Track = quiet,
    note: Note = silent,
) -> SearchResult:
    """Find which layers stay in float, without labels.

    Layers that save no time in int8 stay in float first. If the network is safely good then, there is nothing to
    search: the candidates are this one and, if its first or last layers are int8, the one with these in float.
    Otherwise units are measured alone, ordered by error removed for the time that they cost, and nested candidates are
    verified by running their graphs on the crops of the sample. First and last layers are units like the others,
    except where an option says what they are.

    Args:
        model: The float graph.
        spec: The network's contract.
        scales: Its scales; nodes in `keep_float` are float in every candidate.
        options: The options that apply.
        sample: Crops of calibration images, 32 to 128 of them, and what runs a graph on them exactly, such as
            `backends.onnxruntime.make_exact_runner`. The accuracy that is reported is tested on other images.
        cost: Returns the time of each node in float and in int8, in any one unit, from `backends.layer_times` or
            `graph.cost.estimated_times`. It is not called where a search that was stopped knows them. First and last
            layers without a time stay in float.
        expected: Outputs of the prepared float network on the crops by name, where the caller has them.
        for_biases: The crops that the biases of candidates are corrected on, [M, ...]; None takes some of the sample.
        judge: Predicts what is retained of each metric; without one the search goes by the error of the outputs.
        errors: Compares outputs, crop by crop; by default each output counts as it is.
        floors: Metric -> the share of the float network's value that shall be retained.
        effort: "fast", "default" or "thorough".
        state: A JSON file with what was measured so far; a search that was stopped goes on there. None keeps nothing.
        place_of_costs: Where the times come from, such as the backend and the processor; with another one, the search
            starts again.
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
    if for_biases is None:
        for_biases = sample.inputs[:: max(1, len(sample.inputs) // CORRECTION)]
    few = replace(sample, inputs=for_biases)
    known = open_state(state, _key(prepared, spec, scales, options, sample, few, place_of_costs))
    times = Times(cost=known.get_costs(cost))
    ends = tuple(name for name in open_ends(graph_of(prepared), options) if times.known([name]))
    placement = place(prepared, spec, options, scales.keep_float, ends)
    if expected is None:
        expected = run_on(prepared, tuple(spec.outputs), sample)
    trials = _trials(
        prepared, spec, replace(scales, int8_ends=ends), options, sample, expected, judge, errors, known, few
    )
    task = Task(
        trials=trials,
        units=units_of(graph_of(prepared), placement, ends),
        placement=placement,
        times=times,
        multiply_adds=multiply_adds_of(prepared),
        floors=floors,
        limits=limits,
    )
    start = task.start()
    first = task.candidate(start, (), {})
    if task.safe(first.measured):
        note(f"search: {task.describe(first)}: nothing to search")
        fallback = task.fallback(start)
        candidates = (first,) if fallback is None else (fallback, first)
        return SearchResult(candidates=candidates, searched=False, graphs=len(task.trials.state.trials))
    return _searched(task, start, first, track, note)


def _searched(task: Task, start: Mapping[str, str], first: Candidate, track: Track, note: Note) -> SearchResult:
    hard = hardest(task.trials.real(start), task.limits.crops)
    units = [unit for unit in task.units if unit.name not in start]
    errors = sensitivities(task.trials, units, tuple(start), hard, task.limits.probes, track)
    climb = Climb(task=task, start=start, hard=hard, errors=errors, order=ordered(errors, task.times), track=track)
    climb.coarse()
    climb.repair()
    climb.refine()
    found = [climb.found[end] for end in sorted(climb.found, reverse=True)]
    for one in reversed(found):
        note(f"search: {task.describe(one)}")
    found = [found[index] for index in undominated([task.loss(one.measured) for one in found])]
    each = {group.units[0].name: error for group, error in errors.items()}
    return SearchResult(candidates=tuple(found), errors=each, graphs=len(task.trials.state.trials))


def hardest(trial: Trial, count: int) -> tuple[int, ...]:
    """Return the indexes of the crops with the largest errors, in order."""
    order = np.argsort(-np.array(trial.errors), kind="stable")[:count]
    return tuple(sorted(int(index) for index in order))


def _key(
    prepared: onnx.ModelProto,
    spec: ModelSpec,
    scales: Scales,
    options: QuantizeOptions,
    sample: Sample,
    few: Sample,
    place_of_costs: str,
) -> str:
    return sha256_json(
        {
            "network": sha256_bytes(prepared.SerializeToString(deterministic=True)),
            "crops": [sha256_bytes(np.ascontiguousarray(one.inputs).tobytes()) for one in (sample, few)],
            "scales": sha256_json(scales.to_json()),
            "options": asdict(options),
            "spec": asdict(spec),
            "version": __version__,
            "costs": place_of_costs,
        }
    )


def _trials(
    prepared: onnx.ModelProto,
    spec: ModelSpec,
    scales: Scales,
    options: QuantizeOptions,
    sample: Sample,
    expected: Mapping[str, Array],
    judge: Judge,
    errors: Errors,
    state: State,
    few: Sample,
) -> Trials:
    def correct(found: Scales) -> Scales:
        return corrected(prepared, found, spec, options, few)

    return Trials(
        model=prepared,
        spec=spec,
        scales=replace(scales, bias={}, bias_placement=""),
        options=options,
        sample=sample,
        expected=expected,
        state=state,
        judge=judge,
        errors=errors,
        correct=correct,
    )
