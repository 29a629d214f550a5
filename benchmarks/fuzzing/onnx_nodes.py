"""Damage to the nodes of an ONNX graph, and nodes that must not change its results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fuzzing.damage import Random, pick

OPS = (
    "Conv", "Relu", "Add", "Mul", "Sub", "Div", "Sqrt", "Log", "Exp", "Identity", "Transpose", "Reshape", "Concat",
    "Softmax", "Cast", "Shape", "If", "Loop", "Dropout", "NoSuchOperator", "ReduceMean", "ConvTranspose", "MatMul",
    "TopK", "ArgMax", "Resize", "Upsample", "QuantizeLinear", "Gelu", "Squeeze", "NonZero", "Constant",
)  # fmt: skip
NUMBERS = (0.0, -1.0, 1e-30, 1e-42, 1e5, 1e30, 3e38, float("nan"), float("inf"), -float("inf"))
WHOLE = (0, 1, -1, 2, 3, 7, 1000, 2**31 - 1, 2**31, -(2**31), 2**62, -(2**63))
TYPES = (0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 14, 16, 17, 99)
NAMES = ("", "ünï☃", "a b", "x[0]", "../x", "input", "heatmaps", "n" * 3000, "/stem/Conv_output_0", "\n", "'\"`$(x)")


def _node(model: onnx.ModelProto, random: Random) -> Any:
    return model.graph.node[int(random.integers(len(model.graph.node)))]


def tensor_names(model: onnx.ModelProto) -> list[str]:
    """Return the names of all tensors of a graph."""
    made = [name for node in model.graph.node for name in node.output]
    return [*made, *(tensor.name for tensor in model.graph.initializer), *(port.name for port in model.graph.input)]


def drop_node(model: onnx.ModelProto, random: Random) -> None:
    del model.graph.node[int(random.integers(len(model.graph.node)))]


def double_node(model: onnx.ModelProto, random: Random) -> None:
    at = int(random.integers(len(model.graph.node)))
    model.graph.node.insert(at, model.graph.node[at])


def double_node_renamed(model: onnx.ModelProto, random: Random) -> None:
    at = int(random.integers(len(model.graph.node)))
    copy = onnx.NodeProto()
    copy.CopyFrom(model.graph.node[at])
    copy.output[0] += "__again"
    model.graph.node.insert(at, copy)  # which nothing reads


def rename_node(model: onnx.ModelProto, random: Random) -> None:
    _node(model, random).name = pick(random, [*NAMES, _node(model, random).name])


def rename_tensor(model: onnx.ModelProto, random: Random) -> None:
    """Rename a tensor everywhere, which changes nothing unless the new name is taken."""
    old, new = pick(random, tensor_names(model)), pick(random, [*NAMES, "fresh", "fresh"])
    for node in model.graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                if name == old:
                    names[i] = new
    for entry in (*model.graph.input, *model.graph.output, *model.graph.initializer, *model.graph.value_info):
        if entry.name == old:
            entry.name = new


def rename_once(model: onnx.ModelProto, random: Random) -> None:
    node = _node(model, random)
    names = pick(random, [names for names in (node.input, node.output) if names] or [node.output])
    if names:
        names[int(random.integers(len(names)))] = pick(random, NAMES)


def rewire(model: onnx.ModelProto, random: Random) -> None:
    node = _node(model, random)
    if node.input:
        node.input[int(random.integers(len(node.input)))] = pick(random, tensor_names(model))


def swap_inputs(model: onnx.ModelProto, random: Random) -> None:
    node = _node(model, random)
    if len(node.input) > 1:
        node.input[0], node.input[1] = node.input[1], node.input[0]


def change_input_count(model: onnx.ModelProto, random: Random) -> None:
    node = _node(model, random)
    if node.input and random.random() < 0.5:
        del node.input[int(random.integers(len(node.input))) :]
    else:
        node.input.extend([pick(random, tensor_names(model))] * int(pick(random, [1, 2, 10])))


def change_output_count(model: onnx.ModelProto, random: Random) -> None:
    node = _node(model, random)
    if random.random() < 0.3:
        del node.output[:]
    else:
        node.output.append(pick(random, ["", "extra", *tensor_names(model)]))


def change_operator(model: onnx.ModelProto, random: Random) -> None:
    _node(model, random).op_type = pick(random, OPS)


def change_domain(model: onnx.ModelProto, random: Random) -> None:
    domain = pick(random, ["my.domain", "com.microsoft", "ai.onnx", "ai.onnx.ml", "ü"])
    _node(model, random).domain = domain
    if random.random() < 0.5:
        model.opset_import.append(helper.make_opsetid(domain, int(pick(random, [1, 2, 17]))))


def reorder(model: onnx.ModelProto, random: Random) -> None:
    nodes = [model.graph.node[i] for i in random.permutation(len(model.graph.node))]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def drop_attribute(model: onnx.ModelProto, random: Random) -> None:
    node = pick(random, [node for node in model.graph.node if node.attribute] or [_node(model, random)])
    if node.attribute:
        del node.attribute[int(random.integers(len(node.attribute)))]


def change_attribute(model: onnx.ModelProto, random: Random) -> None:
    node = pick(random, [node for node in model.graph.node if node.attribute] or [_node(model, random)])
    if not node.attribute:
        return
    item = node.attribute[int(random.integers(len(node.attribute)))]
    if item.ints:
        item.ints[int(random.integers(len(item.ints)))] = pick(random, WHOLE)
    elif item.type == item.FLOAT:
        item.f = pick(random, NUMBERS)
    elif item.type == item.STRING:
        item.s = pick(random, [b"", b"linear", b"cubic", b"nearest", b"asymmetric", b"align_corners", b"\xff\xfe"])
    else:
        item.i = pick(random, WHOLE)


def change_attribute_list(model: onnx.ModelProto, random: Random) -> None:
    found = [item for node in model.graph.node for item in node.attribute if item.ints]
    if found:
        item = pick(random, found)
        if random.random() < 0.5:
            item.ints.append(pick(random, WHOLE))
        else:
            del item.ints[-1]


def change_attribute_type(model: onnx.ModelProto, random: Random) -> None:
    found = [item for node in model.graph.node for item in node.attribute]
    if found:
        pick(random, found).type = pick(random, [0, 1, 2, 3, 4, 5, 6, 7, 8])


def add_attribute(model: onnx.ModelProto, random: Random) -> None:
    name = pick(random, ["axis", "group", "auto_pad", "dilations", "alpha", "unknown", "antialias", "output_padding"])
    value = pick(random, [0, 2, 1.5, "SAME_UPPER", "SAME_LOWER", "VALID", [2, 2], [1]])
    _node(model, random).attribute.append(helper.make_attribute(name, value))


def _insert_behind(model: onnx.ModelProto, random: Random, make: Callable[[str, str], list[Any]]) -> None:
    """Insert nodes from a tensor to a new name, behind the node that computes it."""
    at = int(random.integers(len(model.graph.node)))
    node = model.graph.node[at]
    if not node.output:
        return
    name = node.output[0]
    node.output[0] = f"{name}.before"
    for made in reversed(make(f"{name}.before", name)):
        model.graph.node.insert(at + 1, made)


def insert_node(model: onnx.ModelProto, random: Random) -> None:
    """Insert a node that changes nothing, or one that does."""
    op = pick(random, ["Identity", "Identity", "Dropout", "Neg", "Abs", "Sqrt", "Log", "Softmax", "Flatten", "Mish"])
    _insert_behind(model, random, lambda before, name: [helper.make_node(op, [before], [name])])


def through_half(model: onnx.ModelProto, random: Random) -> None:
    """Cast a tensor to half precision and back."""
    half = pick(random, [TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16])

    def make(before: str, name: str) -> list[Any]:
        return [
            helper.make_node("Cast", [before], [f"{name}.cast"], to=half),
            helper.make_node("Cast", [f"{name}.cast"], [name], to=TensorProto.FLOAT),
        ]

    _insert_behind(model, random, make)


def in_branch(model: onnx.ModelProto, random: Random) -> None:
    """Put an If with a constant condition behind a node; its other branch negates."""
    truth = bool(random.integers(2))
    model.graph.initializer.append(numpy_helper.from_array(np.array(truth), "condition"))

    def branch(op: str, before: str) -> onnx.GraphProto:
        port = helper.make_tensor_value_info(f"{op}.out", TensorProto.FLOAT, None)
        return helper.make_graph([helper.make_node(op, [before], [f"{op}.out"])], op, [], [port])

    def make(before: str, name: str) -> list[Any]:
        both = {"then_branch": branch("Identity", before), "else_branch": branch("Neg", before)}
        return [helper.make_node("If", ["condition"], [name], **both)]

    _insert_behind(model, random, make)


def in_function(model: onnx.ModelProto, random: Random) -> None:
    """Put a local function behind a node."""
    body = [helper.make_node("Relu", ["x"], ["t"]), helper.make_node("Neg", ["t"], ["y"])]
    opset = model.opset_import[0].version if model.opset_import else 17
    function = helper.make_function("local", "fold", ["x"], ["y"], body, [helper.make_opsetid("", opset)])
    model.functions.append(function)
    if random.random() < 0.8:
        model.opset_import.append(helper.make_opsetid("local", 1))
    _insert_behind(model, random, lambda before, name: [helper.make_node("fold", [before], [name], domain="local")])


def spread_channels(model: onnx.ModelProto, random: Random) -> None:
    """Scale the channels of a tensor very differently, which quantization by tensor cannot represent."""
    factor = np.array(pick(random, [1e-3, 1e3, 1e5]), np.float32)
    model.graph.initializer.append(numpy_helper.from_array(factor, "spread"))
    _insert_behind(model, random, lambda before, name: [helper.make_node("Mul", [before, "spread"], [name])])
