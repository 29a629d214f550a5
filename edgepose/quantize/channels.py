"""Layers with few channels, which TensorRT computes faster in float than in int8.

Tensor Cores multiply int8 in blocks, and what is missing in a block is padded. The limits are those of NVIDIA's Model
Optimizer for explicit quantization:

    convolutions   at least 16 input and output channels in each group, or multiples of 8
    depthwise      kernels of at least 3 along every axis, and a multiple of 8 channels
    matrices       at least 16 rows and columns of weights, and more than one row of activations for each image

CPUs gain from int8 below these limits too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from edgepose.graph.cost import Shape
from edgepose.graph.lookup import Graph
from edgepose.graph.prepare import attribute

if TYPE_CHECKING:
    import onnx

ENOUGH = 16
BLOCK = 8
SMALLEST_KERNEL = 3  # of a depthwise convolution

Shapes = Mapping[str, Shape]  # by tensor


def too_few_channels(graph: Graph, node: onnx.NodeProto, shapes: Shapes) -> str | None:
    """Return why a node with constant weights is faster in float with TensorRT, or None.

    Args:
        graph: The graph.
        node: A Conv, ConvTranspose, Gemm or MatMul of it.
        shapes: The shapes of its tensors, as far as they are known.
    """
    weight = list(graph.constants[node.input[1]].dims)
    if node.op_type in ("Gemm", "MatMul"):
        return _matrix(weight, shapes.get(node.input[0]))
    groups = int(attribute(node, "group", 1))
    first, second = weight[0], weight[1]
    inputs, outputs = (second, first // groups) if node.op_type == "Conv" else (first // groups, second)
    if groups > 1 and inputs == outputs == 1:
        return _depthwise(groups, weight[2:])
    if min(inputs, outputs) >= ENOUGH or inputs % BLOCK == outputs % BLOCK == 0:
        return None
    each = " in each group" if groups > 1 else ""
    return f'{inputs} input and {outputs} output channels{each} are few for TensorRT (channels = "tensorrt")'


def _depthwise(channels: int, kernel: Sequence[int]) -> str | None:
    if channels % BLOCK:
        return f'{channels} depthwise channels are no multiple of {BLOCK} (channels = "tensorrt")'
    if min(kernel) < SMALLEST_KERNEL:
        size = "x".join(map(str, kernel))
        return f'a depthwise kernel of {size} is small for TensorRT (channels = "tensorrt")'
    return None


def _matrix(weight: Sequence[int], activation: Sequence[int | None] | None) -> str | None:
    if min(weight) < ENOUGH:
        return f'a matrix of {weight[0]} x {weight[1]} is small for TensorRT (channels = "tensorrt")'
    if activation is not None and _rows(activation) == 1:
        return 'it multiplies one vector for each image (channels = "tensorrt")'
    return None


def _rows(activation: Sequence[int | None]) -> int | None:
    """Return the rows of an activation for each image, or None where they are not known. Axis 0 may be the batch."""
    first, *others = activation[:-1] or (1,)
    return None if None in others else (first or 1) * math.prod(axis for axis in others if axis is not None)
