"""Outputs of networks that find everyone in an image, rewritten to those that the grouping codecs decode.

Each function returns a changed copy of a graph whose outputs are float maps [N, C, h, w]. Only nodes that every version
of the operator set has are added, except for `with_tags`, which needs version 11 for its Resize.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgepose.errors import ModelError
from edgepose.graph.lookup import copied, default_opset, graph_of
from edgepose.graph.newnames import NewNames

if TYPE_CHECKING:
    import onnx

PASSED = ("Transpose", "Reshape", "Identity", "Cast", "Squeeze", "Unsqueeze")  # operators that keep values as they are
RESIZE = 11  # the operator set from which on Resize knows half-pixel centers


def split_channels(model: onnx.ModelProto, output: str, parts: Mapping[str, int]) -> onnx.ModelProto:
    """Split one output of maps into several.

    Args:
        model: The graph.
        output: The output, [N, C, h, w].
        parts: The name of each new output and how many channels it has, in their order in `output`.

    Returns:
        A copy whose only outputs are the parts.
    """
    made, names = copied(model), NewNames(model)
    found, start = [], 0
    for name, count in parts.items():
        found.append(_renamed(made, names, _slice(made, names, output, start, start + count), name))
        start += count
    return _with_outputs(made, found, _kind(model, output))


def channels_first(model: onnx.ModelProto, outputs: Sequence[str]) -> onnx.ModelProto:
    """Turn outputs [N, h, w, C] to [N, C, h, w].

    Args:
        model: The graph.
        outputs: The outputs that are turned and stay; others are dropped.
    """
    made, names = copied(model), NewNames(model)
    turned = [
        _renamed(made, names, _node(made, names, "Transpose", [output], perm=[0, 3, 1, 2]), f"{output}_channels_first")
        for output in outputs
    ]
    return _with_outputs(made, turned, _kind(model, outputs[0]))


def probabilities(model: onnx.ModelProto, output: str) -> onnx.ModelProto:
    """Put a Sigmoid behind an output of logits, which then ends in "_probability" and keeps its place.

    Args:
        model: The graph.
        output: The output.
    """
    made, names = copied(model), NewNames(model)
    name = _renamed(made, names, _node(made, names, "Sigmoid", [output]), f"{output}_probability")
    outputs = [name if value.name == output else value.name for value in model.graph.output]
    return _with_outputs(made, outputs, _kind(model, output))


def ends_in_sigmoid(model: onnx.ModelProto, output: str) -> bool:
    """Whether an output comes from a Sigmoid, with nothing behind it that changes values.

    Args:
        model: The graph.
        output: The output.
    """
    producer = graph_of(model).producer
    node = producer.get(output)
    while node is not None and node.op_type in PASSED:
        node = producer.get(node.input[0])
    return node is not None and node.op_type == "Sigmoid"


def with_tags(model: onnx.ModelProto, low: str, high: str, joints: int, tags: int) -> onnx.ModelProto:
    """Return the mean of joint maps at two resolutions, and tag maps, all at the higher resolution.

    HigherHRNet (Cheng et al., CVPR 2020) upsamples the maps and tags of its lower resolution bilinearly and averages
    the maps, outside the graph.

    Args:
        model: The graph.
        low: The output [N, K + T, h, w], joint maps before tag maps.
        high: The output [N, K, 2h, 2w] of joint maps.
        joints: The number of joints, K.
        tags: The number of tag maps: K, or 1 that all joints share.

    Returns:
        A copy with the outputs "heatmaps" and "tags", [N, K, 2h, 2w] each.

    Raises:
        ModelError: If the operator set of the graph is older than 11.
    """
    if default_opset(model) < RESIZE:
        raise ModelError(
            f"the network has opset {default_opset(model)}, which has no bilinear Resize for the two resolutions of "
            f"its outputs; export it with opset {RESIZE} or later"
        )
    made, names = copied(model), NewNames(model)
    scales = _constant(made, names, "scales", np.array([1, 1, 2, 2], np.float32))
    modes = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    larger = _node(made, names, "Resize", [low, "", scales], **modes)
    both = _node(made, names, "Add", [_slice(made, names, larger, 0, joints), high])
    element = _kind(model, high)
    half = _constant(made, names, "half", np.array(0.5, _dtype(element)))
    maps = _renamed(made, names, _node(made, names, "Mul", [both, half]), "heatmaps")
    tag_maps = _slice(made, names, larger, joints, joints + tags)
    return _with_outputs(
        made, [maps, _renamed(made, names, _repeated(made, names, tag_maps, tags, joints), "tags")], element
    )


def maps_and_tags(model: onnx.ModelProto, output: str, joints: int, tags: int) -> onnx.ModelProto:
    """Split one output into joint maps and tag maps.

    Args:
        model: The graph.
        output: The output [N, K + T, h, w], joint maps before tag maps.
        joints: The number of joints, K.
        tags: The number of tag maps: K, or 1 that all joints share.

    Returns:
        A copy with the outputs "heatmaps" and "tags", [N, K, h, w] each.
    """
    made, names = copied(model), NewNames(model)
    maps = _renamed(made, names, _slice(made, names, output, 0, joints), "heatmaps")
    tag_maps = _slice(made, names, output, joints, joints + tags)
    repeated = _renamed(made, names, _repeated(made, names, tag_maps, tags, joints), "tags")
    return _with_outputs(made, [maps, repeated], _kind(model, output))


def _repeated(made: onnx.ModelProto, names: NewNames, tensor: str, count: int, wanted: int) -> str:
    return tensor if count == wanted else _node(made, names, "Concat", [tensor] * wanted, axis=1)


def _slice(made: onnx.ModelProto, names: NewNames, tensor: str, start: int, end: int) -> str:
    if default_opset(made) < 10:
        return _node(made, names, "Slice", [tensor], starts=[start], ends=[end], axes=[1])
    bounds = [
        _constant(made, names, name, np.array([value], np.int64))
        for name, value in (("start", start), ("end", end), ("axis", 1))
    ]
    return _node(made, names, "Slice", [tensor, *bounds])


def _node(made: onnx.ModelProto, names: NewNames, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
    from onnx import helper

    output = names.new(f"edgepose/{kind}")
    made.graph.node.append(helper.make_node(kind, list(inputs), [output], names.new(f"{output}/node"), **attributes))
    return output


def _constant(made: onnx.ModelProto, names: NewNames, name: str, value: Any) -> str:
    from onnx import numpy_helper

    new = names.new(f"edgepose/{name}")
    made.graph.initializer.append(numpy_helper.from_array(value, new))
    return new


def _renamed(made: onnx.ModelProto, names: NewNames, tensor: str, name: str) -> str:
    """The tensor, which the last node of the graph gives or an earlier one, under another name."""
    from onnx import helper

    output = names.new(name)
    made.graph.node.append(helper.make_node("Identity", [tensor], [output], names.new(f"edgepose/{name}/node")))
    return output


def _kind(model: onnx.ModelProto, output: str) -> int:
    return next(int(value.type.tensor_type.elem_type) for value in model.graph.output if value.name == output)


def _dtype(element: int) -> Any:
    from onnx import helper

    return helper.tensor_dtype_to_np_dtype(element)


def _with_outputs(made: onnx.ModelProto, outputs: Sequence[str], element: int) -> onnx.ModelProto:
    from onnx import helper

    kept = {value.name: value for value in made.graph.output}
    free = [None] * 4
    values = [kept.get(name) or helper.make_tensor_value_info(name, element, free) for name in outputs]
    copies = [type(value).FromString(value.SerializeToString()) for value in values]
    del made.graph.output[:]
    made.graph.output.extend(copies)
    return made
