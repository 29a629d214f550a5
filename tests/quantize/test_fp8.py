"""E4M3: the numpy definition against ml_dtypes and ONNX Runtime, and the FP8 graph."""

from __future__ import annotations

import json
from types import ModuleType

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.scales import Scales
from edgepose.artifacts.spec import KEPT_FLOAT_KEY, PARENT_KEY, PRECISION_KEY, get_metadata
from edgepose.errors import ModelError
from edgepose.graph.lookup import graph_of
from edgepose.graph.prepare import array_of, prepare
from edgepose.quantize.e4m3 import LARGEST, codes_of, round_e4m3
from edgepose.quantize.fp8 import GROUPED, half_up, quantize_weight, to_fp8

FP8 = TensorProto.FLOAT8E4M3FN


def values() -> np.ndarray:
    """Random numbers of all sizes, every number of E4M3, and the middles between neighbors, which are ties."""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    every = np.arange(256, dtype=np.uint8).view(ml_dtypes.float8_e4m3fn).astype(np.float32)
    every = np.sort(every[np.isfinite(every)])
    random = np.random.default_rng(0)
    spread = random.normal(size=4000) * np.exp2(random.integers(-14, 10, 4000))
    return np.concatenate([every, (every[1:] + every[:-1]) / 2, spread, [0, 1e-12, 463, 464, 1e6]]).astype(np.float32)


def test_the_definition_rounds_as_ml_dtypes_does() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    given = values()
    wanted = np.clip(given, -LARGEST, LARGEST).astype(ml_dtypes.float8_e4m3fn)
    assert np.array_equal(round_e4m3(given), wanted.astype(np.float32))
    assert np.array_equal(codes_of(round_e4m3(given)) & 0x7F, wanted.view(np.uint8) & 0x7F)
    nonzero = round_e4m3(given) != 0
    assert np.array_equal(codes_of(round_e4m3(given))[nonzero], wanted.view(np.uint8)[nonzero])


def test_onnxruntime_quantizes_as_the_definition_does() -> None:
    ort = pytest.importorskip("onnxruntime")
    given, scale = values(), np.float32(0.25)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
    ]
    constants = [numpy_helper.from_array(scale, "scale"), helper.make_tensor("zero", FP8, (), b"\0", raw=True)]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None]) for name in "xy"]
    graph = helper.make_graph(nodes, "qdq", ports[:1], ports[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": given})
    assert np.array_equal(found, round_e4m3(given / scale) * scale)


def test_scales_are_rounded_up_to_float16() -> None:
    exact = np.array([1e-9, 2.0**-17, 1e-4, 0.1, 1 / 448, 7.3], np.float32)
    found = half_up(exact)
    assert np.array_equal(found, found.astype(np.float16).astype(np.float32))
    assert (found >= exact).all() and (found[1:] <= exact[1:] * 1.005).all() and found[0] == 2.0**-17


@pytest.mark.parametrize("axis", [0, 1, None])
def test_a_weight_has_one_scale_per_channel(axis: int | None) -> None:
    weight = np.random.default_rng(0).normal(0, 0.1, (5, 4, 3, 3)).astype(np.float32)
    found, scale = quantize_weight(weight, axis)
    assert scale.shape == (() if axis is None else (weight.shape[axis],))
    assert np.array_equal(found, round_e4m3(found)) and 440 < np.abs(found).max() <= LARGEST
    others = tuple(index for index in range(4) if index != axis)
    spread = scale if axis is None else np.expand_dims(scale, others)
    assert np.abs(found * spread - weight).max() <= np.abs(weight).max() / 16  # 4 significant bits


@pytest.fixture
def made(nets: ModuleType) -> tuple[onnx.ModelProto, onnx.ModelProto, Scales]:
    """A network with a depthwise convolution and a transposed one, and its FP8 graph."""
    net = nets.Net()
    x = net.op("Relu", [net.conv("input", "stem", 3, 16, 3, stride=2)], "stem_relu")
    x = net.op("Relu", [net.conv(x, "first", 16, 16, 3)], "first_relu")
    x = net.op("Relu", [net.conv(x, "depthwise", 16, 16, 3, group=16)], "depthwise_relu")
    x = net.op("Relu", [net.conv(x, "second", 16, 16, 1)], "second_relu")
    x = net.op("Relu", [net.deconv(x, "deconv", 16, 16)], "deconv_relu")
    net.conv(x, "head", 16, 14)
    model = net.model(output="head")
    images = np.random.default_rng(1).normal(0, 1, (4, 3, *nets.SIZE)).astype(np.float32)
    scales = nets.scales_for(prepare(model), images)
    return model, to_fp8(model, scales, nets.make_spec(), "d" * 64), scales


def test_the_graph_is_e4m3_with_float16_around_it(made: tuple[onnx.ModelProto, onnx.ModelProto, Scales]) -> None:
    _, model, scales = made
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version >= 19 and model.ir_version >= 9
    assert (get_metadata(model, PRECISION_KEY), get_metadata(model, PARENT_KEY)) == ("fp8", "d" * 64)
    kept = json.loads(get_metadata(model, KEPT_FLOAT_KEY) or "{}")
    assert kept["/depthwise"] == GROUPED and "/stem" in kept and "/head" in kept
    graph = graph_of(model)
    quantizers = [node for node in graph.nodes if node.op_type == "QuantizeLinear"]
    assert quantizers
    for node in quantizers:
        assert graph.constants[node.input[2]].data_type == FP8
        tensor = node.name.removesuffix("__quantize")
        exact = scales.tensors[tensor].scale * 127 / 448  # range / 448
        assert exact * (1 - 1e-6) <= array_of(graph, node.input[1]) <= exact * 1.001
        assert graph.constants[node.input[1]].data_type == TensorProto.FLOAT16
    read = {node.name for node in graph.nodes if graph.producer.get(node.input[0], node).op_type == "DequantizeLinear"}
    assert {"/first", "/second", "/deconv"} <= read and "/depthwise" not in read
    weights = [item for item in model.graph.initializer if item.name.endswith("__fp8")]
    assert len(weights) == 3 and {item.data_type for item in weights} == {FP8}


def test_it_agrees_with_the_float_network(
    made: tuple[onnx.ModelProto, onnx.ModelProto, Scales], nets: ModuleType
) -> None:
    from edgepose.backends.onnxruntime import make_plain_runner

    images = np.random.default_rng(1).normal(0, 1, (1, 3, *nets.SIZE)).astype(np.float32)
    expected, found = (make_plain_runner(model, ("head",)).run(images)["head"] for model in made[:2])
    ratio = 10 * np.log10(np.square(expected).sum() / np.square(expected - found).sum())
    assert 15 < ratio < 40


def test_a_quantized_graph_is_refused(made: tuple[onnx.ModelProto, onnx.ModelProto, Scales], nets: ModuleType) -> None:
    with pytest.raises(ModelError, match="quantized already"):
        to_fp8(made[1], made[2], nets.make_spec(), "d" * 64, QuantizeOptions())
