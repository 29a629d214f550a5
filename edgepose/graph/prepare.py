"""Bring any float ONNX to the form that calibration and quantization work on.

A prepared graph has opset 13 or later (for per-channel Q/DQ), initializers that are not inputs, constants as
initializers, a name for every node, and batch normalization folded into the convolution before it. Tensors keep the
names of the source graph, because calibration and quantization refer to tensors by name. Every function here leaves
its model as it is, and applying it twice changes nothing more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose.errors import ModelError
from edgepose.graph.lookup import (
    Graph,
    copied,
    default_opset,
    drop_unused_constants,
    graph_of,
    refuse_quantized,
    replace_nodes,
)

if TYPE_CHECKING:
    import onnx

RESIZE_WITH_RULE = 11  # the first opset whose Resize says how it places pixels
OPSET = 13  # the first with per-channel QuantizeLinear and DequantizeLinear


def prepare(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the prepared copy of a model.

    Raises:
        ModelError: The graph is quantized already, or cannot be converted to opset 13.
    """
    refuse_quantized(model)
    model = constants_leave_inputs(model)
    model = upgrade_opset(model)
    model = constants_to_initializers(model)
    return fold_batch_norm(name_nodes(model))


def constants_leave_inputs(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove initializers from the graph's inputs. IR version 3 lists them there, which forbids folding them."""
    constants = {tensor.name for tensor in model.graph.initializer}
    if not constants.intersection(value.name for value in model.graph.input):
        return model
    model = copied(model)
    kept = [value for value in model.graph.input if value.name not in constants]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.ir_version = max(model.ir_version, 4)
    return model


def upgrade_opset(model: onnx.ModelProto, opset: int = OPSET) -> onnx.ModelProto:
    """Convert a graph with an older opset to the given one.

    Raises:
        ModelError: The graph cannot be converted.
    """
    if default_opset(model) >= opset:
        return model
    from onnx import version_converter

    properties = [(prop.key, prop.value) for prop in model.metadata_props]
    old = default_opset(model) < RESIZE_WITH_RULE
    try:
        upgraded = version_converter.convert_version(model, opset)
    except (RuntimeError, ValueError) as error:
        raise ModelError(
            f"opset {default_opset(model)} cannot be brought to {opset}, which quantization needs "
            f"({error}); export the network again with opset {opset} or later"
        ) from error
    upgraded.ir_version = max(upgraded.ir_version, 7)
    if old:
        _keep_old_rule(upgraded)
    del upgraded.metadata_props[:]
    for key, value in properties:
        upgraded.metadata_props.add(key=key, value=value)
    return upgraded


def _keep_old_rule(model: onnx.ModelProto) -> None:
    """Let Resize nodes that came from Upsample or Resize-10 place pixels as those did, in place.

    The converter leaves out the coordinate rule, and the default of the newer operator is another one. ONNX Runtime
    takes the pixel before in nearest mode, and the pixel behind when it makes the image smaller.
    """
    from onnx import helper, numpy_helper

    graph = graph_of(model)
    for node in model.graph.node:
        if node.op_type != "Resize":
            continue
        kept = [item for item in node.attribute if item.name not in ("coordinate_transformation_mode", "nearest_mode")]
        del node.attribute[:]
        node.attribute.extend(kept)
        scales = _constant_of(graph, node.input[2]) if len(node.input) > 2 else None
        smaller = scales is not None and bool((numpy_helper.to_array(scales) < 1).any())
        node.attribute.append(helper.make_attribute("coordinate_transformation_mode", "asymmetric"))
        node.attribute.append(helper.make_attribute("nearest_mode", "ceil" if smaller else "floor"))


def _constant_of(graph: Graph, name: str) -> onnx.TensorProto | None:
    """Return the value of an initializer or of a Constant node."""
    node = graph.producer.get(name)
    if node is not None and node.op_type == "Constant":
        return next((item.t for item in node.attribute if item.name == "value"), None)
    return graph.constants.get(name)


def constants_to_initializers(model: onnx.ModelProto) -> onnx.ModelProto:
    """Turn Constant nodes into initializers, and Identity of a constant too, by which exporters share a weight."""
    model = copied(model)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    kept = []
    for node in model.graph.node:
        value = _constant_value(node, constants)
        if value is None or node.output[0] in {output.name for output in model.graph.output}:
            kept.append(node)
            continue
        value.name = node.output[0]
        constants[value.name] = value
        model.graph.initializer.append(value)
    replace_nodes(model, kept)
    drop_unused_constants(model)
    return model


def _constant_value(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> onnx.TensorProto | None:
    from onnx import TensorProto, numpy_helper

    made = TensorProto()
    if node.op_type == "Identity" and node.input[0] in constants:
        made.CopyFrom(constants[node.input[0]])
        return made
    if node.op_type != "Constant" or len(node.attribute) != 1:
        return None
    attribute = node.attribute[0]
    if attribute.name == "value":
        made.CopyFrom(attribute.t)
        return made
    values: dict[str, Array] = {
        "value_float": np.array(attribute.f, np.float32),
        "value_floats": np.array(attribute.floats, np.float32),
        "value_int": np.array(attribute.i, np.int64),
        "value_ints": np.array(attribute.ints, np.int64),
    }
    return numpy_helper.from_array(values[attribute.name]) if attribute.name in values else None


def name_nodes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Give every node a unique name. A node without one is named after its operator and first output."""
    model = copied(model)
    given = {node.name for node in model.graph.node}
    taken: set[str] = set()
    for node in model.graph.node:
        name = node.name or f"{node.op_type}__{node.output[0]}"
        if name in taken or (name in given and not node.name):
            name = f"{name}__{node.output[0]}"
            while name in taken or name in given:
                name += "_"
        node.name = name
        taken.add(name)
    return model


def fold_batch_norm(model: onnx.ModelProto) -> onnx.ModelProto:
    """Fold each BatchNormalization that follows a Conv or ConvTranspose into its weight and bias."""
    model = copied(model)
    graph = graph_of(model)
    folded: set[str] = set()
    for norm in graph.nodes:
        conv = _foldable(graph, norm)
        if conv is not None:
            _fold(model, graph, conv, norm)
            folded.add(norm.name)
    replace_nodes(model, [node for node in model.graph.node if node.name not in folded])
    drop_unused_constants(model)
    return model


def _foldable(graph: Graph, norm: onnx.NodeProto) -> onnx.NodeProto | None:
    """Return the convolution that `norm` can be folded into, or None."""
    if norm.op_type != "BatchNormalization" or len([name for name in norm.output if name]) != 1:
        return None
    conv = graph.producer.get(norm.input[0])
    if conv is None or conv.op_type not in ("Conv", "ConvTranspose"):
        return None
    needed = [name for name in (*norm.input[1:5], *conv.input[1:]) if name]
    alone = graph.only_reader(conv.output[0]) is norm
    if not alone or not all(name in graph.constants for name in needed):
        return None
    # a negative variance is left in the graph, which then computes NaN as its file does
    variance = array_of(graph, norm.input[4]).astype(np.float64) + attribute(norm, "epsilon", 1e-5)
    return conv if (variance > 0).all() else None


def _fold(model: onnx.ModelProto, graph: Graph, conv: onnx.NodeProto, norm: onnx.NodeProto) -> None:
    from onnx import numpy_helper

    gamma, beta, mean, variance = (array_of(graph, name).astype(np.float64) for name in norm.input[1:5])
    weight = array_of(graph, conv.input[1])
    bias = array_of(graph, conv.input[2]) if len(conv.input) > 2 and conv.input[2] else np.zeros_like(mean)
    factor = gamma / np.sqrt(variance + attribute(norm, "epsilon", 1e-5))
    new_weight = weight * _along_outputs(conv, factor, weight.shape)
    new_bias = (bias - mean) * factor + beta
    names = [f"{norm.output[0]}__folded_{part}" for part in ("weight", "bias")]
    for name, value in zip(names, (new_weight, new_bias), strict=True):
        model.graph.initializer.append(numpy_helper.from_array(value.astype(weight.dtype), name))
    inputs = [conv.input[0], *names]
    del conv.input[:]
    conv.input.extend(inputs)
    conv.output[0] = norm.output[0]


def _along_outputs(conv: onnx.NodeProto, factor: Array, shape: tuple[int, ...]) -> Array:
    """Reshape `factor` [C_out] to multiply the weight. A ConvTranspose has C_out / group entries on axis 1."""
    if conv.op_type == "Conv":
        return factor.reshape(-1, *[1] * (len(shape) - 1))
    groups = int(attribute(conv, "group", 1))
    per_input = np.repeat(factor.reshape(groups, -1), shape[0] // groups, axis=0)
    return per_input.reshape(*shape[:2], *[1] * (len(shape) - 2))


def array_of(graph: Graph, name: str) -> Array:
    """Return the value of an initializer."""
    from onnx import numpy_helper

    return numpy_helper.to_array(graph.constants[name])


def attribute(node: onnx.NodeProto, name: str, default: float) -> float:
    """Return a numeric attribute of a node, or `default` where the node has none."""
    for item in node.attribute:
        if item.name == name:
            return float(item.f if item.type == item.FLOAT else item.i)
    return default
