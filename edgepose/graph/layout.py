"""Tell the layout of an image input that the file does not state, from the nodes that read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgepose.graph.lookup import copied, graph_of

if TYPE_CHECKING:
    import onnx

# What may stand between the image and the first layer without changing the order of its axes
ELEMENTWISE = ("Add", "BatchNormalization", "Cast", "Clip", "Div", "Identity", "Mul", "Pad", "Sub")
CHANNELS = 3
CHANNEL_AXIS = {"nchw": 1, "nhwc": 3}


def layout_by_readers(model: onnx.ModelProto, name: str) -> str | None:
    """Tell the layout of an input from the first convolution or Transpose that reads it.

    Args:
        model: The graph.
        name: The input.

    Returns:
        'nchw' or 'nhwc'; None where neither can be told.
    """
    graph = graph_of(model)
    waiting, seen = [name], {name}
    while waiting:
        tensor = waiting.pop(0)
        for node, index in graph.readers.get(tensor, []):
            if node.op_type == "Conv" and index == 0 and node.input[1] in graph.constants:
                return "nchw"
            if node.op_type == "Transpose":
                order = next((list(item.ints) for item in node.attribute if item.name == "perm"), [])
                return {(0, 3, 1, 2): "nhwc"}.get(tuple(order))
            if node.op_type in ELEMENTWISE and node.output[0] not in seen:
                seen.add(node.output[0])
                waiting.append(node.output[0])
    return None


def with_layout(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy whose image input states four axes and the 3 channels, where the file leaves them open.

    Args:
        model: The graph; it is returned as it is where it states them, or where its nodes do not tell them.
    """
    names = graph_of(model).inputs
    values = [value for value in model.graph.input if value.name in names]
    if len(values) != 1:
        return model
    axes = [axis.dim_value for axis in values[0].type.tensor_type.shape.dim]
    if len(axes) not in (0, 4) or (axes and CHANNELS in (axes[1], axes[3])):
        return model
    layout = layout_by_readers(model, values[0].name)
    if layout is None or (axes and axes[CHANNEL_AXIS[layout]]):
        return model
    made = copied(model)
    dims = next(value for value in made.graph.input if value.name == values[0].name).type.tensor_type.shape.dim
    for _ in range(4 - len(axes)):
        dims.add()
    dims[CHANNEL_AXIS[layout]].dim_value = CHANNELS
    return made
