"""Observed values that float16 cannot hold, and sums that may exceed it on the way to a result that does not.

Values are observed on a few images only, so a tensor counts as too large from a quarter of 65504 on. Two bounds need
no margin, because no image can exceed them where the input of the sum stays as observed: the sum of a convolution is
at most the largest activation times the sum of the absolute weights, and that of a pooling window at most the largest
activation times the size of the window. Engines may accumulate in float16.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from edgepose.graph.cost import tensor_shapes
from edgepose.graph.lookup import WEIGHTED
from edgepose.graph.prepare import array_of, attribute
from edgepose.quantize.float16.view import HALF_MAX, View

if TYPE_CHECKING:
    import onnx

    from edgepose.graph.cost import Shape

LARGEST = HALF_MAX / 4  # other images may reach more than those that were observed


def observed_values(view: View) -> Iterator[tuple[str, str]]:
    """Yield the nodes that make or read a tensor beyond float16, or whose sum may exceed it, with the reason."""
    if not view.ranges:
        return
    shapes = tensor_shapes(view.model)
    for node in view.graph.nodes:
        for name in (*view.float_outputs(node), *view.float_inputs(node)):
            reason = _unfit(view, name)
            if reason:
                yield node.name, reason
        largest = _largest_sum(view, node, shapes)
        if largest > HALF_MAX:
            yield node.name, f"its sums may reach {largest:.3g}, beyond float16's {HALF_MAX:.0f}"


def _unfit(view: View, name: str) -> str | None:
    largest = view.ranges.get(name, 0.0)
    if largest > LARGEST and name not in view.graph.constants:
        return f"{name!r} reaches {largest:.3g}, too near to float16's {HALF_MAX:.0f} or beyond it"
    return None


def _largest_sum(view: View, node: onnx.NodeProto, shapes: dict[str, Shape]) -> float:
    """Bound the sums that a node computes, or return 0."""
    largest = view.ranges.get(node.input[0], 0.0) if node.input else 0.0
    if node.op_type in WEIGHTED and node.input[1] in view.graph.constants:
        return largest * _sum_of_weights(view, node)
    if node.op_type in ("GlobalAveragePool", "AveragePool", "LRN"):
        count = _window(node, shapes.get(node.input[0]))
        # the mean of a window is observed, and so is its sum; a quarter of 65504 as for all that was observed
        mean = view.ranges.get(node.output[0], largest)
        return count * (largest**2 if node.op_type == "LRN" else 4 * mean)
    return 0.0


def _sum_of_weights(view: View, node: onnx.NodeProto) -> float:
    weights = np.abs(array_of(view.graph, node.input[1]).astype(np.float64))
    if node.op_type == "ConvTranspose":  # [C_in, C_out / group, kH, kW]
        return float(weights.sum(axis=0).max(initial=0))
    if node.op_type == "Conv" or (node.op_type == "Gemm" and attribute(node, "transB", 0)):
        return float(weights.reshape(len(weights), -1).sum(axis=1).max(initial=0))
    return float(weights.sum(axis=-2).max(initial=0)) if weights.ndim > 1 else float(weights.sum())


def _window(node: onnx.NodeProto, shape: Shape | None) -> int:
    """Count the values of one pooling window; 0 where the graph does not say."""
    if node.op_type == "LRN":
        return int(attribute(node, "size", 1))
    if node.op_type == "AveragePool":
        return math.prod(next((item.ints for item in node.attribute if item.name == "kernel_shape"), ()))
    return math.prod(axis or 0 for axis in shape[2:]) if shape else 0
