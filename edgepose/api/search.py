"""What a search of float layers is given by a build: who judges outputs, and what layers cost on this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping, Sequence
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

    from edgepose.measure.predictions import Predictions
    from edgepose.measure.pseudo_labels import PseudoLabels
    from edgepose.quantize.observe import CalibrationFeed
    from edgepose.quantize.search import Judge, SearchResult
    from edgepose.quantize.value_ranges import Sample

CROPS = 128  # of the calibration images, evenly spread
DOUBT = 0.5  # standard errors by which a retention on the few crops of a search counts less
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
    judge = joint_judge(spec, crop_labels(model, spec, sample, floors))

    def costs() -> Mapping[str, tuple[float, float]]:
        return node_costs(model, spec, scales, options, sample.inputs[:1], backends)

    return search(
        model, spec, scales, options, sample, costs,
        judge=judge, floors=floors, effort=effort, state=state,
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


def crop_labels(
    model: onnx.ModelProto, spec: ModelSpec, sample: Sample, metrics: Collection[str]
) -> PseudoLabels | None:
    """Return pseudo-labels of the crops of a search, in pixels of the crops.

    Args:
        model: The float graph.
        spec: Its contract.
        sample: The crops.
        metrics: Names of the metrics; those that the joints do not allow are left out.

    Returns:
        The labels; None where the joints cannot be compared, or allow no metric.
    """
    from edgepose.graph.prepare import prepare
    from edgepose.measure.acceptance import joints_of
    from edgepose.measure.pseudo_labels import COPIES, pseudo_labels
    from edgepose.quantize.search.trials import run_on

    prepared, count = prepare(model), len(sample.inputs)

    def joints(inputs: Array) -> Array | None:
        return joints_of(spec, run_on(prepared, tuple(spec.outputs), replace(sample, inputs=inputs)))

    first = joints(sample.inputs)
    if first is None:
        return None
    copies = []
    for copy in range(COPIES):
        inputs, matrices = moved_crops(sample.inputs, spec, copy)
        found = joints(inputs)
        if found is None:
            return None
        copies.append(in_first_crop(found[..., :2], matrices))
    images = [(i, str(i)) for i in range(count)]
    return pseudo_labels(predictions_of(first, spec), copies, images, metrics)


def moved_crops(inputs: Array, spec: ModelSpec, copy: int) -> tuple[Array, Array]:
    """Return crops as if their boxes were moved, as `measure.pseudo_labels.with_moved_boxes` moves boxes.

    Args:
        inputs: The crops, [N, ...], as the network takes them.
        spec: The contract.
        copy: The number of the copy.

    Returns:
        The crops, and [N, 2, 3] float64: the matrix from the pixels of a crop to those of its moved one.
    """
    import cv2

    from edgepose.measure.pseudo_labels import moves

    height, width = spec.input.size
    shifts, scales = moves(len(inputs), copy)
    center = np.array([(width - 1) / 2, (height - 1) / 2])
    matrices = np.zeros((len(inputs), 2, 3))
    moved = np.empty_like(inputs)
    channels_first = spec.input.layout == "nchw"
    for i, (shift, scale) in enumerate(zip(shifts, scales, strict=True)):
        matrices[i, :, :2] = np.eye(2) / scale
        matrices[i, :, 2] = center - (center + shift * max(height, width) / spec.crop.padding) / scale
        crop = inputs[i].transpose(1, 2, 0) if channels_first else inputs[i]
        warped = cv2.warpAffine(crop, matrices[i], (width, height), borderMode=cv2.BORDER_REPLICATE)
        moved[i] = warped.transpose(2, 0, 1) if channels_first else warped
    return moved, matrices


def in_first_crop(xy: Array, matrices: Array) -> Array:
    """Return joints [N, K, 2] of moved crops in pixels of the crops that they were made from."""
    return np.asarray((xy - matrices[:, None, :, 2]) / matrices[:, 0, 0][:, None, None])


def predictions_of(joints: Array, spec: ModelSpec) -> Predictions:
    """Return decoded joints [N, K, 3] (x, y, score) as predictions."""
    from edgepose.measure.predictions import Engine, Predictions

    about = Engine(path="", precision="", backend="", onnx_sha256="", skeleton=spec.skeleton)
    return Predictions(engine=about, xy_image=joints[..., :2], scores=joints[..., 2])


def joint_judge(spec: ModelSpec, labels: PseudoLabels | None = None) -> Judge:
    """Return what predicts the retention of each metric from the joints that a graph moves.

    Args:
        spec: The contract, whose codec decodes the outputs. Where it finds people by itself, those of both graphs are
            matched first (`measure.matched`).
        labels: Pseudo-labels of the crops. The retention on them counts where they allow the metric, less a part of its
            standard error, since the crops of a search are few.
    """
    from edgepose.measure.acceptance import joints_of, people_in
    from edgepose.measure.boxes import compared_skeleton, kept_people
    from edgepose.measure.displacement import displacement, predicted_retention
    from edgepose.measure.matched import Crowd, same_people
    from edgepose.measure.pseudo_labels import FACTORS
    from edgepose.quantize.guard import jackknife, predicted

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
        return {**predicted_retention(moved), **on_labels(got)}

    def on_labels(joints: Array) -> Mapping[str, float]:
        if labels is None:
            return {}
        kept = labels.retained(predictions_of(joints, spec))
        found = {
            name: predicted(jackknife(its.value, its.without, its.sizes), FACTORS[name]) for name, its in kept.items()
        }
        return {
            name: max(0.0, its.value - DOUBT * float(np.sqrt((its.influence**2).sum()))) for name, its in found.items()
        }

    return judge_people if spec.codec.finds_people else judge
