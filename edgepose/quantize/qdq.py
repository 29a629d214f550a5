"""The pass that writes a placement and its scales into the graph, in the form that TensorRT 10, 11 and RTX accept.

    weights       int8 initializer -> DequantizeLinear, one scale per output channel (Conv, Gemm, MatMul; ConvTranspose
                  where the options ask for it)
    activations   QuantizeLinear -> DequantizeLinear, one scale per tensor, one pair shared by all int8 readers
    bias          float; TensorRT-RTX rejects an int32 bias behind DequantizeLinear

All scales are symmetric int8 with zero point 0; the opset is 13. Other programs that run such a graph with integer
kernels on x86 without VNNI or AMX get saturated sums without a warning. edgepose's sessions compute such layers in
float there (`backends.cpu.int8_saturates`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.graph.importing.opset import lower_opset
from edgepose.graph.lookup import (
    Graph,
    copied,
    drop_unused_constants,
    graph_of,
    refuse_quantized,
    replace_nodes,
)
from edgepose.graph.prepare import array_of, attribute
from edgepose.quantize.placement import DEFAULT, Placement
from edgepose.quantize.ranges import STEPS
from edgepose.quantize.work import Work

if TYPE_CHECKING:
    import onnx


class InsertQdq:
    """Write the Q/DQ nodes of the placement into the graph."""

    name: ClassVar[str] = "insert_qdq"
    needs: ClassVar[tuple[str, ...]] = ()

    def applies(self, options: QuantizeOptions) -> bool:
        """Return True: every quantization needs it."""
        return True

    def run(self, work: Work) -> Work:
        """Rewrite the graph."""
        assert work.placement is not None, "placement runs first"
        made = insert_qdq(work.model, work.placement, work.activation_scales, work.options)
        return replace(work, model=made)


def insert_qdq(
    model: onnx.ModelProto,  # prepared
    placement: Placement,
    scales: dict[str, float],  # tensor -> scale
    options: QuantizeOptions = DEFAULT,
) -> onnx.ModelProto:
    """Write Q/DQ nodes around the tensors and weights of a placement.

    Args:
        model: The prepared float graph, which is left as it is.
        placement: The nodes to quantize.
        scales: Tensor name -> quantization scale.
        options: The options that apply.

    Raises:
        ModelError: The graph holds quantized operators already.
    """
    refuse_quantized(model)
    model = copied(lower_opset(model)[0])
    graph = graph_of(model)
    by_name = {node.name: node for node in graph.nodes}
    weights = list(_quantize_weights(model, graph, placement, options))
    for tensor, readers in placement.reads.items():
        for name, index in readers:
            by_name[name].input[index] = f"{tensor}__dequantized"
    pairs = {tensor: _pair(model, tensor, scales[tensor]) for tensor in placement.reads}
    replace_nodes(model, in_order(graph, weights, pairs))
    drop_unused_constants(model)
    return model


def in_order(
    graph: Graph, weights: list[onnx.NodeProto], pairs: dict[str, list[onnx.NodeProto]]
) -> Iterator[onnx.NodeProto]:
    """Yield every node once, each Q/DQ pair right behind the node that computes its tensor.

    Args:
        graph: The float graph.
        weights: The nodes that dequantize weights.
        pairs: Tensor -> its Q/DQ pair.
    """
    yield from weights
    for name in graph.inputs:
        yield from pairs.get(name, [])
    for node in graph.nodes:
        yield node
        for name in node.output:
            yield from pairs.get(name, [])


def _pair(model: onnx.ModelProto, tensor: str, scale: float) -> list[onnx.NodeProto]:
    return pair_nodes(tensor, f"{tensor}__int8", _constants(model, tensor, np.array(scale, np.float32)))


def pair_nodes(tensor: str, middle: str, names: list[str]) -> list[onnx.NodeProto]:
    """Return the Q/DQ pair of a tensor.

    Args:
        tensor: Its name.
        middle: Name of the quantized tensor between the two.
        names: Names of the scale and the zero point.
    """
    from onnx import helper

    return [
        helper.make_node("QuantizeLinear", [tensor, *names], [middle], f"{tensor}__quantize"),
        helper.make_node("DequantizeLinear", [middle, *names], [f"{tensor}__dequantized"], f"{tensor}__dequantize"),
    ]


def _constants(model: onnx.ModelProto, name: str, scale: Array) -> list[str]:
    """Add scale and zero point as initializers and return their names."""
    from onnx import numpy_helper

    names = [f"{name}__scale", f"{name}__zero"]
    for label, value in zip(names, (scale, np.zeros(scale.shape, np.int8)), strict=True):
        model.graph.initializer.append(numpy_helper.from_array(value, label))
    return names


def _quantize_weights(
    model: onnx.ModelProto, graph: Graph, placement: Placement, options: QuantizeOptions
) -> Iterator[onnx.NodeProto]:
    """Replace the weights of the quantized nodes and yield one DequantizeLinear node per weight."""
    from onnx import helper, numpy_helper

    int8, made = set(placement.quantized), set[str]()
    for node in graph.nodes:
        if node.name not in int8:
            continue
        weight, axis, groups = node.input[1], weight_axis(node, options), weight_groups(node)
        name = weight if axis is None else f"{weight}__{axis}"
        name = name if groups == 1 or axis is None else f"{name}__{groups}"
        node.input[1] = f"{name}__dequantized"
        if name in made:
            continue
        made.add(name)
        values, scale = quantize_weight(array_of(graph, weight), axis, groups)
        model.graph.initializer.append(numpy_helper.from_array(values, f"{name}__int8"))
        inputs = [f"{name}__int8", *_constants(model, name, scale)]
        dequantize = helper.make_node("DequantizeLinear", inputs, [node.input[1]], f"{name}__dequantize")
        if axis is not None:
            dequantize.attribute.append(helper.make_attribute("axis", axis))
        yield dequantize


def weight_axis(node: onnx.NodeProto, options: QuantizeOptions = DEFAULT) -> int | None:
    """Return the axis of a weight that gets one scale per entry (its output channels), or None for a single scale."""
    if node.op_type == "ConvTranspose":
        if attribute(node, "group", 1) == 1:
            return None if options.deconv_weights == "per_tensor" else 1
        return 0 if options.deconv_weights == "per_channel" else None
    if node.op_type == "Gemm":
        return 0 if attribute(node, "transB", 0) else 1
    return {"Conv": 0, "MatMul": 1}[node.op_type]


def weight_groups(node: onnx.NodeProto) -> int:
    """Return the number of groups along axis 0 of a weight that share a scale, or 1 where each entry has its own.

    Axis 0 of the weight of a ConvTranspose counts input channels. Those of one group are added up, so they must share a
    scale.
    """
    return int(attribute(node, "group", 1)) if node.op_type == "ConvTranspose" else 1


def quantize_weight(weight: Array, axis: int | None, groups: int = 1) -> tuple[Array, Array]:
    """Quantize a weight.

    Args:
        weight: [...] float32.
        axis: The axis with one scale per entry, or None for a single scale.
        groups: With more than one, the entries along the axis share a scale within each of so many equal groups.

    Returns:
        The int8 values, and their float32 scale, [] or [C]. A dead channel, whose scale would be below the smallest
        normal float32, gets zeros and scale 1.
    """
    others = tuple(index for index in range(weight.ndim) if index != axis)
    largest = np.abs(weight).max(axis=others)
    if axis is not None and groups > 1:
        largest = np.repeat(largest.reshape(groups, -1).max(axis=1), len(largest) // groups)
    dead = largest <= STEPS * np.finfo(np.float32).tiny
    scale = (np.where(dead, np.float32(STEPS), largest) / np.float32(STEPS)).astype(np.float32)
    spread = scale if axis is None else np.expand_dims(scale, others)
    return np.clip(np.rint(weight / spread), -STEPS, STEPS).astype(np.int8), scale
