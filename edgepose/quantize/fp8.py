"""FP8, an experiment: explicit Q/DQ in E4M3 for GPUs that have it, with the float parts in float16.

The placement and the ranges are those of INT8, from the same scales.json. What differs:

    activations   one scale per tensor, range / 448 in place of range / 127
    weights       E4M3 numbers, one scale per output channel, the largest absolute value / 448
    scales        rounded up to a float16, so that nothing saturates that should not
    convolutions  those with groups, depthwise ones among them, stay in float: there are no FP8 kernels for them
    equalization  applied, because the ranges were observed with its factors
    float layers  those that a search kept in float for INT8 stay in float
    not applied   bias correction and the rewriting of ReLU6, which are about the rounding of int8

The opset is 19, the first with FLOAT8E4M3FN. No GPU has run such an engine for this project: neither its speed nor its
accuracy on a GPU is measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.scales import Scales
from edgepose.artifacts.spec import ModelSpec
from edgepose.graph.lookup import Graph, copied, drop_unused_constants, graph_of, refuse_quantized, replace_nodes
from edgepose.graph.prepare import array_of, attribute, prepare, upgrade_opset
from edgepose.quantize import passes as int8_passes
from edgepose.quantize.cast import DEFAULT, CastOptions
from edgepose.quantize.e4m3 import LARGEST, codes_of, round_e4m3
from edgepose.quantize.float16.view import HALF_MAX
from edgepose.quantize.mixed import OPSET, SMALLEST, with_half_parts
from edgepose.quantize.placement import Placement
from edgepose.quantize.qdq import in_order, pair_nodes, weight_axis
from edgepose.quantize.ranges import STEPS
from edgepose.quantize.value_ranges import Sample
from edgepose.quantize.verb import quantize
from edgepose.quantize.work import Pass, Work

if TYPE_CHECKING:
    import onnx

GROUPED = "it has groups, and FP8 has no kernels for them"
INT8_ONLY = ("range_warnings", "bias_correction")  # passes in front of the insertion that are about int8
IR = 9  # the version of ONNX's file format with FLOAT8E4M3FN


def to_fp8(
    model: onnx.ModelProto,
    scales: Scales,
    spec: ModelSpec,
    parent_sha256: str,
    options: QuantizeOptions | None = None,
    cast: CastOptions = DEFAULT,
    sample: Sample | None = None,
) -> onnx.ModelProto:
    """Return the float graph with E4M3 Q/DQ nodes and float16 outside of them.

    Args:
        model: The float graph, which is left as it is.
        scales: What calibration found, as for INT8.
        spec: The contract to embed.
        parent_sha256: Of the file that holds `model`.
        options: The options of the placement; None takes the contract's.
        cast: Which nodes stay in float32.
        sample: Inputs to observe and to compare on, as for `to_fp16`.

    Raises:
        CalibrationError: A tensor has no usable scale.
        ModelError: The graph is quantized already, has nothing to quantize, or departs in float16.
    """
    prepared = prepare(model)
    grouped = {node.name: GROUPED for node in prepared.graph.node if attribute(node, "group", 1) != 1}
    placed = replace(scales, keep_float={**grouped, **scales.keep_float})
    made = quantize(prepared, placed, spec, options, passes=fp8_passes())
    ranges = {name: max(abs(item.min), abs(item.max)) for name, item in scales.tensors.items()}
    return with_half_parts(made, spec, parent_sha256, cast, ranges, sample, precision="fp8")


def fp8_passes() -> list[Pass]:
    """Return the passes of INT8 that apply to FP8 too, and the one that inserts E4M3."""
    names = [item.name for item in int8_passes.PASSES]
    before = int8_passes.PASSES[: names.index("insert_qdq")]
    return [*(item for item in before if item.name not in INT8_ONLY), InsertFp8()]


class InsertFp8:
    """Write E4M3 Q/DQ nodes around the tensors and weights of the placement."""

    name: ClassVar[str] = "insert_fp8"
    needs: ClassVar[tuple[str, ...]] = ()

    def applies(self, options: QuantizeOptions) -> bool:
        """Return True: every FP8 graph needs it."""
        return True

    def run(self, work: Work) -> Work:
        """Rewrite the graph."""
        assert work.placement is not None, "placement runs first"
        return replace(work, model=insert_fp8(work.model, work.placement, work.activation_scales, work.options))


def insert_fp8(
    model: onnx.ModelProto, placement: Placement, scales: Mapping[str, float], options: QuantizeOptions
) -> onnx.ModelProto:
    """Write E4M3 Q/DQ nodes.

    Args:
        model: The prepared float graph, which is left as it is.
        placement: The nodes to quantize.
        scales: Tensor name -> its int8 scale, range / 127.
        options: The options that apply.

    Raises:
        ModelError: The graph holds quantized operators already, or cannot be brought to opset 19.
    """
    refuse_quantized(model)
    model = copied(upgrade_opset(model, OPSET))
    model.ir_version = max(model.ir_version, IR)
    graph = graph_of(model)
    by_name = {node.name: node for node in graph.nodes}
    weights = list(_weights(model, graph, placement, options))
    for tensor, readers in placement.reads.items():
        for name, index in readers:
            by_name[name].input[index] = f"{tensor}__dequantized"
    pairs = {tensor: _pair(model, tensor, scales[tensor] * STEPS / LARGEST) for tensor in placement.reads}
    replace_nodes(model, in_order(graph, weights, pairs))
    drop_unused_constants(model)
    return model


def quantize_weight(weight: Array, axis: int | None) -> tuple[Array, Array]:
    """Quantize a weight to E4M3.

    Args:
        weight: [...] float32.
        axis: The axis with one scale per entry, or None for a single scale.

    Returns:
        [...] float32 numbers of E4M3, and their float32 scale, [] or [C], which float16 holds exactly.
    """
    others = tuple(index for index in range(weight.ndim) if index != axis)
    scale = half_up(np.abs(weight).max(axis=others) / np.float32(LARGEST))
    return round_e4m3(weight / (scale if axis is None else np.expand_dims(scale, others))), scale


def half_up(scale: Array) -> Array:
    """Round scales up to float16 numbers, at least 2^-17, as float32; those above float16's largest stay exact."""
    exact = np.maximum(np.asarray(scale, np.float32), np.float32(SMALLEST))
    if exact.max() > HALF_MAX:
        return exact
    half = exact.astype(np.float16)
    below = half.astype(np.float32) < exact
    return np.asarray(np.where(below, np.nextafter(half, np.float16(np.inf)), half), np.float32)


