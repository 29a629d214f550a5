"""Equalization changes nothing in float, evens the ranges of channels, and adds no operation to the int8 graph."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest

from edgepose.api.diagnose import diagnose
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.spec import embed_spec
from edgepose.backends.onnxruntime import make_runner
from edgepose.graph.lookup import graph_of
from edgepose.graph.prepare import prepare
from edgepose.quantize import calibrate, quantize
from edgepose.quantize.equalize import equalization, equalized, links


def uneven(nets: Any, activation: str, reader: str) -> onnx.ModelProto:
    """A network in which the channels between two layers differ in range by a factor of 200."""
    net = nets.Net(3)
    x = net.op("Relu", [net.conv("input", "stem", 3, 8, 3)], "stem_out")
    sizes = np.geomspace(1, 200, 8).astype(np.float32)
    weight = net.constant("a.w", (net.random.normal(0, 0.05, (8, 8, 1, 1)) * sizes[:, None, None, None]).astype("f4"))
    y = net.op("Conv", [x, weight, net.constant("a.b", np.full(8, 0.1, np.float32) * sizes)], "a")
    if activation == "Clip":
        y = net.clip(y, "act")
    elif activation:
        y = net.op(activation, [y], "act")
    inverse = 1 / sizes  # small channels matter as much as large ones
    if reader == "depthwise":
        w = (net.random.normal(0, 0.3, (8, 1, 3, 3)) * inverse[:, None, None, None]).astype(np.float32)
        y = net.op("Conv", [y, net.constant("b.w", w)], "b", pads=[1] * 4, group=8)
    elif reader == "grouped":
        w = (net.random.normal(0, 0.3, (4, 4, 1, 1)) * inverse.reshape(2, 4)[[0, 0, 1, 1]][:, :, None, None]).astype(
            "f4"
        )
        y = net.op("Conv", [y, net.constant("b.w", w)], "b", group=2)
        return net.model(output=net.conv(net.op("Relu", [y], "last"), "heatmaps", 4, 2))
    elif reader == "deconv":
        w = (net.random.normal(0, 0.3, (8, 8, 4, 4)) * inverse[:, None, None, None]).astype(np.float32)
        y = net.op("ConvTranspose", [y, net.constant("b.w", w)], "b", strides=[2, 2], pads=[1] * 4)
    else:
        w = (net.random.normal(0, 0.3, (8, 8, 1, 1)) * inverse[None, :, None, None]).astype(np.float32)
        y = net.op("Conv", [y, net.constant("b.w", w)], "b")
    return net.model(output=net.conv(net.op("Relu", [y], "last"), "heatmaps", 8, 2))


def embedded(model: onnx.ModelProto, spec: Any) -> onnx.ModelProto:
    embed_spec(model, spec)
    return model


def ranges_of(model: onnx.ModelProto, tensors: tuple[str, ...], images: Any) -> dict[str, Any]:
    values = make_runner(prepare(model), tensors).run(images)
    return {name: np.abs(values[name]).max(axis=(0, 2, 3)) for name in tensors}


@pytest.mark.parametrize("activation", ["Relu", "LeakyRelu", "Clip", ""])
@pytest.mark.parametrize("reader", ["depthwise", "grouped", "pointwise", "deconv"])
def test_float_results_stay_and_ranges_become_similar(nets, activation, reader):
    model = prepare(uneven(nets, activation, reader))
    tensor = "act" if activation else "a"
    assert tensor in [link.tensor for link in links(graph_of(model))]
    images = nets.Photographs(4).images
    before = ranges_of(model, (tensor,), images)
    factors = equalization(model, before)
    made = equalized(model, factors)
    assert np.array_equal(nets.run(made, images)[0], nets.run(model, images)[0])  # the factors are powers of two
    after = ranges_of(made, (tensor,), images)[tensor]
    spread = before[tensor].max() / before[tensor].min()
    assert after.max() / after.min() < max(0.3 * spread, 2.1)
    assert max(factors[tensor]) == 1 and min(factors[tensor]) < 1


@pytest.mark.parametrize("activation", ["Relu", "Clip", ""])
@pytest.mark.parametrize("reader", ["depthwise", "pointwise"])
def test_int8_loses_less_and_has_no_further_operation(nets, spec, tmp_path, activation, reader):
    path = tmp_path / "net.onnx"
    onnx.save(uneven(nets, activation, reader), path)
    images = nets.Photographs(8).images
    expected = nets.run(onnx.load(path), images)[0]
    errors, operators = [], []
    for equalize in (False, True):
        options = QuantizeOptions(method="minmax", equalize=equalize, bias_correction=False)
        scales = calibrate(path, nets.Photographs(), spec, options, make_runner=make_runner)
        assert bool(scales.equalization) == equalize
        made = quantize(onnx.load(path), scales, spec, options)
        errors.append(np.square(nets.run(made, images)[0] - expected).mean())
        operators.append(sorted(node.op_type for node in made.graph.node))
    assert errors[1] < 0.5 * errors[0]
    assert operators[0] == operators[1]


def test_tensors_that_stay_in_float_are_left_as_they_are(nets, spec, tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(uneven(nets, "Clip", "pointwise"), path)
    scales = calibrate(path, nets.Photographs(), spec, QuantizeOptions(), make_runner=make_runner)
    assert "act" in scales.equalization
    made = quantize(onnx.load(path), replace(scales, keep_float={"/b": "by hand"}), spec)
    assert "Min" not in [node.op_type for node in made.graph.node]
    assert not any("__equalized" in name for node in made.graph.node for name in node.output)


def test_diagnose_does_not_compare_tensors_that_hold_other_values(nets, spec, tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(embedded(uneven(nets, "Relu", "pointwise"), spec), path)
    scales = calibrate(path, nets.Photographs(), spec, QuantizeOptions(), make_runner=make_runner)
    made = quantize(onnx.load(path), scales, spec)
    names = {name for node in made.graph.node for name in node.output}
    assert {"a__equalized", "act__equalized"} <= names and not {"a", "act"} & names
    onnx.save(made, tmp_path / "int8.onnx")
    found = diagnose(path, tmp_path / "int8.onnx")
    assert not {"a", "act"} & {step.tensor for step, _ in found.losses}


@pytest.mark.parametrize(
    "change",
    ["an output", "a reader that cannot absorb", "shared weights"],
)
def test_what_cannot_absorb_factors_is_no_link(nets, change):
    net = nets.Net()
    x = net.op("Relu", [net.conv("input", "stem", 3, 4)], "r")
    if change == "an output":
        assert not links(graph_of(prepare(net.model(output="r"))))
        return
    y = net.conv(x, "b", 4, 4)
    if change == "a reader that cannot absorb":
        y = net.op("Add", [y, x], "sum")
    else:
        y = net.op("Add", [y, net.op("Conv", [x, "b.w"], "c")], "sum")
    assert "r" not in [link.tensor for link in links(graph_of(prepare(net.model(output=y))))]
