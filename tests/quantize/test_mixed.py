from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from int8_arithmetic import ARITHMETICS, MOST, Rounding, computing_in, exact_here
from int8_arithmetic import run as run_engine
from onnx import TensorProto, numpy_helper

from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.spec import KEPT_FLOAT_KEY, PARENT_KEY, PRECISION_KEY, get_metadata
from edgepose.errors import ModelError
from edgepose.quantize import quantize
from edgepose.quantize.cast import CastOptions
from edgepose.quantize.mixed import SMALLEST, half_scales, to_int8_fp16

EVERYTHING = QuantizeOptions(stem_float=False, head_float=False)


@pytest.fixture(scope="module")
def photographs(nets):
    return nets.Photographs(16).images


@pytest.fixture
def quantized(nets, spec, photographs):
    model = nets.pose_net()
    return quantize(model, nets.scales_for(model, photographs), spec)


def mixed(model, spec, **options):
    made = to_int8_fp16(model, spec, "d" * 64, CastOptions(**options))
    onnx.checker.check_model(made, full_check=True)
    return made


def constants(model):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_it_agrees_with_the_int8_graph(nets, spec, quantized, photographs):
    exact, whole = nets.run(quantized, photographs)[0], nets.run(nets.pose_net(), photographs)[0]
    got = nets.run(mixed(quantized, spec), photographs)[0]
    assert got.dtype == np.float32
    assert nets.decibels(got, whole) > nets.decibels(exact, whole) - 1  # no worse against the float network
    assert nets.decibels(got, exact) > 30


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_openvino_differs_from_the_graph_by_roundings(spec, quantized, photographs, tmp_path, monkeypatch, arithmetic):
    """ONNX Runtime has no kernels for a graph of float16 that quantizes: it computes what `nets.run` computes."""
    computing_in(arithmetic, monkeypatch)
    made = exact_here(mixed(quantized, spec), arithmetic)
    rounding = Rounding(made, {"input": photographs})
    (got,) = run_engine("openvino", made, rounding.feed, tmp_path / "engine")
    assert got.dtype == np.float32
    assert max(rounding.ratios([got])) < MOST


def test_the_form_that_strong_typing_takes(nets, spec, quantized):
    made = mixed(quantized, spec)
    value = constants(made)
    quantizers = [node for node in made.graph.node if node.op_type.endswith("eLinear")]
    assert [n.op_type for n in made.graph.node].count("Cast") == 2  # the two ends
    for node in quantizers:
        assert value[node.input[1]].dtype == np.float16 and (value[node.input[1]] > 0).all()
        assert value[node.input[2]].dtype == np.int8
    assert {v.dtype for name, v in value.items() if "__zero" not in name} == {np.dtype("int8"), np.dtype("float16")}
    before = [node.name for node in quantized.graph.node if node.op_type.endswith("eLinear")]
    assert [node.name for node in quantizers] == before  # the placement is the same
    assert made.opset_import[0].version == 19
    for port in (*made.graph.input, *made.graph.output):
        assert port.type.tensor_type.elem_type == TensorProto.FLOAT


def test_integers_stay_where_scales_fit(nets, spec, quantized):
    before, after = constants(quantized), constants(mixed(quantized, spec))
    names = [name for name in before if name.endswith("__int8")]
    assert len(names) > 3
    for name in names:
        np.testing.assert_array_equal(before[name], after[name])
        scale = name.removesuffix("__int8") + "__scale"
        half = after[scale + "__half"].astype(np.float32)
        np.testing.assert_allclose(half, before[scale], rtol=2**-11)


def test_a_dead_channel_gets_the_smallest_scale_and_integers_for_it(nets, spec, photographs):
    model = nets.pose_net()
    for tensor in model.graph.initializer:
        if tensor.name == "expand.w":
            weight = numpy_helper.to_array(tensor).copy()
            weight[3] *= 1e-5
            weight[5] *= 1e-12
            tensor.CopyFrom(numpy_helper.from_array(weight, tensor.name))
    quantized = quantize(model, nets.scales_for(model, photographs), spec)
    made = mixed(quantized, spec)
    value = constants(made)
    scale = value["expand.w__0__scale__half"].astype(np.float32)
    assert scale[3] == scale[5] == np.float32(SMALLEST)
    restored = value["expand.w__0__int8"] * scale[:, None, None, None]
    assert np.abs(restored - weight)[[3, 5]].max() <= SMALLEST / 2 * 1.01
    assert not value["expand.w__0__int8"][5].any() and value["expand.w__0__int8"][3].any()
    got, exact = nets.run(made, photographs)[0], nets.run(quantized, photographs)[0]
    assert nets.decibels(got, exact) > 30


def test_an_activation_with_a_tiny_scale_stays_in_float32(nets, spec, photographs):
    net = nets.Net()
    x = net.op("Mul", [net.conv("input", "a", 3, 8), net.constant("tiny", np.float32(1e-5))], "small")
    net.op("Mul", [net.conv(x, "b", 8, 8), net.constant("large", np.float32(1e4))], "heatmaps")
    model = net.model()
    quantized = quantize(model, nets.scales_for(model, photographs), spec, EVERYTHING)
    made = mixed(quantized, spec)
    value = constants(made)
    assert value["small__scale"].dtype == np.float32 and value["input__scale__half"].dtype == np.float16
    kept = json.loads(get_metadata(made, KEPT_FLOAT_KEY) or "")
    assert {"small__quantize", "small__dequantize"} <= set(kept)
    assert "too small for float16" in kept["small__quantize"]
    nets.run(made, photographs)


def test_scales_are_rounded_once_and_for_all(quantized):
    once = half_scales(quantized)
    again = half_scales(once)
    assert once.SerializeToString(deterministic=True) == again.SerializeToString(deterministic=True)
    for name, value in constants(once).items():
        if name.endswith("__scale"):
            np.testing.assert_array_equal(value, value.astype(np.float16))


def test_metadata_and_the_model_given(spec, quantized):
    before = quantized.SerializeToString()
    made = mixed(quantized, spec, keep_float=("/heatmaps",))
    assert quantized.SerializeToString() == before
    assert get_metadata(made, PARENT_KEY) == "d" * 64 and get_metadata(made, PRECISION_KEY) == "int8-fp16"
    kept = json.loads(get_metadata(made, KEPT_FLOAT_KEY) or "")
    assert kept["/stem"] == "stem: reads input 'input'"  # not int8
    assert kept["/heatmaps"] == "keep_float: '/heatmaps'"  # nor float16


def test_a_float_graph_is_refused(nets, spec):
    with pytest.raises(ModelError, match="made from an int8 graph"):
        mixed(nets.pose_net(), spec)
