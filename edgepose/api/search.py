"""What a search of float layers is given by a build: who judges outputs, and what layers cost on this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose._progress import Note, Track, quiet, silent
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.scales import Scales
from edgepose.artifacts.spec import ModelSpec

if TYPE_CHECKING:
    import onnx

    from edgepose.quantize.observe import CalibrationFeed
    from edgepose.quantize.search import Judge, SearchResult

CROPS = 128  # of the calibration images, evenly spread
STATE = "search.json"  # in the output folder: what a search that was stopped goes on with


def search_layers(
    model: onnx.ModelProto,
    spec: ModelSpec,
    scales: Scales,
    options: QuantizeOptions,
    feed: CalibrationFeed,
    *,
    floors: Mapping[str, float],
    effort: str = "default",
    state: Path | None = None,
    backends: Sequence[str] = (),
    track: Track = quiet,
    note: Note = silent,
) -> SearchResult:
    """Search for the layers that stay in float, with ONNX Runtime and the joints that a graph moves.

    Args:
        model: The float graph.
        spec: Its contract.
        scales: Its scales.
        options: The options of quantization that apply.
        feed: The calibration images, of which a part is used.
        floors: Metric -> the share of the float network's value to retain.
        effort: "fast", "default" or "thorough".
        state: The file of what was measured before; None keeps nothing.
        backends: Backends of the engines. Layers are timed in the first of them that has layer times and integer
            kernels on this machine; without one, times are estimated from the graph.
        track: Shows progress.
        note: Receives what was found.

    Raises:
        MissingPackage: ONNX Runtime is not installed.
        ModelError: Nothing can be quantized, or ONNX Runtime cannot run the graph.
    """
    from edgepose.backends.cpu import cpu_name
    from edgepose.backends.onnxruntime import make_exact_runner
    from edgepose.quantize.search import search
    from edgepose.quantize.value_ranges import Sample

    sample = Sample(inputs=spread_crops(feed, CROPS), make_runner=make_exact_runner)

    def costs() -> Mapping[str, tuple[float, float]]:
        return node_costs(model, spec, scales, options, sample.inputs[:1], backends)

    return search(
        model, spec, scales, options, sample, costs,
        judge=joint_judge(spec), floors=floors, effort=effort, state=state,
        place_of_costs=f"{' '.join(backends)} {cpu_name()}", track=track, note=note,
    )  # fmt: skip


def node_costs(
    model: onnx.ModelProto,
    spec: ModelSpec,
    scales: Scales,
    options: QuantizeOptions,
    inputs: Array,
    backends: Sequence[str] = (),
) -> Mapping[str, tuple[float, float]]:
    """Return the time of each node in float and in int8: measured where integer kernels run, else estimated.

    Args:
        model: The float graph.
        spec: Its contract.
        scales: Its scales.
        options: The options of quantization that apply.
        inputs: One input, [1, ...].
        backends: Backends to measure in, the first that can be measured on this machine.
    """
    import onnx

    from edgepose.backends.layer_times import can_measure, measured_times
    from edgepose.graph.cost import estimated_times
    from edgepose.graph.prepare import prepare
    from edgepose.quantize import quantize

    prepared = prepare(model)
    backend = next((name for name in backends if can_measure(name)), None)
    if backend is None:
        return estimated_times(prepared)
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(prepared, paths[0])
        onnx.save(quantize(model, scales, spec, options), paths[1])
        return measured_times(backend, *paths, inputs) or estimated_times(prepared)


def spread_crops(feed: CalibrationFeed, count: int) -> Array:
    """Return at most `count` crops of a feed, evenly spread, [N, ...]."""
    wanted = set(np.linspace(0, max(feed.count - 1, 0), min(count, feed.count)).round().astype(int).tolist())
    kept, seen = [], 0
    for crops, _ in feed:
        kept += [crop for index, crop in enumerate(crops, seen) if index in wanted]
        seen += len(crops)
    return np.stack(kept)


def joint_judge(spec: ModelSpec) -> Judge:
    """Return what predicts the retention of each metric from the joints that a graph moves.

    Args:
        spec: The contract, whose codec decodes the outputs. Where it finds people by itself, those of both graphs are
            matched first (`measure.matched`).
    """
    from edgepose.measure.acceptance import joints_of, people_in
    from edgepose.measure.boxes import compared_skeleton, kept_people
    from edgepose.measure.displacement import displacement, predicted_retention
    from edgepose.measure.matched import Crowd, same_people

    def judge_people(expected: Mapping[str, Array], found: Mapping[str, Array]) -> Mapping[str, float]:
        wanted, got = people_in(spec, expected), people_in(spec, found)
        if wanted is None:
            return {}
        nobody = Crowd(
            image=np.zeros(0, np.int64), xy=wanted[0].xy[:0], scores=wanted[0].scores[:0], person_scores=np.zeros(0)
        )
        skeleton = compared_skeleton(spec.skeleton)
        pairs = same_people(wanted[0], nobody if got is None else got[0], skeleton, wanted[1])
        if not len(spec.skeleton):
            return kept_people(pairs)
        moved = displacement(pairs.expected, pairs.found, spec.skeleton, expected_scores=pairs.scores)
        return predicted_retention(moved)

    def judge(expected: Mapping[str, Array], found: Mapping[str, Array]) -> Mapping[str, float]:
        wanted, got = joints_of(spec, expected), joints_of(spec, found)
        if wanted is None:
            return {}
        if got is None:  # outputs that are not finite: nothing is retained
            nothing = displacement(wanted[..., :2], wanted[..., :2] * float("nan"), spec.skeleton)
            return predicted_retention(nothing)
        moved = displacement(wanted[..., :2], got[..., :2], spec.skeleton, expected_scores=wanted[..., 2])
        return predicted_retention(moved)

    return judge_people if spec.codec.finds_people else judge
