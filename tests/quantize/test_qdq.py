from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
from int8_arithmetic import ARITHMETICS, BACKENDS, MOST, Rounding, computing_in, exact_here
from int8_arithmetic import run as run_engine
from onnx import TensorProto, numpy_helper

from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.spec import KEPT_FLOAT_KEY, PARENT_KEY, PRECISION_KEY, embedded_spec, get_metadata
from edgepose.errors import CalibrationError, ModelError
from edgepose.graph.prepare import prepare
from edgepose.quantize import quantize
from edgepose.quantize.placement import place
from edgepose.quantize.qdq import insert_qdq, quantize_weight

EVERYTHING = QuantizeOptions(stem_float=False, head_float=False)


@pytest.fixture(scope="module")
def photographs(nets):
    return nets.Photographs(32).images


@pytest.fixture(scope="module")
def scales(nets, photographs):
    return nets.scales_for(prepare(nets.pose_net()), photographs)


def constants(model):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def fake(values, scale):
    """What QuantizeLinear and DequantizeLinear do, in numpy."""
    return (np.clip(np.rint(values / np.float32(scale)), -128, 127) * np.float32(scale)).astype(np.float32)


def test_the_graph_is_the_numpy_simulation_of_fake_quantization(nets, spec, photographs):
    """Twin: 1x1 convolutions as einsum, each activation and weight rounded by hand."""
    net = nets.Net()
    x = net.op("Relu", [net.conv("input", "a", 3, 8)], "ra")
    net.op("Add", [net.conv(x, "b", 8, 8), x], "heatmaps")
    model = net.model()
    scales = nets.scales_for(model, photographs)
    made = quantize(model, scales, spec, EVERYTHING)

    value = constants(model)
    weight = {}
    for name in ("a", "b"):
        ints, scale = quantize_weight(value[f"{name}.w"], 0)
        weight[name] = (ints * scale[:, None, None, None])[:, :, 0, 0]
    step = {name: scales.tensors[name].scale for name in ("input", "ra")}
    mix = "oc,bchw->bohw"
    a = np.einsum(mix, weight["a"], fake(photographs, step["input"])) + value["a.b"][:, None, None]
    x = fake(np.maximum(a, 0), step["ra"])
    expected = np.einsum(mix, weight["b"], x) + value["b.b"][:, None, None] + x

    got = nets.run(made, photographs)[0]
    np.testing.assert_allclose(got, expected, atol=1e-5 + 1.01 * step["ra"])  # one rounding tie may fall either way
    assert np.mean(np.abs(got - expected) > 1e-4) < 1e-3


def test_the_form_that_tensorrt_takes(nets, spec, scales):
    made = quantize(nets.pose_net(), scales, spec)
    onnx.checker.check_model(made, full_check=True)
    value = constants(made)
    quantizers = [node for node in made.graph.node if node.op_type.endswith("eLinear")]
    assert quantizers
    for node in quantizers:
        assert value[node.input[2]].dtype == np.int8 and not value[node.input[2]].any()  # symmetric
        assert value[node.input[1]].dtype == np.float32 and (value[node.input[1]] > 0).all()
    kinds = {tensor.name: tensor.data_type for tensor in made.graph.initializer}
    for name in ("expand.b", "depthwise.b", "project.b", "norm__folded_bias"):
        assert kinds[name] == TensorProto.FLOAT  # a bias is never quantized
    assert "expand.w" not in kinds and kinds["expand.w__0__int8"] == TensorProto.INT8
    assert value["expand.w__0__scale"].shape == (32,)  # one a channel
    assert value["norm__folded_weight__1__scale"].shape == (16,)  # one an output channel of the deconvolution


def test_one_pair_a_tensor_and_the_residual_form(nets, spec, scales):
    made = quantize(nets.pose_net(), scales, spec)
    makers = {node.output[0]: node for node in made.graph.node}
    quantized = [node.input[0] for node in made.graph.node if node.op_type == "QuantizeLinear"]
    assert sorted(quantized) == sorted(["stem6", "expand6", "depthwise6", "add"])
    add = next(node for node in made.graph.node if node.name == "/add")
    assert [makers[name].op_type for name in add.input] == ["DequantizeLinear", "Conv"]
    readers = [node.name for node in made.graph.node if "stem6__dequantized" in node.input]
    assert readers == ["/expand", "/add"]


def test_relu6_becomes_relu_where_quantizers_clip(nets, spec, scales):
    kinds = [node.op_type for node in quantize(nets.pose_net(), scales, spec).graph.node]
    assert "Clip" not in kinds
    kept = quantize(nets.pose_net(), scales, spec, QuantizeOptions(clip_to_relu=False))
    assert [node.op_type for node in kept.graph.node].count("Clip") == 3


def test_metadata_names_spec_parent_precision_and_what_stays_in_float(nets, spec, scales):
    made = quantize(nets.pose_net(), scales, spec)
    assert embedded_spec(made, "test") == spec
    assert get_metadata(made, PARENT_KEY) == scales.onnx_sha256 and get_metadata(made, PRECISION_KEY) == "int8"
    assert json.loads(get_metadata(made, KEPT_FLOAT_KEY) or "")["/stem"] == "stem: reads input 'input'"


