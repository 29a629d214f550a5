"""Count the multiply-adds of a graph for one image.

As in `models.cost` for torch networks, only convolutions and matrix products count, and each weight of a deconvolution
counts once per input pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgepose.graph.lookup import WEIGHTED, Graph, copied, graph_of

if TYPE_CHECKING:
    import onnx

FUSED = 4  # nodes behind a convolution that a library may compute in the same layer
Shape = tuple[int | None, ...]  # None where an axis has no fixed length


def multiply_adds(model: onnx.ModelProto) -> int | None:
    """Count the multiply-adds of one image, or return None where the graph does not fix a shape that counts."""
    counts = [count for _, count in _counts(model)]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _counts(model: onnx.ModelProto) -> list[tuple[onnx.NodeProto, int | None]]:
    """Return each node with weights, and its multiply-adds for one image."""
    model = copied(model)
    batch = _fix_batch(model)
    shapes = tensor_shapes(model)
    weighted = [node for node in model.graph.node if node.op_type in WEIGHTED]
    counts = [_count(node, shapes) for node in weighted]
    return [(node, None if count is None else count // batch) for node, count in zip(weighted, counts, strict=True)]


@dataclass(frozen=True, kw_only=True)
class LayerCost:
    """The arithmetic of one node with weights.

    Attributes:
        multiply_adds: Of one image.
        int8: Whether the graph asks for int8: both operands come from DequantizeLinear.
        names: Names that a library may give to the layer, the most likely first: the node, its output, and the nodes
            and outputs that may be fused with it.
    """

    multiply_adds: int
    int8: bool
    names: tuple[str, ...]


def layer_costs(model: onnx.ModelProto) -> tuple[LayerCost, ...]:
    """Return the cost of every node with weights; nothing where the graph does not fix a shape that counts."""
    graph = graph_of(model)
    counts = _counts(model)
    if any(count is None for _, count in counts):
        return ()
    return tuple(
        LayerCost(multiply_adds=count or 0, int8=_is_int8(graph, node), names=_layer_names(graph, node))
        for node, count in counts
    )


def int8_share(costs: Sequence[LayerCost]) -> float | None:
    """Return the share of the multiply-adds that a graph asks to run in int8; None where that is unknown."""
    total = sum(cost.multiply_adds for cost in costs)
    return sum(cost.multiply_adds for cost in costs if cost.int8) / total if total else None


def _is_int8(graph: Graph, node: onnx.NodeProto) -> bool:
    makers = [_behind_casts(graph, name) for name in node.input[:2]]
    return all(maker is not None and maker.op_type == "DequantizeLinear" for maker in makers)


def _behind_casts(graph: Graph, tensor: str) -> onnx.NodeProto | None:
    """Return the node that computes a tensor, through the Casts of a graph with float16 parts."""
    maker = graph.producer.get(tensor)
    while maker is not None and maker.op_type == "Cast":
        maker = graph.producer.get(maker.input[0])
    return maker


def _layer_names(graph: Graph, node: onnx.NodeProto) -> tuple[str, ...]:
    names, at = [node.name, *node.output], node
    for _ in range(FUSED):
        reader = graph.only_reader(at.output[0])
        if reader is None or reader.op_type in WEIGHTED:
            break
        names += [reader.name, *reader.output]
        at = reader
    return tuple(names)


def _fix_batch(model: onnx.ModelProto) -> int:
    """Give a free batch axis length 1, in place, and drop every shape that depends on it. Return the batch size."""
    names = graph_of(model).inputs
    shapes = [value.type.tensor_type.shape.dim for value in model.graph.input if value.name in names]
    axes = [shape[0] for shape in shapes if shape]
    free = [axis for axis in axes if axis.dim_value < 1]
    for axis in free:
        axis.dim_value = 1
    if free:
        del model.graph.value_info[:]
        for value in model.graph.output:
            value.type.tensor_type.ClearField("shape")
    return int(axes[0].dim_value) if axes else 1


def tensor_shapes(model: onnx.ModelProto) -> dict[str, Shape]:
    """Return the shape of every tensor that shape inference can determine, by name."""
    from onnx import shape_inference

    try:
        graph = shape_inference.infer_shapes(model, data_prop=True).graph
    except shape_inference.InferenceError:  # of a node that is wrong; other shapes are not known then
        graph = model.graph
    shapes: dict[str, Shape] = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        kind = value.type.tensor_type
        if kind.HasField("shape"):
            shapes[value.name] = tuple(axis.dim_value or None for axis in kind.shape.dim)
    return shapes


def _count(node: onnx.NodeProto, shapes: dict[str, Shape]) -> int | None:
    """Multiply the number of weights by the places where they are used: pixels of all images, or rows of a product."""
    weight = shapes.get(node.input[1])
    places = shapes.get(node.input[0] if node.op_type == "ConvTranspose" else node.output[0])
    if weight is None or places is None:
        return None
    product = node.op_type in ("Gemm", "MatMul")
    factors = (*weight[-2:], *places[:-1]) if product else (*weight, places[0], *places[2:])
    return None if None in factors else math.prod(factor for factor in factors if factor is not None)


BYTE = 4.0  # multiply-adds of float32 in the time that one byte of an activation takes
FASTER = 3.0  # int8 over float32, of multiply-adds
DEPTHWISE = 1.0  # the same of convolutions with groups, which use few of the integer units


def estimated_times(model: onnx.ModelProto) -> dict[str, tuple[float, float]]:
    """Estimate the time of each node in float and in int8 from its multiply-adds and the sizes of its tensors.

    The unit is one multiply-add in float32. The numbers order the layers of a network by what int8 saves; they are no
    times of any machine.

    Returns:
        Name of a node -> (float, int8), for each node with weights and each other node whose shapes are fixed.
    """
    counts = {node.name: count for node, count in _counts(model)}
    fixed = copied(model)
    _fix_batch(fixed)
    shapes = tensor_shapes(fixed)
    constants = {tensor.name for tensor in model.graph.initializer}
    times: dict[str, tuple[float, float]] = {}
    for node in model.graph.node:
        read = _elements([name for name in node.input if name and name not in constants], shapes)
        written = _elements(list(node.output), shapes)
        if read is None or written is None or (node.name in counts and counts[node.name] is None):
            continue
        count = counts.get(node.name) or 0
        grouped = node.op_type != "Gemm" and any(item.name == "group" and item.i > 1 for item in node.attribute)
        faster = DEPTHWISE if grouped else FASTER
        if node.name in counts:
            times[node.name] = count + 4 * BYTE * (read + written), count / faster + BYTE * (read + written)
        else:
            times[node.name] = 4 * BYTE * (read + written), BYTE * (read + 4 * written)
    return times


def _elements(tensors: Sequence[str], shapes: dict[str, Shape]) -> int | None:
    """Return the number of elements of several tensors; None where a shape is not fixed."""
    total = 0
    for name in tensors:
        shape = shapes.get(name)
        if shape is None or None in shape:
            return None
        total += math.prod(axis for axis in shape if axis is not None)
    return total


def multiply_adds_of(model: onnx.ModelProto) -> dict[str, int]:
    """Return the multiply-adds of each node with weights for one image, by name; without those of unknown shapes."""
    return {node.name: count for node, count in _counts(model) if count is not None}
