"""Q/DQ: write a placement and its scales into the graph, in the form TensorRT 10, 11 and RTX accept.

    weights       int8 initializer -> DequantizeLinear, one scale per output channel (Conv, Gemm, MatMul)
    activations   QuantizeLinear -> DequantizeLinear, one scale a tensor, one pair shared by all int8 readers
    bias          float; TensorRT-RTX rejects an int32 bias behind DequantizeLinear

Other programs that run int8.onnx with integer kernels on x86 without VNNI or AMX get saturated sums, silently;
edgepose's sessions do not: they compute such layers in float there (`backends.cpu.int8_saturates`).

All symmetric int8 with zero point 0; opset 13. `quantize` is the verb: prepare, place, insert, clip_to_relu.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.scales import RECALIBRATE, Scales
from edgepose.artifacts.spec import (
    KEPT_FLOAT_KEY,
    PARENT_KEY,
    PRECISION_KEY,
    ModelSpec,
    embed_spec,
    set_metadata,
)
from edgepose.errors import CalibrationError
from edgepose.graph.lookup import (
    Graph,
    copied,
    drop_unused_constants,
    graph_of,
    refuse_quantized,
    replace_nodes,
)
from edgepose.graph.prepare import array_of, attribute, prepare
from edgepose.quantize.placement import DEFAULT, Placement, QuantizeOptions, place
from edgepose.quantize.ranges import STEPS
from edgepose.quantize.relu6 import clip_to_relu

if TYPE_CHECKING:
    import onnx


def quantize(
    model: onnx.ModelProto,
    scales: Scales,
    spec: ModelSpec,
    options: QuantizeOptions = DEFAULT,
) -> onnx.ModelProto:
    """The float graph as an explicit Q/DQ graph; the model given is left as it is.

    `scales` must be fresh (`artifacts.scales.check_fresh`). Raises CalibrationError when a tensor has no
    usable scale, ModelError for a graph that is quantized already or has nothing to quantize.
    """
    prepared = prepare(model)
    placement = place(prepared, spec, options)
    made = insert_qdq(prepared, placement, _activation_scales(placement, scales), options)
    if options.clip_to_relu:
        made = clip_to_relu(made)
    embed_spec(made, spec)
    set_metadata(made, PARENT_KEY, scales.onnx_sha256)
    set_metadata(made, PRECISION_KEY, "int8")
    set_metadata(made, KEPT_FLOAT_KEY, json.dumps(placement.kept_float))
    return made


def _activation_scales(placement: Placement, scales: Scales) -> dict[str, float]:
    missing = [tensor for tensor in placement.reads if tensor not in scales.tensors]
    if missing:
        raise CalibrationError(f"the scales have no range for tensor {missing[0]!r}; run: {RECALIBRATE}")
    chosen = {tensor: scales.tensors[tensor].scale for tensor in placement.reads}
    for tensor, scale in chosen.items():
        if scale <= 0:
            readers = [name for name, _ in placement.reads[tensor]]
            raise CalibrationError(
                f"tensor {tensor!r} was zero on every calibration image, so it has no scale; keep "
                f"its readers in float with quantize.keep_float: {readers}"
            )
    return chosen


def insert_qdq(
    model: onnx.ModelProto,  # prepared
    placement: Placement,
    scales: dict[str, float],  # tensor -> scale
    options: QuantizeOptions = DEFAULT,
) -> onnx.ModelProto:
    """Write Q/DQ around the tensors and weights of `placement`. ModelError where there is Q/DQ already."""
    refuse_quantized(model)
    model = copied(model)
    graph = graph_of(model)
    by_name = {node.name: node for node in graph.nodes}
    weights = list(_quantize_weights(model, graph, placement, options))
    for tensor, readers in placement.reads.items():
        for name, index in readers:
            by_name[name].input[index] = f"{tensor}__dequantized"
    pairs = {tensor: _pair(model, tensor, scales[tensor]) for tensor in placement.reads}
    replace_nodes(model, _in_order(graph, weights, pairs))
    drop_unused_constants(model)
    return model


def _in_order(
    graph: Graph, weights: list[onnx.NodeProto], pairs: dict[str, list[onnx.NodeProto]]
) -> Iterator[onnx.NodeProto]:
    """Every node once, each pair right behind the node that makes its tensor."""
    yield from weights
    for name in graph.inputs:
        yield from pairs.get(name, [])
    for node in graph.nodes:
        yield node
        for name in node.output:
            yield from pairs.get(name, [])


def _pair(model: onnx.ModelProto, tensor: str, scale: float) -> list[onnx.NodeProto]:
    from onnx import helper

    names = _constants(model, tensor, np.array(scale, np.float32))
    middle = f"{tensor}__int8"
    return [
        helper.make_node("QuantizeLinear", [tensor, *names], [middle], f"{tensor}__quantize"),
        helper.make_node("DequantizeLinear", [middle, *names], [f"{tensor}__dequantized"], f"{tensor}__dequantize"),
    ]


def _constants(model: onnx.ModelProto, name: str, scale: Array) -> list[str]:
    """Add scale and zero point initializers; their names."""
    from onnx import numpy_helper

    names = [f"{name}__scale", f"{name}__zero"]
    for label, value in zip(names, (scale, np.zeros(scale.shape, np.int8)), strict=True):
        model.graph.initializer.append(numpy_helper.from_array(value, label))
    return names


def _quantize_weights(
    model: onnx.ModelProto, graph: Graph, placement: Placement, options: QuantizeOptions
) -> Iterator[onnx.NodeProto]:
    """Replace the weights of the quantized nodes; yield their DequantizeLinear nodes, one a weight."""
    from onnx import helper, numpy_helper

    int8, made = set(placement.quantized), set[str]()
    for node in graph.nodes:
        if node.name not in int8:
            continue
        weight, axis = node.input[1], weight_axis(node, options)
        name = weight if axis is None else f"{weight}__{axis}"
        node.input[1] = f"{name}__dequantized"
        if name in made:
            continue
        made.add(name)
        values, scale = quantize_weight(array_of(graph, weight), axis)
        model.graph.initializer.append(numpy_helper.from_array(values, f"{name}__int8"))
        inputs = [f"{name}__int8", *_constants(model, name, scale)]
        dequantize = helper.make_node("DequantizeLinear", inputs, [node.input[1]], f"{name}__dequantize")
        if axis is not None:
            dequantize.attribute.append(helper.make_attribute("axis", axis))
        yield dequantize


def weight_axis(node: onnx.NodeProto, options: QuantizeOptions = DEFAULT) -> int | None:
    """The axis of a weight that gets a scale per entry (its output channels), or None for one scale."""
    if node.op_type == "ConvTranspose":
        per_channel = options.deconv_weights == "axis1" and attribute(node, "group", 1) == 1
        return 1 if per_channel else None
    if node.op_type == "Gemm":
        return 0 if attribute(node, "transB", 0) else 1
    return {"Conv": 0, "MatMul": 1}[node.op_type]


def quantize_weight(weight: Array, axis: int | None) -> tuple[Array, Array]:
    """int8 values and their float32 scale, [] or [C] along `axis`.

    A dead channel, whose scale would be no normal float32, gets zeros and scale 1.
    """
    others = tuple(index for index in range(weight.ndim) if index != axis)
    largest = np.abs(weight).max(axis=others)
    dead = largest <= STEPS * np.finfo(np.float32).tiny
    scale = (np.where(dead, np.float32(STEPS), largest) / np.float32(STEPS)).astype(np.float32)
    spread = scale if axis is None else np.expand_dims(scale, others)
    return np.clip(np.rint(weight / spread), -STEPS, STEPS).astype(np.int8), scale