def test_the_model_given_is_left_alone_and_twice_is_refused(nets, spec, scales):
    model = nets.pose_net()
    before = model.SerializeToString()
    made = quantize(model, scales, spec)
    assert model.SerializeToString() == before
    with pytest.raises(ModelError, match="quantized already"):
        quantize(made, scales, spec)
    with pytest.raises(ModelError, match="quantized already"):
        insert_qdq(made, place(prepare(model), spec), {})


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("deconv", ["per_tensor", "axis1", "per_channel", "float"])
def test_the_graph_stays_close_to_float_and_both_cpu_engines_to_the_graph(
    nets, spec, scales, photographs, tmp_path, monkeypatch, deconv, arithmetic
):
    options = QuantizeOptions(deconv="float") if deconv == "float" else QuantizeOptions(deconv_weights=deconv)
    model = nets.pose_net()
    made = quantize(model, scales, spec, options)
    exact, expected = nets.run(made, photographs)[0], nets.run(model, photographs)[0]
    assert nets.decibels(exact, expected) > 25
    computing_in(arithmetic, monkeypatch)
    made = exact_here(made, arithmetic)
    rounding = Rounding(made, {"input": photographs})
    for backend in BACKENDS:
        assert max(rounding.ratios(run_engine(backend, made, rounding.feed, tmp_path / backend))) < MOST


def saturating_net(nets):
    """All weights and activations of one sign and full size: the worst case for 16-bit pair sums."""
    net = nets.Net()
    x = net.op("Abs", ["input"], "wide")
    x = net.op("Conv", [x, net.constant("w0", np.full((16, 3, 1, 1), 0.3, np.float32))], "first")
    weight = net.constant("w1", np.full((16, 16, 3, 3), 0.01, np.float32))
    y = net.op("Relu", [net.op("Conv", [x, weight], "second", pads=[1] * 4)], "r")
    net.op("Conv", [y, net.constant("w2", np.ones((2, 16, 1, 1), np.float32))], "heatmaps")
    return net.model()


def test_sums_do_not_saturate_in_our_sessions(nets, spec, tmp_path):
    images = np.full((4, 3, *nets.SIZE), 2.0, np.float32)
    images[:, :, ::7] = -1.9
    model = saturating_net(nets)
    made = quantize(model, nets.scales_for(model, images), spec, EVERYTHING)
    expected = nets.run(model, images)[0]
    # Three inputs and three weights are rounded, each by at most half of 1/127 of its largest value: 6 * 0.4 %.
    # Sums that are cut off at 16 bits lose half.
    for got in (nets.run(made, images, plain=False)[0], nets.run_openvino(made, images, tmp_path)):
        np.testing.assert_allclose(got, expected, rtol=0.03)


@pytest.mark.parametrize("axis", [0, None])
def test_a_channel_of_denormal_weights_is_dead(axis):
    weight = np.random.default_rng(0).normal(0, 1, (3, 4, 1, 1)).astype(np.float32)
    weight[1 if axis == 0 else slice(None)] = 1e-42  # over 127 it is 0 in float32
    with np.errstate(all="raise"):
        ints, scale = quantize_weight(weight, axis)
    assert scale.min() > 0 and np.ravel(scale)[-2 if axis == 0 else 0] == 1
    assert not ints[1].any() and (axis is None or ints[0].any())


def test_plain_weights_use_the_whole_range_and_zero_channels_are_zero():
    weight = np.random.default_rng(0).normal(0, 1, (4, 3, 3, 3)).astype(np.float32)
    weight[2] = 0
    ints, scale = quantize_weight(weight, 0)
    assert list(np.abs(ints).max(axis=(1, 2, 3))) == [127, 127, 0, 127] and scale[2] == 1


@pytest.mark.parametrize("kind", ["MatMul", "Gemm", "Gemm transposed"])
def test_dense_layers(nets, spec, photographs, tmp_path, monkeypatch, kind):
    net = nets.Net()
    flat = net.op("Flatten", [net.conv("input", "stem", 3, 4, 3, stride=4)], "flat")
    inputs = 4 * (nets.SIZE[0] // 4) * (nets.SIZE[1] // 4)
    if kind == "Gemm transposed":
        y = net.op("Gemm", [flat, net.weights("w", 10, inputs)], "dense", transB=1)
    else:
        y = net.op(kind.split()[0], [flat, net.weights("w", inputs, 10)], "dense")
    net.op("MatMul", [net.op("Relu", [y], "r"), net.weights("h", 10, 4)], "heatmaps")
    model = net.model()
    made = quantize(model, nets.scales_for(model, photographs), spec)
    assert constants(made)[f"w__{0 if 'trans' in kind else 1}__scale"].shape == (10,)
    assert nets.decibels(nets.run(made, photographs)[0], nets.run(model, photographs)[0]) > 25
    for arithmetic in ARITHMETICS:
        computing_in(arithmetic, monkeypatch)
        exact = exact_here(made, arithmetic)
        found = run_engine("onnxruntime", exact, {"input": photographs}, tmp_path / arithmetic)
        assert max(Rounding(exact, {"input": photographs}).ratios(found)) < MOST


def test_shared_weights_are_written_once(nets, spec, photographs):
    net = nets.Net()
    x = net.conv("input", "stem", 3, 4)
    weight = net.weights("w", 4, 4, 1, 1)
    y = net.op("Conv", [net.op("Conv", [x, weight], "a"), weight], "b")
    net.conv(y, "heatmaps", 4, 2)
    made = quantize(net.model(), nets.scales_for(net.model(), photographs), spec)
    assert [node.name for node in made.graph.node].count("w__0__dequantize") == 1
    nets.run(made, photographs)


def test_a_tensor_without_a_scale_is_named(nets, spec, scales):
    fewer = {name: item for name, item in scales.tensors.items() if name != "expand6"}
    with pytest.raises(CalibrationError, match="no range for tensor 'expand6'; run: edgepose calibrate"):
        quantize(nets.pose_net(), replace(scales, tensors=fewer), spec)
