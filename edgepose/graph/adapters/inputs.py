"""Make the image input of a network float32 [N, 3, H, W], and take its own preprocessing out of the graph.

The rule is: what only converts an image leaves the graph, because `warp_normalize` writes float32, channels first, and
(pixel - mean) / std, in the same time as any other form.

- A Cast of integers to floats is removed, and so is a Transpose to channels first. What stands between the input and
  these nodes (a reversal of the channels, arithmetic with constants, padding) is rewritten for the new form.
- Arithmetic with one number per channel at the beginning of a graph, and a reversal of its channels, become the mean,
  the standard deviation and the color order of the contract (`without_preprocessing`).
- Where such a node cannot be removed, for example because a layer computes with integers, one conversion is added
  behind the new input (rounding and Cast, or Transpose). Its cost is that of the node that could not be removed.

Functions return a changed copy; a graph whose input has the form already is returned as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose.errors import ModelError
from edgepose.graph.lookup import Graph, drop_unused_constants, graph_of, replace_nodes
from edgepose.graph.newnames import NewNames
from edgepose.graph.prepare import constants_to_initializers
from edgepose.graph.subgraphs import rename_reads

if TYPE_CHECKING:
    import onnx

    from edgepose.artifacts.spec import InputSpec

TO_CHANNELS_FIRST, TO_CHANNELS_LAST = (0, 3, 1, 2), (0, 2, 3, 1)
AXIS_FIRST = {0: 0, 1: 2, 2: 3, 3: 1}  # an axis of [N, H, W, 3] -> the same axis of [N, 3, H, W]
# Operators that move values without looking at them; their further inputs are indices or shapes.
MOVING = ("Transpose", "Reshape", "Slice", "Gather", "Squeeze", "Unsqueeze", "Identity", "Flatten", "Split")
ARITHMETIC = ("Add", "Sub", "Mul")  # of integers, which floats compute as well; integers divide otherwise
WIDE = ("INT32", "INT64")  # integers that do not overflow with pixels
INTEGERS = ("UINT8", "UINT16", "INT16", "UINT32", "UINT64", *WIDE)  # those that hold 0..255
FLOATS = ("FLOAT", "FLOAT16", "DOUBLE")
# Operators that compute each value by itself, so that they may stand on either side of a Transpose
ELEMENTWISE = ("Add", "Sub", "Mul", "Div", "Cast", "Identity", "Clip", "Relu", "Neg", "Sqrt", "Pow", "Min", "Max")


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
    found = _region_of_integers(made, image.name, kind)
    image_of(made).type.tensor_type.elem_type = TensorProto.FLOAT
    if found is None:
        _cast_input(made, image.name, kind)
    else:
        _make_float(made, found)
    _forget_shapes(made)
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
    found = _region_of_channels_last(made, image.name)
    dims = list(image_of(made).type.tensor_type.shape.dim)
    ordered = [type(dims[0]).FromString(dims[axis].SerializeToString()) for axis in TO_CHANNELS_FIRST]
    del image_of(made).type.tensor_type.shape.dim[:]
    image_of(made).type.tensor_type.shape.dim.extend(ordered)
    if found is None:
        _transpose_input(made, image.name)
    else:
        _make_channels_first(made, found)
    _forget_shapes(made)
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


@dataclass(kw_only=True)
class _Region:
    """The part of a graph that handles the image before its first layer.

    Attributes:
        tensors: Its tensors.
        ends: The nodes at its end, which disappear.
        nodes: The nodes in it, which are rewritten.
    """

    tensors: set[str]
    ends: list[onnx.NodeProto]
    nodes: list[onnx.NodeProto]


def _region_of_integers(model: onnx.ModelProto, name: str, kind: str) -> _Region | None:
    """Follow integers from the input to the Casts that end them; None where something else computes with them."""
    graph = graph_of(model)
    found, kinds, ended = _Region(tensors={name}, ends=[], nodes=[]), {name: kind}, False
    for node, tensor in _readers_in_order(graph, found):
        if node.op_type == "Cast":
            target = _cast_target(node)
            if target in FLOATS:
                found.ends += [node] if target == "FLOAT" else []  # a Cast to another float takes float32 as well
                ended = True
                continue
            if target not in INTEGERS:
                return None
            kinds[node.output[0]] = target
        elif node.op_type in MOVING and node.input[0] == tensor:
            kinds |= dict.fromkeys(node.output, kinds[tensor])
        elif node.op_type in ARITHMETIC and kinds[tensor] in WIDE and _other(graph, node, tensor) is not None:
            kinds[node.output[0]] = kinds[tensor]
        else:
            return None
        found.nodes.append(node)
        found.tensors.update(node.output)
    return None if found.tensors & set(graph.outputs) or not ended else found


def _region_of_channels_last(model: onnx.ModelProto, name: str) -> _Region | None:
    """Follow an image [N, H, W, 3] from the input to the Transposes that end its layout; None where there is more."""
    graph = graph_of(model)
    found = _Region(tensors={name}, ends=[], nodes=[])
    for node, tensor in _readers_in_order(graph, found):
        if node.op_type == "Transpose":
            if tuple(_ints(node, "perm")) != TO_CHANNELS_FIRST:
                return None
            found.ends.append(node)
            continue
        constants = [name for name in node.input if name and name != tensor]
        if not all(name in graph.constants for name in constants):
            return None
        if node.op_type in ELEMENTWISE:
            if any(len(graph.constants[name].dims) > 4 for name in constants):
                return None
        elif node.op_type == "Pad":
            if len(node.input) not in (2, 3):
                return None
        elif node.op_type in ("Gather", "Split") and node.input[0] == tensor:
            if node.op_type == "Gather" and len(graph.constants[node.input[1]].dims) != 1:
                return None
        elif node.op_type == "Slice" and len(node.input) > 3 and node.input[3]:
            pass
        else:
            return None
        found.nodes.append(node)
        found.tensors.update(node.output)
    return None if found.tensors & set(graph.outputs) or not found.ends else found


def _readers_in_order(graph: Graph, found: _Region) -> Iterator[tuple[onnx.NodeProto, str]]:
    """Yield each node that reads a tensor of a growing region, with that tensor. A Shape does not read values."""
    for node in graph.nodes:
        read = [name for name in node.input if name in found.tensors]
        if not read and not _inner_reads(graph, node, found.tensors):
            continue
        yield node, read[0] if read else ""


def _inner_reads(graph: Graph, node: onnx.NodeProto, tensors: set[str]) -> bool:
    """Whether a body of the node (If, Loop, Scan) reads one of the tensors."""
    return any((node, -1) in graph.readers.get(tensor, []) for tensor in tensors)


def _other(graph: Graph, node: onnx.NodeProto, tensor: str) -> str | None:
    """Return the constant that a node with two inputs combines a tensor with."""
    others = [name for name in node.input if name != tensor]
    return others[0] if len(others) == 1 and others[0] in graph.constants else None


def _cast_target(node: onnx.NodeProto) -> str:
    from onnx import TensorProto

    return str(TensorProto.DataType.Name(next(item.i for item in node.attribute if item.name == "to")))


def _ints(node: onnx.NodeProto, name: str) -> list[int]:
    return next((list(item.ints) for item in node.attribute if item.name == name), [])


def _make_float(model: onnx.ModelProto, found: _Region) -> None:
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
    _without(model, gone)


def _make_channels_first(model: onnx.ModelProto, found: _Region) -> None:
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
    _without(model, gone)


def _set_axis(node: onnx.NodeProto) -> None:
    from onnx import helper

    axis = next((item.i for item in node.attribute if item.name == "axis"), 0)
    kept = [item for item in node.attribute if item.name != "axis"]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute("axis", AXIS_FIRST[axis % 4])])


def _without(model: onnx.ModelProto, gone: dict[str, str]) -> None:
    """Remove the nodes that make the tensors `gone`, in place; others read what they were made from."""
    kept = [node for node in model.graph.node if not (node.output and node.output[0] in gone)]
    for node in kept:
        rename_reads(node, gone)
    replace_nodes(model, kept)
    drop_unused_constants(model)


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


def _forget_shapes(model: onnx.ModelProto) -> None:
    """Remove the types and shapes of inner tensors, which may be those of the old input, in place."""
    del model.graph.value_info[:]


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
    _without(made, gone)
    _forget_shapes(made)
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
    if node.op_type == "Identity" or (node.op_type == "Cast" and _cast_target(node) == "FLOAT"):
        return factor, summand, False
    if _reverses(graph, node, tensor):
        return factor[::-1], summand[::-1], True
    constant = _other(graph, node, tensor) if node.op_type in (*ARITHMETIC, "Div") else None
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