def _weights(
    model: onnx.ModelProto, graph: Graph, placement: Placement, options: QuantizeOptions
) -> Iterator[onnx.NodeProto]:
    """Replace the weights of the quantized nodes and yield one DequantizeLinear node per weight."""
    from onnx import helper

    quantized, made = set(placement.quantized), set[str]()
    for node in graph.nodes:
        if node.name not in quantized:
            continue
        weight, axis = node.input[1], weight_axis(node, options)
        name = weight if axis is None else f"{weight}__{axis}"
        node.input[1] = f"{name}__dequantized"
        if name in made:
            continue
        made.add(name)
        values, scale = quantize_weight(array_of(graph, weight), axis)
        inputs = [_fp8(model, f"{name}__fp8", values), *_scale(model, name, scale)]
        dequantize = helper.make_node("DequantizeLinear", inputs, [node.input[1]], f"{name}__dequantize")
        if axis is not None:
            dequantize.attribute.append(helper.make_attribute("axis", axis))
        yield dequantize


def _pair(model: onnx.ModelProto, tensor: str, scale: float) -> list[onnx.NodeProto]:
    return pair_nodes(tensor, f"{tensor}__fp8", _scale(model, tensor, half_up(np.array(scale))))


def _scale(model: onnx.ModelProto, name: str, scale: Array) -> list[str]:
    """Add scale and zero point as initializers and return their names."""
    from onnx import numpy_helper

    model.graph.initializer.append(numpy_helper.from_array(scale, f"{name}__scale"))
    return [f"{name}__scale", _fp8(model, f"{name}__zero", np.zeros(scale.shape, np.float32))]


def _fp8(model: onnx.ModelProto, name: str, values: Array) -> str:
    """Add an initializer of the type FLOAT8E4M3FN and return its name."""
    from onnx import TensorProto, helper

    raw = codes_of(values).tobytes()
    model.graph.initializer.append(helper.make_tensor(name, TensorProto.FLOAT8E4M3FN, values.shape, raw, raw=True))
    return name
