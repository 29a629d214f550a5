from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgepose.artifacts.spec import KEPT_FLOAT_KEY, PARENT_KEY, PRECISION_KEY, get_metadata
from edgepose.errors import ModelError, UsageError
from edgepose.quantize import quantize
from edgepose.quantize.cast import CastOptions, to_fp16


def cast(model, spec, **options):
    made = to_fp16(model, spec, "d" * 64, CastOptions(**options))
    onnx.checker.check_model(made, full_check=True)
    return made


def casts(model):
    return [(node.input[0], node.output[0]) for node in model.graph.node if node.op_type == "Cast"]


def test_close_to_float32_in_both_cpu_engines(nets, spec, tmp_path):
    model, images = nets.pose_net(), nets.Photographs(8).images
    made = cast(model, spec)
    expected = nets.run(model, images)[0]
    for got in (nets.run(made, images, plain=False)[0], nets.run_openvino(made, images, tmp_path)):
        assert got.dtype == np.float32 and nets.decibels(got, expected) > 50


def test_every_weight_is_half_and_only_the_ends_are_cast(nets, spec):
    made = cast(nets.pose_net(), spec)
    assert {tensor.data_type for tensor in made.graph.initializer} == {TensorProto.FLOAT16}
    assert casts(made) == [("input", "input__half"), ("heatmaps__half", "heatmaps")]
    for value in (*made.graph.input, *made.graph.output):
        assert value.type.tensor_type.elem_type == TensorProto.FLOAT
    assert get_metadata(made, PARENT_KEY) == "d" * 64 and get_metadata(made, PRECISION_KEY) == "fp16"


def test_the_model_given_is_left_alone(nets, spec):
    model = nets.pose_net()
    before = model.SerializeToString()
    cast(model, spec)
    assert model.SerializeToString() == before


def test_kept_nodes_have_casts_around_them_and_none_between_them(nets, spec):
    model, images = nets.pose_net(), nets.Photographs(8).images
    made = cast(model, spec, keep_float=("/expand", "/expand6"))
    around = [("stem6", "stem6__float"), ("expand6", "expand6__half")]
    assert casts(made) == [("input", "input__half"), *around, ("heatmaps__half", "heatmaps")]
    kinds = {tensor.name: tensor.data_type for tensor in made.graph.initializer}
    assert kinds["expand.w"] == TensorProto.FLOAT and kinds["project.w__half"] == TensorProto.FLOAT16
    assert nets.decibels(nets.run(made, images)[0], nets.run(model, images)[0]) > 50
    assert json.loads(get_metadata(made, KEPT_FLOAT_KEY) or "") == {
        "/expand": "keep_float: '/expand'",
        "/expand6": "keep_float: '/expand6'",
    }


def test_a_graph_output_that_is_read_inside_too(nets, spec):
    net = nets.Net()
    x = net.conv("input", "mid", 3, 4)
    net.conv(x, "heatmaps", 4, 2)
    model = net.model()
    model.graph.output.append(helper.make_tensor_value_info("mid", TensorProto.FLOAT, ["batch", 4, None, None]))
    made, images = cast(model, spec), nets.Photographs(4).images
    for got, expected in zip(nets.run(made, images), nets.run(model, images), strict=True):
        assert got.dtype == np.float32 and nets.decibels(got, expected) > 50


def test_softmax_and_constants_beyond_half_stay_in_float32(nets, spec):
    net = nets.Net()
    x = net.op("Mul", [net.conv("input", "a", 3, 4), net.constant("huge", np.float32(1e6))], "far")
    x = net.op("Mul", [x, net.constant("tiny", np.float32(1e-6))], "near")
    net.op("Softmax", [net.conv(x, "b", 4, 4)], "heatmaps", axis=1)
    model = net.model()
    made, images = cast(model, spec, keep_float=("/near",)), nets.Photographs(4).images
    kept = json.loads(get_metadata(made, KEPT_FLOAT_KEY) or "")
    assert "beyond float16's 65504" in kept["/far"] and "Softmax" in kept["/heatmaps"]
    got, expected = nets.run(made, images)[0], nets.run(model, images)[0]
    assert np.isfinite(got).all() and nets.decibels(got, expected) > 45


