"""The pass that writes ReLU6 in front of a quantizer as ReLU: the saturation of the quantizer does the clipping.

Every engine fuses Relu into an int8 convolution, while Clip stays an operation of its own on some. The change is
exact: above the limit m both give int8 127 as long as m / scale rounds to 127 or more, and in [0, m] nothing changes.
A Clip is rewritten only where nothing but such quantizers reads it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.graph.lookup import Graph, copied, graph_of
from edgepose.graph.prepare import array_of, attribute
from edgepose.quantize.work import Work

if TYPE_CHECKING:
    import onnx


class ClipToRelu:
    """Write redundant Clip nodes as Relu."""

    name: ClassVar[str] = "clip_to_relu"
    needs: ClassVar[tuple[str, ...]] = ()

    def applies(self, options: QuantizeOptions) -> bool:
        """Return whether the options ask for it."""
        return options.clip_to_relu

    def run(self, work: Work) -> Work:
        """Rewrite the graph."""
        return replace(work, model=clip_to_relu(work.model))


def clip_to_relu(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph with every Clip(0, m) written as Relu where the quantizers behind it clip at m or below."""
    model = copied(model)
    graph = graph_of(model)
    for node in graph.nodes:
        if node.op_type == "Clip" and _redundant(graph, node):
            node.op_type = "Relu"
            del node.input[1:]
            del node.attribute[:]
    return model


def _redundant(graph: Graph, clip: onnx.NodeProto) -> bool:
    limits = limits_of(graph, clip)
    readers = graph.readers.get(clip.output[0], [])
    if limits is None or limits[0] != 0.0 or not readers or clip.output[0] in graph.outputs:
        return False
    return all(index == 0 and _saturates_at(graph, node, limits[1]) for node, index in readers)


def limits_of(graph: Graph, clip: onnx.NodeProto) -> tuple[float, float] | None:
    """Return the constant limits of a Clip, which are inputs or (before opset 11) attributes, or None."""
    if clip.attribute:
        return attribute(clip, "min", -3.4e38), attribute(clip, "max", 3.4e38)
    if len(clip.input) == 3 and all(name in graph.constants for name in clip.input[1:]):
        low, high = (array_of(graph, name).item() for name in clip.input[1:])
        return float(low), float(high)
    return None


def _saturates_at(graph: Graph, quantizer: onnx.NodeProto, limit: float) -> bool:
    """Whether it is symmetric int8 and gives 127 for all from `limit` on: limit / scale > 126.5."""
    names = quantizer.input[1:]
    if quantizer.op_type != "QuantizeLinear" or len(names) != 2 or not graph.constants.keys() >= set(names):
        return False
    scale, zero = (array_of(graph, name) for name in names)
    if scale.size != 1 or zero.dtype != np.int8 or zero.item() != 0:
        return False
    return bool(limit / scale.item() > 126.5)
