"""Take the preprocessing at the beginning of a graph out of it, and put it into the contract.

Arithmetic with one number per channel and a reversal of the channels become the mean, the standard deviation and the
color order of the contract, as `warp_normalize` does that in the same time as any other.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose.graph.adapters.inputs import forget_shapes, image_of
from edgepose.graph.adapters.regions import ARITHMETIC, cast_target, other_constant, without
from edgepose.graph.lookup import Graph, graph_of
from edgepose.graph.prepare import constants_to_initializers

if TYPE_CHECKING:
    import onnx

    from edgepose.artifacts.spec import InputSpec


def without_preprocessing(model: onnx.ModelProto, image: InputSpec) -> tuple[onnx.ModelProto, InputSpec]:
    """Take the preprocessing at the beginning of a graph out of it, and put it into the contract's input.

    Args:
        model: A graph whose input is float32 [N, 3, H, W], as `to_float_nchw` returns it.
        image: What the input of the graph takes.

    Returns:
        A graph that begins with its first layer, and what it takes: mean, std, scale and color order are those of both
        together. A node that does more than scale channels by positive factors, shift them and reverse their order
        stays, and so does all that follows it.
    """
    made = constants_to_initializers(model)
    graph = graph_of(made)
    name = image_of(made).name
    factor = image.scale / np.array(image.std, np.float64)
    summand = -np.array(image.mean, np.float64) / np.array(image.std)
    tensor, color, gone = name, image.color, dict[str, str]()
    while (node := graph.only_reader(tensor)) is not None and (node, -1) not in graph.readers[tensor]:
        step = _step(graph, node, tensor, factor, summand)
        if step is None:
            break
        factor, summand, reverses = step
        if reverses:
            color = "bgr" if color == "rgb" else "rgb"
        tensor = node.output[0]
        gone[tensor] = name
    if not gone:
        return model, image
    without(made, gone)
    forget_shapes(made)
    mean, std = -summand / factor, 1 / factor
    return made, replace(image, color=color, mean=_three(mean), std=_three(std), scale=1.0)


def _three(values: Array) -> tuple[float, float, float]:
    # Weights are float32, so that 58.395 comes back as 58.39500045776367.
    red, green, blue = (float(f"{value:.7g}") + 0.0 for value in values)
    return red, green, blue


def _step(
    graph: Graph, node: onnx.NodeProto, tensor: str, factor: Array, summand: Array
) -> tuple[Array, Array, bool] | None:
    """Return factor and summand after a node, and whether it reverses the channels; None for any other node."""
    if node.op_type == "Identity" or (node.op_type == "Cast" and cast_target(node) == "FLOAT"):
        return factor, summand, False
    if _reverses(graph, node, tensor):
        return factor[::-1], summand[::-1], True
    constant = other_constant(graph, node, tensor) if node.op_type in (*ARITHMETIC, "Div") else None
    value = None if constant is None else _per_channel(graph, constant)
    if value is None:
        return None
    first = node.input[0] == tensor
    if node.op_type == "Add":
        return factor, summand + value, False
    if node.op_type == "Sub" and first:
        return factor, summand - value, False
    if node.op_type == "Mul" and (value > 0).all():
        return factor * value, summand * value, False
    if node.op_type == "Div" and first and (value > 0).all():
        return factor / value, summand / value, False
    return None


def _per_channel(graph: Graph, name: str) -> Array | None:
    """Return a constant as one number per channel, [3] float64; None where it has more."""
    from onnx import numpy_helper

    value = numpy_helper.to_array(graph.constants[name]).astype(np.float64)
    shape = (1,) * (4 - value.ndim) + value.shape
    if value.ndim > 4 or shape not in ((1, 1, 1, 1), (1, 3, 1, 1)):
        return None
    return np.asarray(np.broadcast_to(value.reshape(shape), (1, 3, 1, 1)).reshape(3))


def _reverses(graph: Graph, node: onnx.NodeProto, tensor: str) -> bool:
    """Whether a node reverses the three channels."""
    from onnx import numpy_helper

    if not node.input or node.input[0] != tensor or not all(name in graph.constants for name in node.input[1:] if name):
        return False
    values = [numpy_helper.to_array(graph.constants[name]) for name in node.input[1:] if name]
    if node.op_type == "Gather":
        axis = next((item.i for item in node.attribute if item.name == "axis"), 0)
        return axis % 4 == 1 and values[0].tolist() in ([2, 1, 0], [-1, -2, -3])
    if node.op_type == "Slice" and len(values) == 4:
        start, end, axis, stride = (value.tolist() for value in values)
        return start in ([-1], [2]) and end[0] < -3 and axis in ([1], [-3]) and stride == [-1]
    return False