def test_resize_scales_integers_and_casts(nets, spec):
    net = nets.Net()
    x = net.conv("input", "a", 3, 4)
    empty = net.constant("roi", np.zeros(0, np.float32))
    up = net.op("Resize", [x, empty, net.constant("up", np.array([1, 1, 2, 2], np.float32))], "larger")
    shape = net.op("Shape", [up], "shape")
    total = net.op("Cast", [net.op("ReduceMax", [shape], "most", keepdims=0)], "number", to=TensorProto.FLOAT)
    fill = numpy_helper.from_array(np.array([0.5], np.float32))
    half = net.op("ConstantOfShape", [shape], "halves", value=fill)
    net.op("Add", [net.op("Div", [up, total], "smaller"), half], "heatmaps")
    model, images = net.model(), nets.Photographs(4).images
    made = cast(model, spec)
    assert nets.decibels(nets.run(made, images)[0], nets.run(model, images)[0]) > 50


def test_errors_say_what(nets, spec):
    model = nets.pose_net()
    with pytest.raises(UsageError, match="'/stm' names no node"):
        cast(model, spec, keep_float=("/stm",))
    scales = nets.scales_for(model, nets.Photographs(8).images)
    with pytest.raises(ModelError, match="quantized already"):
        cast(quantize(model, scales, spec), spec)
    odd = nets.pose_net()
    del odd.graph.value_info[:]
    odd.graph.node[1].op_type = "Clop"
    with pytest.raises(ModelError, match="the type of 'stem6', made by '/stem6'"):
        cast(odd, spec)


def layer_norm(nets):
    """A layer norm as older exporters write it, over activations of some hundreds; `far` is its input."""
    net = nets.Net()
    x = net.op("Mul", ["input", net.constant("hundred", np.float32(100))], "far")
    mean = net.op("ReduceMean", [x], "mean", axes=[-1])
    away = net.op("Sub", [x, mean], "away")
    variance = net.op("ReduceMean", [net.op("Mul", [away, away], "squares")], "variance", axes=[-1])
    spread = net.op("Sqrt", [net.op("Add", [variance, net.constant("epsilon", np.float32(1e-5))], "safe")], "spread")
    net.op("Mul", [net.op("Div", [away, spread], "normed"), net.constant("gamma", np.float32(0.7))], "heatmaps")
    return net.model()


def test_a_layer_norm_written_out_does_not_overflow(nets, spec):
    """ONNX's reference computes in half; ONNX Runtime's CPU kernels may not."""
    from onnx.reference import ReferenceEvaluator

    model, images = layer_norm(nets), nets.Photographs(4).images
    made = cast(model, spec)
    kept = json.loads(get_metadata(made, KEPT_FLOAT_KEY) or "")
    assert set(kept) == {"/mean", "/away", "/squares", "/variance", "/safe", "/spread", "/normed"}
    got, expected = (ReferenceEvaluator(each).run(None, {"input": images})[0] for each in (made, model))
    assert nets.decibels(got, expected) > 55


def test_arithmetic_beside_sensitive_operators_stays_in_half(nets, spec):
    net = nets.Net()
    before = net.op("Mul", ["input", net.constant("two", np.float32(2))], "before")
    after = net.op("Mul", [net.op("Softmax", [before], "soft", axis=1), "input"], "after")
    net.conv(after, "heatmaps", 3, 2)
    kept = json.loads(get_metadata(cast(net.model(), spec), KEPT_FLOAT_KEY) or "")
    assert set(kept) == {"/soft"}


def test_zeros_of_a_shape_are_half(nets, spec):
    net = nets.Net()
    x = net.conv("input", "a", 3, 4)
    net.op("Add", [x, net.op("ConstantOfShape", [net.op("Shape", [x], "shape")], "zeros")], "heatmaps")
    model, images = net.model(), nets.Photographs(4).images
    assert nets.decibels(nets.run(cast(model, spec), images)[0], nets.run(model, images)[0]) > 50
