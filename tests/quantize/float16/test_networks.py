"""Networks that once failed in float16, or easily would: what stays in float32, and that the result is right.

ONNX's reference evaluator computes the half graph in float16 throughout, as a GPU may. It is not what the product
compares with (`float16.rounding`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edgepose.artifacts.spec import KEPT_FLOAT_KEY, ModelSpec, get_metadata
from edgepose.backends.onnxruntime import make_plain_runner
from edgepose.quantize import Sample, to_fp16
from edgepose.quantize.float16.verify import relative_error

UNKNOWN = ("custom_operator", "function_that_does_not_run_in_float16")  # to the evaluator
NETWORKS: dict[str, Callable[[ModuleType], Any]] = {}  # name -> what builds it
KEPT: dict[str, set[str]] = {}  # name -> nodes that must stay in float32
HALF: dict[str, set[str]] = {}  # name -> nodes that must be float16


def network(kept: str, half: str = "") -> Callable[..., Any]:
    def register(build: Callable[[ModuleType], Any]) -> Callable[[ModuleType], Any]:
        NETWORKS[build.__name__] = build
        KEPT[build.__name__] = {f"/{name}" for name in kept.split()}
        HALF[build.__name__] = {f"/{name}" for name in half.split()}
        return build

    return register


def scalar(net: Any, name: str, value: float) -> str:
    return str(net.constant(name, np.float32(value)))


@network(kept="logits soft", half="q k v mixed")
def attention_with_large_logits(nets: ModuleType) -> Any:
    net = nets.Net()
    flat = {}
    for part in "qkv":
        conv = net.conv("input", part, 3, 8)
        flat[part] = net.op("Reshape", [conv, net.constant(f"{part}.s", np.array([0, 8, -1]))], f"{part}_flat")
    turned = net.op("Transpose", [flat["q"]], "q_turned", perm=[0, 2, 1])
    far = net.op("Mul", [turned, scalar(net, "far.c", 3000.0)], "far")
    logits = net.op("MatMul", [far, flat["k"]], "logits")
    near = net.op("Mul", [logits, scalar(net, "near.c", 1e-4)], "near")
    soft = net.op("Softmax", [near], "soft", axis=-1)
    mixed = net.op("MatMul", [flat["v"], net.op("Transpose", [soft], "soft_turned", perm=[0, 2, 1])], "mixed")
    net.op("Reshape", [mixed, net.constant("shape", np.array([0, 8, 32, 24]))], "heatmaps")
    return net.model()


@network(kept="mean away squares variance safe spread normed", half="heatmaps")
def layer_norm_of_an_exporter(nets: ModuleType) -> Any:
    net = nets.Net()
    x = net.conv("input", "x", 3, 8)
    away = net.op("Sub", [x, net.op("ReduceMean", [x], "mean", axes=[1])], "away")
    squares = net.op("Pow", [away, scalar(net, "two", 2.0)], "squares")
    variance = net.op("ReduceMean", [squares], "variance", axes=[1])
    spread = net.op("Sqrt", [net.op("Add", [variance, scalar(net, "eps", 1e-12)], "safe")], "spread")
    net.conv(net.op("Div", [away, spread], "normed"), "heatmaps", 8, 4)
    return net.model()


@network(kept="norm safe wide normed", half="x heatmaps")
def l2_normalization_of_dark_pixels(nets: ModuleType) -> Any:
    net = nets.Net()
    x = net.op("Relu", [net.conv("input", "x", 3, 8)], "relu")  # many pixels are zero in all channels
    norm = net.op("ReduceL2", [x], "norm", axes=[1], keepdims=1)
    safe = net.op("Clip", [norm, scalar(net, "eps", 1e-12)], "safe")
    wide = net.op("Expand", [safe, net.constant("shape", np.array([1, 8, 32, 24]))], "wide")
    net.conv(net.op("Div", [x, wide], "normed"), "heatmaps", 8, 4)
    return net.model()


@network(kept="exp total", half="x")
def softmax_written_out(nets: ModuleType) -> Any:
    net = nets.Net()
    exp = net.op("Exp", [net.conv("input", "x", 3, 8)], "exp")
    total = net.op("ReduceSum", [exp, net.constant("axes", np.array([2, 3]))], "total")
    net.op("Div", [exp, total], "heatmaps")
    return net.model()


@network(kept="soft number grid", half="x")
def soft_argmax(nets: ModuleType) -> Any:
    net = nets.Net()
    rows = net.op("Reshape", [net.conv("input", "x", 3, 8), net.constant("rows", np.array([0, 8, -1]))], "flat")
    soft = net.op("Softmax", [rows], "soft", axis=-1)
    positions = [net.constant(name, np.int64(value)) for name, value in (("start", 0), ("stop", 768), ("step", 1))]
    grid = net.op("Mul", [net.op("Cast", [net.op("Range", positions, "range")], "number", to=1), "k"], "grid")
    scalar(net, "k", 11.0)  # to 8437, of which float16 keeps every eighth
    net.op("ReduceSum", [net.op("Mul", [soft, grid], "weighted"), net.constant("last", np.array([-1]))], "heatmaps")
    return net.model()


@network(kept="masked soft", half="x")
def attention_mask_of_minus_1e9(nets: ModuleType) -> Any:
    net = nets.Net()
    mask = net.constant("mask", np.where(np.arange(24) % 3 == 0, -1e9, 0).astype(np.float32))
    net.op("Softmax", [net.op("Add", [net.conv("input", "x", 3, 8), mask], "masked")], "soft", axis=-1)
    net.conv("soft", "heatmaps", 8, 4)
    return net.model()


@network(kept="soft", half="x masked")
def mask_of_infinities(nets: ModuleType) -> Any:
    net = nets.Net()
    where = net.constant("where", np.arange(24) % 3 == 0)
    masked = net.op("Where", [where, scalar(net, "infinite", -np.inf), net.conv("input", "x", 3, 8)], "masked")
    net.conv(net.op("Softmax", [masked], "soft", axis=-1), "heatmaps", 8, 4)
    return net.model()


@network(kept="", half="x erf gelu swish")
def gelu_by_erf_and_hard_swish(nets: ModuleType) -> Any:
    net = nets.Net()
    x = net.conv("input", "x", 3, 8)
    erf = net.op("Erf", [net.op("Mul", [x, scalar(net, "root", 0.70710678)], "scaled")], "erf")
    one = net.op("Add", [erf, scalar(net, "one", 1.0)], "plus")
    gelu = net.op("Mul", [net.op("Mul", [x, one], "twice"), scalar(net, "half", 0.5)], "gelu")
    net.conv(net.op("HardSwish", [gelu], "swish"), "heatmaps", 8, 4)
    return net.model()


@network(kept="norm", half="heatmaps")
def batch_norm_of_tiny_variance(nets: ModuleType) -> Any:
    net = nets.Net()
    x = net.op("Add", [net.op("Mul", ["input", scalar(net, "small", 1e-3)], "scaled"), "zeros"], "x")
    net.constant("zeros", np.zeros((1, 3, 1, 1), np.float32))
    parts = [
        net.constant(name, np.full(3, value, np.float32))
        for name, value in (("gamma", 1), ("beta", 0.1), ("mean", 1e-5), ("variance", 1e-7))
    ]
    net.conv(net.op("BatchNormalization", [x, *parts], "norm", epsilon=1e-9), "heatmaps", 3, 4)
    return net.model()


@network(kept="norm", half="x heatmaps")
def instance_normalization(nets: ModuleType) -> Any:
    net = nets.Net()
    parts = [net.constant(name, np.full(8, value, np.float32)) for name, value in (("scale", 1), ("bias", 0))]
    net.conv(net.op("InstanceNormalization", [net.conv("input", "x", 3, 8), *parts], "norm"), "heatmaps", 8, 4)
    return net.model()


@network(kept="", half="x clipped")
def clip_with_the_largest_float(nets: ModuleType) -> Any:
    net = nets.Net()
    limits = [scalar(net, "low", 0.0), scalar(net, "high", 3.4028235e38)]
    net.conv(net.op("Clip", [net.conv("input", "x", 3, 8), *limits], "clipped"), "heatmaps", 8, 4)
    return net.model()


@network(kept="squares energy", half="pixels heatmaps")
def squares_of_pixels(nets: ModuleType) -> Any:
    net = nets.Net()
    pixels = net.op("Mul", ["input", scalar(net, "levels", 120.0)], "pixels")
    squares = net.op("Mul", [pixels, pixels], "squares")
    energy = net.op("Mul", [squares, scalar(net, "down", 1e-4)], "energy")
    net.conv(energy, "heatmaps", 3, 4)
    return net.model()


@network(kept="norm", half="x heatmaps")
def group_normalization(nets: ModuleType) -> Any:
    net = nets.Net()
    parts = [net.constant(name, np.full(8, value, np.float32)) for name, value in (("scale", 1), ("bias", 0))]
    x = net.conv("input", "x", 3, 8)
    net.conv(net.op("GroupNormalization", [x, *parts], "norm", num_groups=4), "heatmaps", 8, 4)
    return net.model(opset=21)


@network(kept="", half="x warm heatmaps")
def sigmoid_with_a_temperature(nets: ModuleType) -> Any:
    net = nets.Net()
    warm = net.op("Div", [net.conv("input", "x", 3, 4), scalar(net, "temperature", 0.05)], "warm")
    net.op("Sigmoid", [warm], "heatmaps")
    return net.model()


@network(kept="", half="x up heatmaps")
def resize_by_scales(nets: ModuleType) -> Any:
    net = nets.Net()
    scales = net.constant("scales", np.array([1, 1, 2, 2], np.float32))
    up = net.op("Resize", [net.conv("input", "x", 3, 4), "", scales], "up", mode="linear")
    net.conv(up, "heatmaps", 4, 4)
    return net.model()


@network(kept="total", half="x heatmaps")
def mean_of_many_large_values(nets: ModuleType) -> Any:
    net = nets.Net()
    x = net.op("Relu", [net.conv("input", "x", 3, 8)], "relu")
    bright = net.op("Mul", [x, scalar(net, "bright", 100.0)], "bright_x")
    total = net.op("GlobalAveragePool", [bright], "total")
    gate = net.op("Sigmoid", [net.op("Mul", [total, scalar(net, "dim", 0.01)], "dimmed")], "gate")
    net.conv(net.op("Mul", [x, gate], "gated"), "heatmaps", 8, 4)
    return net.model()


@network(kept="large", half="x")
def cancelling_sums_of_a_convolution(nets: ModuleType) -> Any:
    """Each output is a difference of two sums beyond 65504."""
    net = nets.Net()
    x = net.op("Abs", [net.conv("input", "x", 3, 8)], "abs")
    twice = net.op("Concat", [x, x], "twice", axis=1)
    weights = np.concatenate([np.full((4, 8, 1, 1), 9001.0), np.full((4, 8, 1, 1), -9000.0)], axis=1)
    net.op("Conv", [twice, net.constant("w", weights.astype(np.float32))], "large")
    net.op("Tanh", ["large"], "heatmaps")
    return net.model()


@network(kept="gelu", half="x heatmaps")
def custom_operator(nets: ModuleType) -> Any:
    net = nets.Net()
    net.op("Elu", [net.conv("input", "x", 3, 8)], "gelu")
    net.conv("gelu", "heatmaps", 8, 4)
    model = net.model()
    model.graph.node[1].op_type, model.graph.node[1].domain = "Gelu", "com.microsoft"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    del model.graph.node[1].attribute[:], model.graph.value_info[:]  # its type is unknown
    return model


@network(kept="grid", half="x heatmaps")
def function_that_does_not_run_in_float16(nets: ModuleType) -> Any:
    """ONNX Runtime 1.32 expands AffineGrid; in float16, a part of it gets an axis that is not there."""
    net = nets.Net()
    theta = net.constant("theta", np.eye(2, 3, dtype=np.float32)[None])
    grid = net.op("AffineGrid", [theta, net.constant("size", np.array([1, 4, 16, 12]))], "grid")
    net.op("GridSample", [net.conv("input", "x", 3, 4), grid], "heatmaps")
    return net.model(shape=(1, 3, *nets.SIZE), opset=20)


@network(kept="branch", half="x heatmaps")
def branches_that_read_around_themselves(nets: ModuleType) -> Any:
    net = nets.Net()
    x = net.conv("input", "x", 3, 8)
    scalar(net, "gain", 0.5)
    bodies = {}
    for name, kind in (("then_branch", "Mul"), ("else_branch", "Add")):
        value = helper.make_tensor_value_info(f"{name}.y", TensorProto.FLOAT, None)
        bodies[name] = helper.make_graph([helper.make_node(kind, [x, "gain"], [value.name])], name, [], [value])
    peak = net.op("ReduceMax", [x], "peak", keepdims=0)
    net.op("If", [net.op("Greater", [peak, "gain"], "bright")], "branch", **bodies)
    net.conv("branch", "heatmaps", 8, 4)
    return net.model()


@pytest.mark.parametrize("name", NETWORKS)
def test_float16_is_right_and_keeps_what_it_must(name: str, nets: ModuleType, spec: ModelSpec) -> None:
    model = NETWORKS[name](nets)
    images = nets.Photographs(4).images[: model.graph.input[0].type.tensor_type.shape.dim[0].dim_value or 4]
    made = to_fp16(model, spec, "d" * 64, sample=Sample(inputs=images, make_runner=make_plain_runner))
    kept = set(json.loads(get_metadata(made, KEPT_FLOAT_KEY) or ""))
    assert KEPT[name] <= kept
    assert not HALF[name] & kept
    expected = nets.run(model, images)[0]
    assert relative_error(expected, nets.run(made, images)[0]) < 0.01
    if name not in UNKNOWN:
        with np.errstate(all="ignore"):  # its sigmoid divides infinities and drops the result
            (found,) = ReferenceEvaluator(made).run(None, {"input": images})
        assert relative_error(expected, found) < 0.02


def test_a_weight_with_some_tiny_values_is_half(nets: ModuleType, spec: ModelSpec) -> None:
    net = nets.Net()
    net.conv("input", "heatmaps", 3, 8)
    weight = numpy_helper.to_array(net.constants[0]).copy()
    weight[:, 0] *= 1e-8
    net.constants[0] = numpy_helper.from_array(weight, "heatmaps.w")
    made = to_fp16(net.model(), spec, "d" * 64)
    assert json.loads(get_metadata(made, KEPT_FLOAT_KEY) or "") == {}


def test_names_that_the_cast_would_give_are_taken_already(nets: ModuleType, spec: ModelSpec) -> None:
    net = nets.Net()
    net.conv("input", "x", 3, 8)
    net.op("Relu", ["x"], "x__half")
    net.op("Sigmoid", ["x__half"], "x__exact")
    net.conv("x__exact", "heatmaps", 8, 4)
    model = net.model()
    model.graph.node[1].name, model.graph.node[2].name = "x__cast", "heatmaps__cast"
    images = nets.Photographs(4).images
    made = to_fp16(model, spec, "d" * 64, sample=Sample(inputs=images, make_runner=make_plain_runner))
    names = [node.name for node in made.graph.node]
    assert len(set(names)) == len(names)
    assert relative_error(nets.run(model, images)[0], nets.run(made, images)[0]) < 0.01
