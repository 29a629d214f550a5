"""Small graphs as other exporters write them: each function returns a network with one oddity in its middle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nets
import numpy as np
import onnx
from nets import Net
from onnx import TensorProto, helper, numpy_helper

Middle = Callable[[Net, str], str]
GRAPHS: dict[str, Callable[[], onnx.ModelProto]] = {}
INT64 = np.int64


def graph(make: Callable[[], onnx.ModelProto]) -> Callable[[], onnx.ModelProto]:
    GRAPHS[make.__name__] = make
    return make


def network(
    middle: Middle,
    *,
    opset: int = 17,
    ir: int = 8,
    shape: Any = ("batch", 3, *nets.SIZE),
    domains: tuple[str, ...] = (),
) -> onnx.ModelProto:
    """Two convolutions, the middle on [N, 16, 8, 6], two convolutions."""
    net = Net()
    x = net.op("Relu", [net.conv("input", "stem", 3, 16, 3, 2)], "stem_relu")
    x = net.op("Relu", [net.conv(x, "second", 16, 16, 3, 2)], "second_relu")
    x = middle(net, x)
    net.conv(net.op("Relu", [net.conv(x, "third", 16, 16, 3)], "third_relu"), "heatmaps", 16, 14)
    made = helper.make_graph(
        net.nodes,
        "net",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, list(shape))],
        [value("heatmaps")],
        net.constants,
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(name, 1) for name in domains)]
    return helper.make_model(made, opset_imports=imports, ir_version=ir)


def value(name: str, kind: int = TensorProto.FLOAT, shape: Any = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def body(nodes: list[onnx.NodeProto], results: list[str], inputs: tuple[onnx.ValueInfoProto, ...] = ()) -> Any:
    return helper.make_graph(nodes, "body", list(inputs), [value(name) for name in results])


def ints(net: Net, name: str, *values: int) -> str:
    return net.constant(name, np.array(values, INT64))


def length(net: Net, x: str, axis: int) -> str:
    """The length of an axis, as exporters read it."""
    shape = net.op("Shape", [x], f"shape{axis}")
    return net.op("Gather", [shape, net.constant(f"axis{axis}", np.array(axis, INT64))], f"length{axis}")


def conv_by(net: Net, x: str, weight: str) -> str:
    return net.op("Conv", [x, weight], "odd", pads=[1] * 4)


@graph
def weight_norm() -> onnx.ModelProto:
    def middle(net: Net, x: str) -> str:
        norm = net.op("ReduceL2", [net.weights("v", 16, 16, 3, 3)], "norm", axes=[1, 2, 3], keepdims=1)
        gain = net.constant("gain", np.full((16, 1, 1, 1), 1.5, np.float32))
        return conv_by(net, x, net.op("Mul", [net.op("Div", ["v", norm], "unit"), gain], "weight"))

    return network(middle)


@graph
def weight_behind_reshape() -> onnx.ModelProto:
    def middle(net: Net, x: str) -> str:
        flat = net.op("Squeeze", [net.weights("v", 1, 16, 144), ints(net, "first", 0)], "flat")
        return conv_by(net, x, net.op("Reshape", [flat, ints(net, "to", 16, 16, 3, 3)], "weight"))

    return network(middle)


@graph
def weight_of_a_product() -> onnx.ModelProto:
    def middle(net: Net, x: str) -> str:
        names = [net.weights("a", 16, 4), net.weights("b", 4, 16, 3, 3)]
        zeros = net.op("ConstantOfShape", [ints(net, "to", 16, 16, 3, 3)], "zeros")
        product = net.op("Einsum", names, "product", equation="ij,jklm->iklm")
        return conv_by(net, x, net.op("Add", [zeros, product], "weight"))

    return network(middle)


@graph
def weight_behind_dequantize() -> onnx.ModelProto:
    def middle(net: Net, x: str) -> str:
        whole = np.random.default_rng(0).integers(-100, 100, (16, 16, 3, 3)).astype(np.int8)
        names = [net.constant("q", whole), net.constant("s", np.full(16, 1e-3, np.float32))]
        zero = net.constant("z", np.zeros(16, np.int8))
        return conv_by(net, x, net.op("DequantizeLinear", [*names, zero], "weight", axis=0))

    return network(middle)


@graph
def weight_sparse() -> onnx.ModelProto:
    model = network(lambda net, x: conv_by(net, x, "weight"))
    values = numpy_helper.from_array(np.array([0.5, 0.25], np.float32), "weight")
    places = numpy_helper.from_array(np.array([0, 500], INT64), "places")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [16, 16, 3, 3]))
    return model


@graph
def nested_if() -> onnx.ModelProto:
    def middle(net: Net, x: str) -> str:
        is_eight = net.op("Equal", [length(net, x, 2), net.constant("eight", np.array(8, INT64))], "is_eight")
        net.constant("two", np.float32(2))
        inner = [
            helper.make_node("Shape", [x], ["inner_shape"]),
            helper.make_node("Gather", ["inner_shape", "axis2"], ["i"]),
        ]
        decide = helper.make_node("Less", ["i", "eight"], ["less"])
        double = body([helper.make_node("Mul", [x, "two"], ["doubled"])], ["doubled"])
        negative = body([helper.make_node("Neg", [x], ["negated"])], ["negated"])
        choose = helper.make_node("If", ["less"], ["chosen"], then_branch=negative, else_branch=double)
        then = body([*inner, decide, choose, helper.make_node("Relu", ["chosen"], ["result"])], ["result"])
        other = body([helper.make_node("Identity", [x], ["result"])], ["result"])
        return net.op("If", [is_eight], "if", then_branch=then, else_branch=other)

    return network(middle)


@graph
def if_by_batch_size() -> onnx.ModelProto:
    def middle(net: Net, x: str) -> str:
        alone = net.op("Equal", [length(net, x, 0), net.constant("one", np.array(1, INT64))], "alone")
        then = body([helper.make_node("Relu", [x], ["kept"])], ["kept"])
        other = body([helper.make_node("Neg", [x], ["negated"])], ["negated"])
        return net.op("If", [alone], "if", then_branch=then, else_branch=other)

    return network(middle)


@graph
def if_by_the_image() -> onnx.ModelProto:
    def middle(net: Net, x: str) -> str:
        mean = net.op("ReduceMean", [x], "mean", keepdims=0)
        bright = net.op("Greater", [mean, net.constant("nothing", np.float32(0))], "bright")
        net.weights("inside", 16, 16, 1, 1)  # read in the branch only
        then = body([helper.make_node("Conv", [x, "inside"], ["made"])], ["made"])
        other = body([helper.make_node("Neg", [x], ["negated"])], ["negated"])
        return net.op("If", [bright], "if", then_branch=then, else_branch=other)

    return network(middle)


def loop_body(nodes: list[onnx.NodeProto], results: list[str]) -> Any:
    inputs = (value("round", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("state"))
    made = body([helper.make_node("Identity", ["go"], ["goes_on"]), *nodes], ["goes_on", *results], inputs)
    made.output[0].type.tensor_type.elem_type = TensorProto.BOOL
    return made


@graph
def loop_with_outer_weight_and_collected_values() -> onnx.ModelProto:
    def middle(net: Net, x: str) -> str:
        net.constant("rounds", np.array(3, INT64)), net.constant("true", np.array(True)), net.weights("w", 16, 16, 3, 3)
        step = [
            helper.make_node("Cast", ["round"], ["number"], to=TensorProto.FLOAT),
            helper.make_node("Conv", ["state", "w"], ["more"], pads=[1] * 4),
            helper.make_node("Add", ["more", "number"], ["next"]),
            helper.make_node("ReduceMean", ["next"], ["mean"], axes=[1, 2, 3], keepdims=0),
        ]
        inner = loop_body(step, ["next", "mean"])
        net.nodes.append(helper.make_node("Loop", ["rounds", "true", x], ["last", "means"], "loop", body=inner))
        return net.op("Add", ["last", net.op("ReduceSum", ["means"], "total", keepdims=0)], "sum")

    return network(middle, shape=(1, 3, *nets.SIZE))


@graph
def loop_by_the_image() -> onnx.ModelProto:
    def middle(net: Net, x: str) -> str:
        mean = net.op("Cast", [net.op("ReduceMean", [x], "mean", keepdims=0)], "whole", to=TensorProto.INT64)
        rounds = net.op("Add", [mean, net.constant("two", np.array(2, INT64))], "rounds")
        net.constant("true", np.array(True)), net.constant("half", np.float32(0.5))
        inner = loop_body([helper.make_node("Mul", ["state", "half"], ["next"])], ["next"])
        return net.op("Loop", [rounds, "true", x], "loop", body=inner)

    return network(middle)


@graph
def scan_with_outer_value() -> onnx.ModelProto:
    def middle(net: Net, x: str) -> str:
        net.constant("decay", np.float32(0.9))
        nodes = [
            helper.make_node("Mul", ["state", "decay"], ["less"]),
            helper.make_node("Add", ["less", "column"], ["next"]),
            helper.make_node("Identity", ["next"], ["out"]),
        ]
        inner = body(nodes, ["next", "out"], (value("state"), value("column")))
        start = net.op("ReduceMean", [x], "start", axes=[3], keepdims=0)
        axes = {"num_scan_inputs": 1, "scan_input_axes": [3], "scan_output_axes": [3]}
        net.nodes.append(helper.make_node("Scan", [start, x], ["end", "columns"], "scan", body=inner, **axes))
        return "columns"

    return network(middle)


def function(name: str, nodes: list[onnx.NodeProto], inputs: list[str], opset: int = 17) -> onnx.FunctionProto:
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("my", 1)]
    return helper.make_function("my", name, inputs, ["out"], nodes, imports)


def calling(*inputs: str) -> Middle:
    def middle(net: Net, x: str) -> str:
        net.weights("w", 16, 16, 3, 3)
        net.nodes.append(helper.make_node("Outer", [x, *inputs], ["called"], "call", domain="my"))
        net.nodes.append(helper.make_node("Outer", ["called", *inputs], ["again"], "call again", domain="my"))
        return "again"

    return middle


@graph
def function_in_a_function() -> onnx.ModelProto:
    model = network(calling("w"), domains=("my",))
    inner = [helper.make_node("Conv", ["a", "w"], ["c"], pads=[1] * 4), helper.make_node("Relu", ["c"], ["out"])]
    outer = [helper.make_node("Inner", ["a", "w"], ["t"], domain="my"), helper.make_node("Add", ["t", "a"], ["out"])]
    model.functions.extend([function("Inner", inner, ["a", "w"]), function("Outer", outer, ["a", "w"])])
    return model


@graph
def function_of_another_opset() -> onnx.ModelProto:
    model = network(calling(), domains=("my",))
    nodes = [helper.make_node("ReduceMean", ["a"], ["m"], axes=[1]), helper.make_node("Add", ["m", "a"], ["out"])]
    model.functions.append(function("Outer", nodes, ["a"], opset=13))
    return model


def scaled(kind: str, mode: str, opset: int) -> onnx.ModelProto:
    """Larger by 1.25 and 1.5, and back again: sizes at which every coordinate rule gives something else."""

    def middle(net: Net, x: str) -> str:
        for index, scales in enumerate(
            ([1.0, 1.0, 1.25, 1.5], [1.0, 1.0, 0.8, 0.667] if opset == 10 else [1.0, 1.0, 1.6, 1.334])
        ):
            if opset < 9:
                x = net.op(kind, [x], f"scaled{index}", mode=mode, scales=scales)
            else:
                x = net.op(
                    kind, [x, net.constant(f"scales{index}", np.array(scales, np.float32))], f"scaled{index}", mode=mode
                )
        return x

    model = network(middle, opset=opset, ir=3 if opset < 9 else 5)
    if opset < 9:  # constants had to be inputs
        model.graph.input.extend(value(item.name, item.data_type, list(item.dims)) for item in model.graph.initializer)
    return model


for _mode in ("linear", "nearest"):
    for _kind, _opset in (("Upsample", 7), ("Upsample", 9), ("Resize", 10)):
        GRAPHS[f"{_kind}-{_opset}-{_mode}"] = lambda kind=_kind, mode=_mode, opset=_opset: scaled(kind, mode, opset)  # type: ignore[misc]


def resized(opset: int = 18, **attributes: Any) -> onnx.ModelProto:
    def middle(net: Net, x: str) -> str:
        region = "" if opset > 12 else net.constant("region", np.zeros(0, np.float32))
        scales = net.constant("scales", np.array([1, 1, 2, 2], np.float32))
        return net.op("Resize", [x, region, scales], "resized", **attributes)

    return network(middle, opset=opset)


GRAPHS["resize_cubic"] = lambda: resized(mode="cubic", cubic_coeff_a=-0.5)
GRAPHS["resize_align_corners"] = lambda: resized(mode="linear", coordinate_transformation_mode="align_corners")
GRAPHS["resize_11_ceil"] = lambda: resized(11, mode="nearest", nearest_mode="ceil")


@graph
def shapes_by_arithmetic() -> onnx.ModelProto:
    def middle(net: Net, x: str) -> str:
        size = net.op("Mul", [length(net, x, 2), length(net, x, 3)], "size")
        size = net.op("Add", [size, net.constant("zero", np.array(0, INT64))], "same")
        parts = [length(net, x, 0), net.constant("channels", np.array(16, INT64)), size]
        parts = [net.op("Unsqueeze", [part, ints(net, f"u{i}", 0)], f"part{i}") for i, part in enumerate(parts)]
        flat = net.op("Reshape", [x, net.op("Concat", parts, "flat_shape", axis=0)], "flat")
        mixed = net.op(
            "MatMul", [net.op("Transpose", [flat], "turned", perm=[0, 2, 1]), net.weights("mix", 16, 16)], "mixed"
        )
        return net.op("Reshape", [net.op("Transpose", [mixed], "back", perm=[0, 2, 1]), "shape0"], "unflat")

    return network(middle, shape=("n", 3, "h", "w"))


@graph
def positions_by_range() -> onnx.ModelProto:
    def middle(net: Net, x: str) -> str:
        limits = [net.constant("from", np.array(0, INT64)), length(net, x, 3), net.constant("by", np.array(1, INT64))]
        columns = net.op("Cast", [net.op("Range", limits, "range")], "columns", to=TensorProto.FLOAT)
        return net.op("Add", [x, columns], "placed")

    return network(middle, shape=("n", 3, "h", "w"))


@graph
def sequence_of_lengths() -> onnx.ModelProto:
    def middle(net: Net, x: str) -> str:
        net.op("SplitToSequence", [net.op("Shape", [x], "shape")], "lengths", axis=0, keepdims=1)
        rows = net.op("SequenceAt", ["lengths", net.constant("two", np.array(2, INT64))], "rows")
        to = net.op("Concat", [ints(net, "start", 0, 16), rows, ints(net, "rest", -1)], "to", axis=0)
        return net.op("Reshape", [x, to], "same")

    return network(middle)


@graph
def sequence_of_channels() -> onnx.ModelProto:
    def middle(net: Net, x: str) -> str:
        net.op("SplitToSequence", [x], "channels", axis=1, keepdims=1)
        return net.op("ConcatFromSequence", ["channels"], "joined", axis=1)

    return network(middle)


def plain() -> onnx.ModelProto:
    return network(lambda net, x: x)


@graph
def value_info_of_a_wrong_shape() -> onnx.ModelProto:
    model = plain()
    model.graph.value_info.append(value("stem_relu", shape=[1, 99, 3, 3]))
    return model


@graph
def constant_and_input_among_the_outputs() -> onnx.ModelProto:
    model = plain()
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((1, 3), np.float32), "constant"))
    model.graph.output.append(value("constant", shape=[1, 3]))
    model.graph.output.append(value("input", shape=["batch", 3, *nets.SIZE]))
    return model


@graph
def unicode_names() -> onnx.ModelProto:
    model = plain()
    for node in model.graph.node:
        node.name = f"узел/{node.name}"
        for names in (node.input, node.output):
            new = [name if name in ("input", "heatmaps") else f"张量_{name}" for name in names]
            del names[:]
            names.extend(new)
    for tensor in model.graph.initializer:
        tensor.name = f"张量_{tensor.name}"
    return model


@graph
def nodes_without_names_in_reverse_order() -> onnx.ModelProto:
    model = plain()
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in reversed(model.graph.node)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    for node in model.graph.node:
        node.name = ""
    return model


@graph
def input_of_unknown_rank() -> onnx.ModelProto:
    model = plain()
    model.graph.input[0].CopyFrom(value("input"))
    return model


@graph
def microsoft_operator() -> onnx.ModelProto:
    def middle(net: Net, x: str) -> str:
        net.nodes.append(helper.make_node("Gelu", [x], ["gelu"], "/gelu", domain="com.microsoft"))
        return "gelu"

    return network(middle, domains=("com.microsoft",))


@graph
def infinite_limit() -> onnx.ModelProto:
    return network(lambda net, x: net.op("Max", [x, net.constant("lowest", np.float32(-np.inf))], "kept"))


@graph
def float16_everywhere() -> onnx.ModelProto:
    model = plain()
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
    for port in (*model.graph.input, *model.graph.output):
        port.type.tensor_type.elem_type = TensorProto.FLOAT16
    return model
