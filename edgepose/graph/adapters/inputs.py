"""Make the image input of a network float32 [N, 3, H, W], and take its own preprocessing out of the graph.

The rule is: what only converts an image leaves the graph, because `warp_normalize` writes float32, channels first, and
(pixel - mean) / std, in the same time as any other form.

- A Cast of integers to floats is removed, and so is a Transpose to channels first. What stands between the input and
  these nodes (a reversal of the channels, arithmetic with constants, padding) is rewritten for the new form.
- Arithmetic with one number per channel at the beginning of a graph, and a reversal of its channels, become the mean,
  the standard deviation and the color order of the contract (`preprocessing.without_preprocessing`).
- Where such a node cannot be removed, for example because a layer computes with integers, one conversion is added
  behind the new input (rounding and Cast, or Transpose). Its cost is that of the node that could not be removed.

Functions return a changed copy; a graph whose input has the form already is returned as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose.errors import ModelError
from edgepose.graph.adapters.regions import (
    ARITHMETIC,
    FLOATS,
    INTEGERS,
    TO_CHANNELS_FIRST,
    TO_CHANNELS_LAST,
    Region,
    region_of_channels_last,
    region_of_integers,
    without,
)
from edgepose.graph.lookup import graph_of, replace_nodes
from edgepose.graph.newnames import NewNames
from edgepose.graph.prepare import constants_to_initializers
from edgepose.graph.subgraphs import rename_reads

if TYPE_CHECKING:
    import onnx


AXIS_FIRST = {0: 0, 1: 2, 2: 3, 3: 1}  # an axis of [N, H, W, 3] -> the same axis of [N, 3, H, W]


def to_float_nchw(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy whose image input is float32 [N, 3, H, W] with the same name; pixels keep their scale.

    Args:
        model: A graph with one input, [N, 3, H, W] or [N, H, W, 3], of floats or integers.

    Raises:
        ModelError: The graph has another input.
    """
    return to_channels_first(to_float(model))


def to_float(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy whose image input is float32 in the layout that it has.

    Args:
        model: A graph with one input, of floats or integers.

    Raises:
        ModelError: The graph has several inputs, or one of another type.
    """
    from onnx import TensorProto

    image = image_of(model)
    kind = _kind(image)
    if kind == "FLOAT":
        return model
    if kind not in (*FLOATS, *INTEGERS):
        raise ModelError(
            f"input {image.name!r} is {kind.lower()}; an image is of floats or of integers that hold 0..255"
        )
    made = constants_to_initializers(model)
    found = region_of_integers(made, image.name, kind)
    image_of(made).type.tensor_type.elem_type = TensorProto.FLOAT
    if found is None:
        _cast_input(made, image.name, kind)
    else:
        _make_float(made, found)
    forget_shapes(made)
    return made


def to_channels_first(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy whose image input is [N, 3, H, W].

    Args:
        model: A graph with one input, [N, 3, H, W] or [N, H, W, 3].

    Raises:
        ModelError: The graph has several inputs, or another one.
    """
    image = image_of(model)
    axes = [int(axis.dim_value) for axis in image.type.tensor_type.shape.dim]
    if len(axes) != 4 or 3 not in (axes[1], axes[3]):
        raise ModelError(f"input {image.name!r} has shape {axes}; an image is [N, 3, H, W] or [N, H, W, 3]")
    if axes[1] == 3:
        return model
    made = constants_to_initializers(model)
    found = region_of_channels_last(made, image.name)
    dims = list(image_of(made).type.tensor_type.shape.dim)
    ordered = [type(dims[0]).FromString(dims[axis].SerializeToString()) for axis in TO_CHANNELS_FIRST]
    del image_of(made).type.tensor_type.shape.dim[:]
    image_of(made).type.tensor_type.shape.dim.extend(ordered)
    if found is None:
        _transpose_input(made, image.name)
    else:
        _make_channels_first(made, found)
    forget_shapes(made)
    return made


def takes_integers(model: onnx.ModelProto) -> bool:
    """Return whether the image of a graph is of integers that no contract has; uint8 is one of its types.

    Args:
        model: The graph.
    """
    names = graph_of(model).inputs
    kinds = [_kind(value) for value in model.graph.input if value.name in names]
    return len(kinds) == 1 and kinds[0] in INTEGERS and kinds[0] != "UINT8"


def image_of(model: onnx.ModelProto) -> onnx.ValueInfoProto:
    """Return the only input of a graph.

    Args:
        model: The graph.

    Raises:
        ModelError: There are several, or none.
    """
    names = graph_of(model).inputs
    values = [value for value in model.graph.input if value.name in names]
    if len(values) != 1:
        raise ModelError(f"expected one input, the image, got {', '.join(names) or 'none'}")
    image: onnx.ValueInfoProto = values[0]
    return image


def _kind(value: onnx.ValueInfoProto) -> str:
    from onnx import TensorProto

    return str(TensorProto.DataType.Name(value.type.tensor_type.elem_type))


def _make_float(model: onnx.ModelProto, found: Region) -> None:
    """Let the region compute with floats, in place: its Casts go, and its constants become floats."""
    from onnx import numpy_helper

    graph, names = graph_of(model), NewNames(model)
    gone: dict[str, str] = {}
    for node in (*found.nodes, *found.ends):
        for index, name in enumerate(node.input):
            node.input[index] = gone.get(name, name)
        if node.op_type == "Cast":
            gone[node.output[0]] = node.input[0]
        elif node.op_type in ARITHMETIC:
            for index, name in enumerate(node.input):
                if name in graph.constants:
                    label = names.new(f"{name}__float")
                    value = numpy_helper.to_array(graph.constants[name]).astype(np.float32)
                    model.graph.initializer.append(numpy_helper.from_array(value, label))
                    node.input[index] = label
    without(model, gone)


def _make_channels_first(model: onnx.ModelProto, found: Region) -> None:
    """Let the region hold [N, 3, H, W], in place: its Transposes go, and its constants and axes are rewritten."""
    from onnx import numpy_helper

    graph, names = graph_of(model), NewNames(model)
    gone: dict[str, str] = {}

    def constant(node: onnx.NodeProto, index: int, value: Array) -> None:
        label = names.new(f"{node.input[index]}__channels_first")
        model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), label))
        node.input[index] = label

    for node in (*found.nodes, *found.ends):
        for index, name in enumerate(node.input):
            node.input[index] = gone.get(name, name)
        values = {
            i: numpy_helper.to_array(graph.constants[n]) for i, n in enumerate(node.input) if n in graph.constants
        }
        if node.op_type == "Transpose":
            gone[node.output[0]] = node.input[0]
        elif node.op_type == "Pad":
            constant(node, 1, values[1].reshape(2, 4)[:, TO_CHANNELS_FIRST].ravel())
        elif node.op_type in ("Gather", "Split"):
            _set_axis(node)
        elif node.op_type == "Slice":
            constant(node, 3, np.array([AXIS_FIRST[int(axis) % 4] for axis in values[3]], values[3].dtype))
        else:
            for index, value in values.items():
                if value.ndim:
                    constant(node, index, value.reshape((1,) * (4 - value.ndim) + value.shape).transpose(0, 3, 1, 2))
    without(model, gone)


