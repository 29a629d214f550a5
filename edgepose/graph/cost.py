"""Count the multiply-adds of a graph for one image.

As in `models.cost` for torch networks, only convolutions and matrix products count, and each weight of a deconvolution
counts once per input pixel.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgepose.graph.lookup import WEIGHTED, copied, graph_of

if TYPE_CHECKING:
    import onnx

Shape = tuple[int | None, ...]  # None where an axis has no fixed length


def multiply_adds(model: onnx.ModelProto) -> int | None:
    """Count the multiply-adds of one image, or return None where the graph does not fix a shape that counts."""
    model = copied(model)
    batch = _fix_batch(model)
    shapes = tensor_shapes(model)
    counts = [_count(node, shapes) for node in model.graph.node if node.op_type in WEIGHTED]
    known = [count for count in counts if count is not None]
    return sum(known) // batch if len(known) == len(counts) else None


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
