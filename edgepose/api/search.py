"""What a build gives a search of float layers: crops, a judge of outputs, and what layers cost on this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
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
    from edgepose.quantize.search import SearchResult

CROPS = 128  # of the calibration images, evenly spread
CORRECTION = 32  # of them, evenly spread: biases are corrected on these
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
    from edgepose.api.judge import judge_of
    from edgepose.api.judge_people import errors_of
    from edgepose.backends.cpu import cpu_name
    from edgepose.backends.onnxruntime import make_exact_runner
    from edgepose.graph.prepare import prepare
    from edgepose.quantize.search import search
    from edgepose.quantize.search.trials import outputs_of
    from edgepose.quantize.value_ranges import Sample

    outputs = tuple(spec.outputs)
    crops, for_biases = spread_crops(feed, CROPS, CORRECTION)
    sample = Sample(inputs=crops, make_runner=make_exact_runner)
    runner = make_exact_runner(prepare(model), outputs)
    expected = outputs_of(runner, outputs, sample.inputs)
    judge = judge_of(spec, sample.inputs, expected, runner, floors)

    def costs() -> Mapping[str, tuple[float, float]]:
        return node_costs(model, spec, scales, options, sample.inputs[:1], backends)

    return search(
        model, spec, scales, options, sample, costs,
        expected=expected, for_biases=for_biases, judge=judge, errors=errors_of(spec),
        floors=floors, effort=effort, state=state,
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

    The first and last layers have a time only where it is measured: an estimate is no reason to quantize them.

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
    from edgepose.graph.lookup import graph_of
    from edgepose.graph.prepare import prepare
    from edgepose.quantize import quantize
    from edgepose.quantize.ends import open_ends

    prepared = prepare(model)
    ends = open_ends(graph_of(prepared), options)
    estimated = {name: pair for name, pair in estimated_times(prepared).items() if name not in ends}
    backend = next((name for name in backends if can_measure(name)), None)
    if backend is None:
        return estimated
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(prepared, paths[0])
        onnx.save(quantize(model, replace(scales, int8_ends=ends), spec, options), paths[1])
        return measured_times(backend, *paths, inputs) or estimated


def spread_crops(feed: CalibrationFeed, *counts: int) -> tuple[Array, ...]:
    """Return for each count at most as many crops of a feed, evenly spread, [N, ...]. The feed is read once."""
    last = max(feed.count - 1, 0)
    wanted = [np.linspace(0, last, min(count, feed.count)).round().astype(int).tolist() for count in counts]
    places = [{index: row for row, index in enumerate(indexes)} for indexes in wanted]
    made: list[Array] = []
    seen = 0
    for crops, _ in feed:
        made = made or [np.empty((len(rows), *crops.shape[1:]), crops.dtype) for rows in places]
        for rows, kept in zip(places, made, strict=True):
            for index, crop in enumerate(crops, seen):
                if index in rows:
                    kept[rows[index]] = crop
        seen += len(crops)
    return tuple(made)
