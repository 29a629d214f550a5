"""Bias corrections: numbers added to the biases of quantized layers, so that means are those of the float network.

Rounding shifts the mean of a layer's output (Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
Correction", ICCV 2019, section 4.2). The layers are corrected in the order in which they run, each with all layers
before it quantized and corrected already. Corrections that are computed for all layers at once do not know of each
other and add up: on a MobileNetV2 network, PCK@0.2 fell to 20 % of that of the float network.

Means of few values are noisy, for example those of a fully connected layer, which has one value for each image. Each
correction is therefore multiplied by 1 - (variance of its mean) / (its square), or by 0 where that is negative, as in
the positive-part estimator of James and Stein (1961).

A quarter of the inputs computes nothing. It decides whether the corrections help: if the error of the outputs does not
fall on them, there are none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose._cores import side_by_side
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.scales import Scales
from edgepose.artifacts.spec import ModelSpec
from edgepose.graph.lookup import copied, graph_of
from edgepose.graph.types import tensor_types
from edgepose.quantize.bias import placement_digest, with_bias
from edgepose.quantize.passes import float_passes, run_passes
from edgepose.quantize.qdq import insert_qdq
from edgepose.quantize.segments import FLOAT, Walk, cut
from edgepose.quantize.value_ranges import Sample, batches
from edgepose.quantize.work import MakeRunner, Work

if TYPE_CHECKING:
    import onnx

FEWEST = 8  # inputs; fewer say too little about a mean
VERIFY = 4  # every fourth input verifies
LARGEST = 400 * 1024**2  # bytes of one tensor for all inputs; several are held at once


def corrected(
    model: onnx.ModelProto, scales: Scales, spec: ModelSpec, options: QuantizeOptions, sample: Sample
) -> Scales:
    """Compute bias corrections for the placement that scales and options give.

    Args:
        model: The prepared float graph (`graph.prepare`).
        scales: The scales; their `keep_float` is part of the placement.
        spec: The network's contract.
        options: The options that apply.
        sample: Inputs like those the network will see, 32 to 64, and what runs the graphs.

    Returns:
        The scales with `bias` and `bias_placement`; both are empty where the corrections do not help, the options do
        not ask for them, or there are too few inputs.

    Raises:
        CalibrationError: The scales do not fit the graph.
        ModelError: A graph cannot be run.
    """
    plain = replace(scales, bias={}, bias_placement="")
    if not options.bias_correction or len(sample.inputs) < FEWEST:
        return plain
    work = run_passes(Work(model=model, spec=spec, options=options, scales=plain), float_passes())
    assert work.placement is not None
    layers = work.placement.quantized
    quantized = insert_qdq(work.model, work.placement, work.activation_scales, options)
    fits = np.arange(len(sample.inputs)) % VERIFY != 0
    fitted = sample.inputs[fits][: _most(work.model, sample)]
    wanted = _float_means(work.model, layers, fitted, sample.make_runner)
    bias = _walk(quantized, layers, wanted, fitted, sample.make_runner)
    bias = {name: values for name, values in bias.items() if values.any()}
    if not bias or not _helps(work, bias, sample.inputs[~fits], sample.make_runner):
        return plain
    rounded = {name: [float(f"{value:.6g}") for value in values] for name, values in bias.items()}
    return replace(plain, bias=rounded, bias_placement=placement_digest(work))


def _most(model: onnx.ModelProto, sample: Sample) -> int:
    """How many inputs can be held at once, by the size of the largest tensor."""
    types = tensor_types(model)
    names = [name for node in graph_of(model).nodes for name in node.output if types.get(name) == FLOAT]
    runner = sample.make_runner(model, tuple(names))
    first = next(iter(batches(runner, sample.inputs[:1])))
    largest = max((value.nbytes / len(first) for value in runner.run(first).values()), default=1)
    return max(FEWEST, int(LARGEST / max(largest, 1)))


def _channel_axis(node: onnx.NodeProto, rank: int) -> int:
    """The axis of a layer's output that counts its channels."""
    return 1 if node.op_type in ("Conv", "ConvTranspose") else rank - 1