def _set_axis(node: onnx.NodeProto) -> None:
    from onnx import helper

    axis = next((item.i for item in node.attribute if item.name == "axis"), 0)
    kept = [item for item in node.attribute if item.name != "axis"]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute("axis", AXIS_FIRST[axis % 4])])


def _cast_input(model: onnx.ModelProto, name: str, kind: str) -> None:
    """Convert the float input to the type that the graph computes with, in place; integers are rounded."""
    from onnx import TensorProto, helper, numpy_helper

    names = NewNames(model)
    cast = names.new(f"{name}__{kind.lower()}")
    for node in model.graph.node:
        rename_reads(node, {name: cast})
    nodes, at = [], name
    if kind not in FLOATS:  # floor(x + 0.5), since Round is younger than some graphs
        half, moved, whole = (names.new(f"{name}__{part}") for part in ("half", "moved", "whole"))
        model.graph.initializer.append(numpy_helper.from_array(np.array(0.5, np.float32), half))
        nodes.append(helper.make_node("Add", [name, half], [moved], names.new(f"{moved}/node")))
        nodes.append(helper.make_node("Floor", [moved], [whole], names.new(f"{whole}/node")))
        at = whole
    target = TensorProto.DataType.Value(kind)
    nodes.append(helper.make_node("Cast", [at], [cast], names.new(f"{cast}/node"), to=target))
    replace_nodes(model, [*nodes, *model.graph.node])


def _transpose_input(model: onnx.ModelProto, name: str) -> None:
    """Convert the input to the layout that the graph computes with, in place."""
    from onnx import helper

    names = NewNames(model)
    last = names.new(f"{name}__channels_last")
    for node in model.graph.node:
        rename_reads(node, {name: last})
    turned = helper.make_node("Transpose", [name], [last], names.new(f"{last}/node"), perm=TO_CHANNELS_LAST)
    replace_nodes(model, [turned, *model.graph.node])


def forget_shapes(model: onnx.ModelProto) -> None:
    """Remove the types and shapes of inner tensors, which may be those of the old input, in place."""
    del model.graph.value_info[:]
