"""Wide ranges, dead tensors and computed weights: quantization goes on, and says what it costs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest

from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.scales import TensorRange
from edgepose.artifacts.spec import NOTES_KEY, get_metadata
from edgepose.backends.declared.tensorrt_rtx import TensorRtRtxOptions
from edgepose.backends.engine import build_engine
from edgepose.errors import ModelError
from edgepose.quantize import quantize
from edgepose.quantize.qdq import quantize_weight


@pytest.fixture
def photographs(nets: Any) -> Any:
    return np.random.default_rng(4).normal(size=(2, 3, *nets.SIZE)).astype(np.float32)


def notes_of(model: onnx.ModelProto) -> list[str]:
    return json.loads(get_metadata(model, NOTES_KEY) or "[]")


def deconv_net(nets: Any, groups: int, spread: float) -> onnx.ModelProto:
    """A deconvolution with groups whose output channels differ in range by `spread`."""
    net = nets.Net()
    x = net.op("Relu", [net.conv("input", "stem", 3, 8, 3, stride=2)], "r")
    weight = net.random.normal(0, 0.3, (8, 8 // groups, 4, 4))
    weight /= np.abs(weight).max(axis=(2, 3), keepdims=True)
    sizes = np.geomspace(1, spread, 8).reshape(groups, 8 // groups)  # of each output channel
    weight *= np.repeat(sizes, 8 // groups, axis=0)[:, :, None, None]
    name = net.constant("deconv.w", weight.astype(np.float32))
    y = net.op("ConvTranspose", [x, name], "deconv", strides=[2, 2], pads=[1] * 4, group=groups)
    head = np.ones((5, 8, 1, 1)) / sizes.reshape(1, 8, 1, 1)  # small channels matter as much as large ones
    net.op("Conv", [net.op("Relu", [y], "y"), net.constant("head.w", head.astype(np.float32))], "heatmaps")
    return net.model()


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_a_deconvolution_gets_a_scale_per_output_channel_with_groups_too(nets, spec, photographs, groups):
    model = deconv_net(nets, groups, 50.0)
    scales = nets.scales_for(model, photographs)
    expected = nets.run(model, photographs)[0]
    one = quantize(model, scales, spec, QuantizeOptions(deconv_weights="per_tensor"))
    each = quantize(model, scales, spec)
    onnx.checker.check_model(each)
    found = [nets.decibels(nets.run(made, photographs)[0], expected) for made in (one, each)]
    assert found[1] > found[0] + (6 if groups != 2 else 2)
    (note,) = notes_of(one)
    assert "/deconv by a factor of" in note and "--deconv-weights per_channel" in note
    assert not notes_of(each)


def test_input_channels_of_one_group_share_a_scale():
    weight = np.random.default_rng(0).normal(size=(6, 4, 3, 3)).astype(np.float32)
    values, scale = quantize_weight(weight, 0, groups=3)
    assert scale.shape == (6,) and len(set(scale.tolist())) == 3
    assert (scale[0::2] == scale[1::2]).all()
    assert np.abs(values * scale[:, None, None, None] - weight).max() <= scale.max() / 2 + 1e-7


@pytest.mark.parametrize("spread", [1.2, 5.0])
def test_an_even_deconvolution_gives_no_warning(nets, spec, photographs, spread):
    model = deconv_net(nets, 1, spread)
    options = QuantizeOptions(deconv_weights="per_tensor")
    assert not notes_of(quantize(model, nets.scales_for(model, photographs), spec, options))


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_every_runtime_takes_the_axis_of_a_deconvolution(nets, spec, photographs, tmp_path, groups):
    model = deconv_net(nets, groups, 50.0)
    made = quantize(model, nets.scales_for(model, photographs), spec)
    expected = nets.run(made, photographs)[0]
    for got in (nets.run(made, photographs, plain=False)[0], nets.run_openvino(made, photographs, tmp_path)):
        assert nets.decibels(got, expected) > 25


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_tensorrt_rtx_builds_the_axis_of_a_deconvolution(nets, spec, photographs, tmp_path, groups):
    pytest.importorskip("tensorrt_rtx_bindings")
    model = deconv_net(nets, groups, 50.0)
    made = quantize(model, nets.scales_for(model, photographs), spec)
    onnx.save(made, tmp_path / "int8.onnx")
    options = TensorRtRtxOptions(precision="int8", float_parts="fp32", capabilities=("SM89",))
    manifest = build_engine(tmp_path / "int8.onnx", tmp_path / "engine", spec, options, "tensorrt_rtx", "a test")
    assert manifest.precision == "int8"


def with_channel_max(scales: Any, tensor: str, values: list[float]) -> Any:
    item = scales.tensors[tensor]
    made = TensorRange(min=item.min, max=item.max, scale=max(values) / 127, statistics={"channel_max": values})
    return replace(scales, tensors=scales.tensors | {tensor: made})


@pytest.mark.parametrize(
    ("values", "warned"),
    [
        ([1.0] * 31 + [900.0], True),
        ([1.0] * 31 + [20.0], False),
        ([0.0] * 20 + [1.0] * 12, False),  # dead channels say nothing
        ([1.0] * 10 + [500.0] * 22, False),  # the typical channel is a large one
    ],
)
def test_one_channel_that_sets_the_range_is_named(nets, spec, photographs, values, warned):
    model = nets.pose_net()
    scales = with_channel_max(nets.scales_for(model, photographs), "expand6", values)
    notes = notes_of(quantize(model, scales, spec))
    assert bool(notes) == warned
    if warned:
        assert "'expand6' reaches 900 in channel 31 and 1 in the median channel (0.14 of 127 steps)" in notes[0]
        assert "--keep-float '/depthwise'" in notes[0]


def test_dead_tensors_get_scale_1_and_are_named_at_once(nets, spec, photographs):
    model = nets.pose_net()
    scales = nets.scales_for(model, photographs)
    dead = {name: TensorRange(min=0, max=0, scale=0) for name in ("expand6", "depthwise6")}
    made = quantize(model, replace(scales, tensors=scales.tensors | dead), spec)
    (note,) = notes_of(made)
    assert "2 tensors were zero" in note and "'expand6', 'depthwise6'" in note
    assert np.isfinite(nets.run(made, photographs)[0]).all()


def test_weights_that_the_graph_computes_are_named(nets, spec):
    net = nets.Net()
    x = net.conv("input", "stem", 3, 4)
    turned = net.op("Transpose", [net.weights("w", 4, 4, 1, 1)], "turned", perm=[1, 0, 2, 3])
    y = net.op("Conv", [x, net.op("Mul", [turned, net.constant("two", np.float32(2))], "scaled")], "middle")
    net.conv(y, "heatmaps", 4, 2)
    with pytest.raises(ModelError, match=r"weights of 1 of 3 layers are computed by Mul/Transpose.*: /middle; export"):
        quantize(net.model(), nets.made_up_scales(("stem",)), spec)


def test_a_newer_opset_than_needed_is_lowered(nets, spec, photographs):
    model = nets.pose_net()
    scales = nets.scales_for(model, photographs)
    newest = onnx.ModelProto.FromString(model.SerializeToString())
    newest.opset_import[0].version = 25
    newest.ir_version = 12
    made = quantize(newest, scales, spec)
    assert made.opset_import[0].version == 21
    np.testing.assert_array_equal(
        nets.run(made, photographs)[0], nets.run(quantize(model, scales, spec), photographs)[0]
    )
