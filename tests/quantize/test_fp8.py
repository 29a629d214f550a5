"""FP8: the numbers of E4M3, the graph against a numpy definition, and what of an INT8 calibration it takes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgepose.artifacts.scales import Scales
from edgepose.artifacts.spec import KEPT_FLOAT_KEY, NOTES_KEY, PARENT_KEY, PRECISION_KEY, ModelSpec, get_metadata
from edgepose.backends.onnxruntime import make_runner
from edgepose.graph.prepare import prepare
from edgepose.graph.types import tensor_types
from edgepose.quantize import calibrate, to_fp8
from edgepose.quantize.e4m3 import codes_of, round_e4m3
from edgepose.quantize.fp8 import GROUPED, half_up
from edgepose.quantize.placement import place


def onnxruntime_rounds(values: np.ndarray) -> Any:
    """Return the numbers that QuantizeLinear and DequantizeLinear make in ONNX Runtime with scale 1."""
    import onnxruntime

    one = numpy_helper.from_array(np.float32(1), "one")
    zero = helper.make_tensor("zero", TensorProto.FLOAT8E4M3FN, (), b"\0", raw=True)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "one", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "one", "zero"], ["y"]),
    ]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "rounding", ports[:1], ports[1:], [one, zero])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": values.astype(np.float32)})[0]


def test_rounding_is_that_of_onnx_runtime() -> None:
    rng = np.random.default_rng(0)
    values = (rng.standard_normal(20_000) * np.exp2(rng.integers(-12, 11, 20_000))).astype(np.float32)
    values = np.concatenate([values, np.float32([0, -0.0, 448, 464, -1e6, 2**-9, 2**-10, 1.5 * 2**-9, 17, 19, 0.0625])])
    np.testing.assert_array_equal(round_e4m3(values), onnxruntime_rounds(values))


def test_bytes_are_those_of_the_format() -> None:
    """Every number from the definition: sign, four bits of exponent, three of mantissa."""
    code = np.array([value for value in range(256) if value & 0x7F != 0x7F], np.uint8)  # without the two NaN
    exponent, mantissa = (code >> 3) & 15, code & 7
    size = np.where(exponent == 0, mantissa * 2.0**-9, (8 + mantissa) * 2.0 ** (exponent.astype(float) - 10))
    values = np.where(code & 0x80, -size, size).astype(np.float32)
    np.testing.assert_array_equal(round_e4m3(values), values)
    np.testing.assert_array_equal(codes_of(values), code)
    assert values.max() == 448


def test_scales_are_rounded_up_to_float16() -> None:
    scale = np.float32([1e-12, 2**-17, 0.1, 1 / 3, 7.0])
    got = half_up(scale)
    assert (got >= scale).all() and (got <= np.maximum(scale * (1 + 2**-7), 2**-17)).all()
    np.testing.assert_array_equal(got, got.astype(np.float16).astype(np.float32))
    assert half_up(np.float32([70_000]))[0] == 70_000


def initializers(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    return {tensor.name: tensor for tensor in model.graph.initializer}


@pytest.fixture(scope="module")
def photographs(nets: ModuleType) -> np.ndarray:
    return nets.Photographs(16).images  # type: ignore[no-any-return]


@pytest.fixture
def float_net(nets: ModuleType) -> onnx.ModelProto:
    return nets.pose_net()  # type: ignore[no-any-return]


@pytest.fixture
def scales(nets: ModuleType, float_net: onnx.ModelProto, photographs: np.ndarray) -> Scales:
    return nets.scales_for(float_net, photographs)  # type: ignore[no-any-return]


def fp8(model: onnx.ModelProto, scales: Scales, spec: ModelSpec) -> onnx.ModelProto:
    made = to_fp8(model, scales, spec, "d" * 64)
    onnx.checker.check_model(made, full_check=True)
    return made


def test_types_placement_and_scales(float_net: onnx.ModelProto, scales: Scales, spec: ModelSpec) -> None:
    made = fp8(float_net, scales, spec)
    assert (get_metadata(made, PRECISION_KEY), get_metadata(made, PARENT_KEY)) == ("fp8", "d" * 64)
    assert max(item.version for item in made.opset_import if item.domain in ("", "ai.onnx")) >= 19
    constants = initializers(made)
    pairs = [node for node in made.graph.node if node.op_type == "QuantizeLinear"]
    assert pairs
    for node in pairs:
        assert constants[node.input[2]].data_type == TensorProto.FLOAT8E4M3FN
        assert constants[node.input[1]].data_type in (TensorProto.FLOAT16, TensorProto.FLOAT)
    by_name = {node.name: node for node in prepare(float_net).graph.node}
    kept = json.loads(get_metadata(made, KEPT_FLOAT_KEY) or "{}")
    usual = place(prepare(float_net), spec, spec.quantize)
    grouped = {name for name, node in by_name.items() if any(a.name == "group" and a.i > 1 for a in node.attribute)}
    assert grouped and all(kept[name] == GROUPED for name in grouped)
    weights = [tensor for tensor in constants.values() if tensor.name.endswith("__fp8")]
    assert len(weights) == len(set(usual.quantized) - grouped)


def test_it_is_the_numpy_definition_in_onnx_runtime(
    nets: ModuleType, float_net: onnx.ModelProto, scales: Scales, spec: ModelSpec, photographs: np.ndarray
) -> None:
    """Each quantized activation of the graph, computed in float8 by ONNX Runtime, and by numpy."""
    made = fp8(float_net, scales, spec)
    constants = initializers(made)
    pairs = [node for node in made.graph.node if node.op_type == "QuantizeLinear"]
    readers = {node.input[0]: node for node in made.graph.node if node.op_type == "DequantizeLinear"}
    watched = [(node.input[0], readers[node.output[0]].output[0], node.input[1]) for node in pairs]
    types = tensor_types(made)
    seen = {item.name for item in made.graph.output}
    for name in dict.fromkeys(name for pair in watched for name in pair[:2] if name not in seen):
        made.graph.output.append(helper.make_tensor_value_info(name, types[name], None))
    for before, after, scale_name in watched:
        before, got = nets.run(made, photographs, [before, after])
        scale = np.float32(numpy_helper.to_array(constants[scale_name]))
        expected = (round_e4m3(before.astype(np.float32) / scale) * scale).astype(got.dtype)
        np.testing.assert_array_equal(got, expected)


def test_it_agrees_with_the_float_network(
    nets: ModuleType, float_net: onnx.ModelProto, scales: Scales, spec: ModelSpec, photographs: np.ndarray
) -> None:
    expected = nets.run(float_net, photographs)[0]
    assert nets.decibels(nets.run(fp8(float_net, scales, spec), photographs)[0], expected) > 15


def test_bias_corrections_belong_to_int8(float_net: onnx.ModelProto, scales: Scales, spec: ModelSpec) -> None:
    """They make up for the rounding of int8; FP8 rounds in another way."""
    quantized = place(prepare(float_net), spec, spec.quantize).quantized
    shapes = {tensor.name: tensor.dims for tensor in prepare(float_net).graph.initializer}
    nodes = {node.name: node for node in prepare(float_net).graph.node}
    bias = {name: (1.0,) * shapes[nodes[name].input[1]][0] for name in quantized if nodes[name].op_type == "Conv"}
    corrected = replace(scales, bias=bias, bias_placement="e" * 64)
    assert bias
    assert fp8(float_net, corrected, spec).SerializeToString() == fp8(float_net, scales, spec).SerializeToString()


def test_what_int8_kept_in_float_stays_in_float(float_net: onnx.ModelProto, scales: Scales, spec: ModelSpec) -> None:
    grouped = [n.name for n in prepare(float_net).graph.node if any(a.name == "group" and a.i > 1 for a in n.attribute)]
    name = next(name for name in place(prepare(float_net), spec, spec.quantize).quantized if name not in grouped)
    made = fp8(float_net, replace(scales, keep_float={name: "the search"}), spec)
    assert json.loads(get_metadata(made, KEPT_FLOAT_KEY) or "{}")[name] == "the search"
    assert get_metadata(made, NOTES_KEY) is None


def test_factors_of_equalization_are_kept(nets: ModuleType, tmp_path: Path, spec: ModelSpec) -> None:
    """The ranges in scales.json were observed with them."""
    net = nets.Net(3)
    x = net.op("Relu", [net.conv("input", "stem", 3, 8, 3)], "stem_out")
    sizes = np.geomspace(1, 200, 8).astype(np.float32)
    weight = (net.random.normal(0, 0.05, (8, 8, 1, 1)) * sizes[:, None, None, None]).astype(np.float32)
    y = net.op("Relu", [net.op("Conv", [x, net.constant("a.w", weight)], "a")], "act")
    weight = (net.random.normal(0, 0.3, (8, 8, 1, 1)) / sizes[None, :, None, None]).astype(np.float32)
    y = net.op("Relu", [net.op("Conv", [y, net.constant("b.w", weight)], "b")], "last")
    onnx.save(net.model(output=net.conv(y, "heatmaps", 8, 2)), tmp_path / "net.onnx")
    found = calibrate(tmp_path / "net.onnx", nets.Photographs(), spec, make_runner=make_runner)
    assert "act" in found.equalization
    model, images = onnx.load(tmp_path / "net.onnx"), nets.Photographs(8).images
    made = fp8(model, found, spec)
    assert any("act__equalized" in node.input for node in made.graph.node if node.op_type == "QuantizeLinear")
    assert nets.decibels(nets.run(made, images)[0], nets.run(model, images)[0]) > 20