def _means(values: Array, axis: int) -> Array:
    """The mean of each channel for each image [N, C] float64; the images are along axis 0."""
    moved = np.moveaxis(values, axis, 1).reshape(len(values), values.shape[axis], -1)
    return np.asarray(moved.mean(axis=2, dtype=np.float64))


def _float_means(
    model: onnx.ModelProto, layers: tuple[str, ...], inputs: Array, make_runner: MakeRunner
) -> dict[str, Array]:
    """Node -> the mean of each channel of its output for each input [N, C]."""
    graph = graph_of(model)
    nodes = {node.name: node for node in graph.nodes if node.name in set(layers)}
    runner = make_runner(model, tuple(dict.fromkeys(str(node.output[0]) for node in nodes.values())))

    def means(batch: Array) -> dict[str, Array]:  # of one batch, so that its tensors are dropped at once
        values = runner.run(batch)
        return {
            name: _means(values[node.output[0]], _channel_axis(node, values[node.output[0]].ndim))
            for name, node in nodes.items()
        }

    parts = side_by_side(means, batches(runner, inputs))
    return {name: np.concatenate([part[name] for part in parts])[: len(inputs)] for name in nodes}


def _walk(
    quantized: onnx.ModelProto,
    layers: tuple[str, ...],
    wanted: dict[str, Array],
    inputs: Array,
    make_runner: MakeRunner,
) -> dict[str, Array]:
    """Run the quantized graph layer by layer, and correct each layer before the next one runs."""
    graph = graph_of(quantized)
    nodes = {node.name: node for node in graph.nodes if node.name in set(layers)}
    probe = make_runner(quantized, ())
    parts = [{graph.inputs[0]: batch} for batch in batches(probe, inputs)]
    bias: dict[str, Array] = {}
    for name, values in Walk(segments=cut(quantized, set(nodes)), parts=parts, make_runner=make_runner):
        axis = _channel_axis(nodes[name], values[0].ndim)
        found = np.concatenate([_means(value, axis) for value in values])[: len(inputs)]
        bias[name] = shrunk(wanted[name] - found)
        shape = [1] * values[0].ndim
        shape[axis] = -1
        for value in values:
            value += bias[name].astype(np.float32).reshape(shape)
    return bias


def shrunk(differences: Array) -> Array:
    """Return the mean over the inputs, shrunk by its own uncertainty.

    Args:
        differences: The difference of the means of each channel, for each input [N, C].

    Returns:
        [C] float64.
    """
    mean = differences.mean(axis=0)
    variance = differences.var(axis=0, ddof=1) / len(differences)
    square = np.square(mean)
    share = np.divide(square - variance, square, out=np.zeros_like(mean), where=square > 0)
    return np.asarray(mean * np.clip(share, 0.0, 1.0))


def _helps(work: Work, bias: dict[str, Array], inputs: Array, make_runner: MakeRunner) -> bool:
    """Whether the squared error of the outputs is smaller with the corrections, on inputs that did not compute them."""
    assert work.placement is not None
    names = graph_of(work.model).outputs
    expected = _outputs(work.model, names, inputs, make_runner)
    listed = {name: [float(value) for value in values] for name, values in bias.items()}
    errors = []
    for graph in (work.model, with_bias(work.model, listed)):
        made = insert_qdq(copied(graph), work.placement, work.activation_scales, work.options)
        errors.append(_error(expected, _outputs(made, names, inputs, make_runner)))
    return errors[1] < errors[0]


def _outputs(
    model: onnx.ModelProto, names: tuple[str, ...], inputs: Array, make_runner: MakeRunner
) -> list[dict[str, Array]]:
    runner = make_runner(model, tuple(names))
    return side_by_side(runner.run, batches(runner, inputs))


def _error(expected: list[dict[str, Array]], found: list[dict[str, Array]]) -> float:
    """The sum over the outputs of their relative squared error."""
    total = 0.0
    for name in expected[0]:
        pairs = [(a[name].astype(np.float64), b[name].astype(np.float64)) for a, b in zip(expected, found, strict=True)]
        signal = sum(float(np.square(a).sum()) for a, _ in pairs)
        total += sum(float(np.square(a - b).sum()) for a, b in pairs) / max(signal, np.finfo(np.float64).tiny)
    return total
