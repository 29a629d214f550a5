"""Residual sums whose inputs differ in range stay in float, whatever the network calls them."""

from __future__ import annotations

import numpy as np
import onnx

from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.scales import read_scales, write_scales
from edgepose.backends.onnxruntime import make_runner
from edgepose.graph.prepare import prepare
from edgepose.quantize import calibrate
from edgepose.quantize.placement import place
from edgepose.quantize.residual_sums import FACTOR, residual_sums, uneven_sums


def test_the_rule_compares_the_larger_with_the_smaller_input():
    sums = {"/even": ("a", "b"), "/uneven": ("a", "c"), "/turned": ("c", "a"), "/dead": ("a", "z")}
    found = uneven_sums(sums, {"a": 1.0, "b": FACTOR, "c": 10.0, "z": 0.0})
    assert found == dict.fromkeys(("/uneven", "/turned"), "sum: one input reaches 10 and the other 1")


def test_sums_with_a_constant_are_no_residual_sums(nets):
    net = nets.Net()
    x = net.op("Add", [net.conv("input", "stem", 3, 4), net.constant("one", np.float32(1))], "shifted")
    net.conv(net.op("Add", [x, net.conv(x, "a", 4, 4)], "sum"), "heatmaps", 4, 2)
    assert residual_sums(prepare(net.model())) == {"/sum": ("shifted", "a")}


def test_calibration_writes_what_stays_in_float(nets, spec, tmp_path):
    model = nets.pose_net()
    for tensor in model.graph.initializer:
        if tensor.name.startswith("project."):
            weight = onnx.numpy_helper.to_array(tensor) / 100
            tensor.CopyFrom(onnx.numpy_helper.from_array(weight, tensor.name))
    onnx.save(model, tmp_path / "net.onnx")
    options = QuantizeOptions(method="minmax")
    scales = calibrate(tmp_path / "net.onnx", nets.Photographs(), spec, options, make_runner=make_runner)
    write_scales(tmp_path / "scales.json", scales)
    assert list(read_scales(tmp_path / "scales.json").keep_float) == ["/add"]
    placement = place(prepare(model), spec, options, scales.keep_float)
    assert placement.kept_float["/add"].startswith("sum: one input reaches")
    assert "/add" not in {name for readers in placement.reads.values() for name, _ in readers}
