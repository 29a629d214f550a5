"""Joints in pixels of the network's input, as networks with their decoder inside give them: fractions for `regression`.

The pixel x of such a decoder is the center of crop pixel x, so its fraction of the crop's width W is (x + 0.5) / W.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose.graph.lookup import copied, graph_of

if TYPE_CHECKING:
    import onnx

OUTPUT = "joints"


def pixels_to_unit(model: onnx.ModelProto, xy: str, scores: str | None, size: tuple[int, int]) -> onnx.ModelProto:
    """Return a graph whose only output is [N, K, 3] or [N, K, 2]: x and y from 0 to 1 over the crop, and the score.

    Args:
        model: The graph.
        xy: The output with the joints, [N, K, 2] in pixels of the input; or [N, K, 3], with the score.
        scores: The output with the scores, [N, K] or [N, K, 1]; None where there is none, or `xy` holds them.
        size: (height, width) of the input.
    """
    return affine_joints(model, xy, scores, scale=(1 / size[1], 1 / size[0]), shift=(0.5 / size[1], 0.5 / size[0]))


def affine_joints(
    model: onnx.ModelProto,
    xy: str,
    scores: str | None,
    *,
    scale: tuple[float, float],
    shift: tuple[float, float],
) -> onnx.ModelProto:
    """Return a graph whose only output is [N, K, 3] or [N, K, 2]: coordinates times `scale` plus `shift`.

    Args:
        model: The graph.
        xy: The output with the joints, [N, K, 2] of x and y; or [N, K, 3], with the score, which stays as it is.
        scores: The output with the scores, [N, K] or [N, K, 1]; None where there is none, or `xy` holds them.
        scale: The factors of x and y.
        shift: What is added to x and y.
    """
    from onnx import TensorProto, helper

    made = copied(model)
    names = _Names(made)
    kinds = {value.name: value for value in model.graph.output}
    alone = scores is None and _last(kinds[xy]) != 3
    factors, offsets = ((*pair, *(() if alone else (fill,))) for pair, fill in ((scale, 1.0), (shift, 0.0)))
    joined = _as_float(made, names, xy, kinds[xy])
    if scores is not None:
        column = names.constant("score_shape", np.array([0, -1, 1], np.int64))
        reshaped = names.new("score_column")
        value = _as_float(made, names, scores, kinds[scores])
        made.graph.node.append(helper.make_node("Reshape", [value, column], [reshaped], name=reshaped))
        both = names.new("joined")
        made.graph.node.append(helper.make_node("Concat", [joined, reshaped], [both], name=both, axis=2))
        joined = both
    scaled, output = names.new("scaled"), names.new(OUTPUT)
    factor = names.constant("scale", np.array(factors, np.float32))
    offset = names.constant("shift", np.array(offsets, np.float32))
    made.graph.node.append(helper.make_node("Mul", [joined, factor], [scaled], name=scaled))
    made.graph.node.append(helper.make_node("Add", [scaled, offset], [output], name=output))
    del made.graph.output[:]
    made.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, None))
    return made


def _last(value: onnx.ValueInfoProto) -> int:
    axes = value.type.tensor_type.shape.dim
    return int(axes[-1].dim_value) if axes else 0


def _as_float(model: onnx.ModelProto, names: _Names, tensor: str, value: onnx.ValueInfoProto) -> str:
    """Add a Cast behind a tensor that is no float32."""
    from onnx import TensorProto, helper

    if value.type.tensor_type.elem_type == TensorProto.FLOAT:
        return tensor
    made = names.new(f"{tensor}_float")
    model.graph.node.append(helper.make_node("Cast", [tensor], [made], name=made, to=TensorProto.FLOAT))
    return made


class _Names:
    """Names of new tensors and constants of a graph."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        graph = graph_of(model)
        self._taken = {*graph.producer, *graph.constants, *graph.inputs, *(node.name for node in graph.nodes)}

    def new(self, wanted: str) -> str:
        """Return a name that nothing has."""
        name, number = wanted, 1
        while name in self._taken:
            name, number = f"{wanted}_{number}", number + 1
        self._taken.add(name)
        return name

    def constant(self, wanted: str, value: Array) -> str:
        """Add a constant and return its name."""
        from onnx import numpy_helper

        name = self.new(wanted)
        self._model.graph.initializer.append(numpy_helper.from_array(value, name))
        return name
