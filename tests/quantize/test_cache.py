from __future__ import annotations

import struct

import numpy as np
import pytest

from edgepose.errors import ModelError
from edgepose.quantize import quantize
from edgepose.quantize.cache import calibration_cache, tensor_scales, version_number


@pytest.fixture
def photographs(nets):
    return nets.Photographs(8).images


@pytest.fixture
def scales(nets, photographs):
    return nets.scales_for(nets.pose_net(), photographs)


@pytest.fixture
def quantized(nets, spec, scales):
    return quantize(nets.pose_net(), scales, spec)


def test_the_file_as_tensorrt_reads_it(quantized, scales):
    head, *lines = calibration_cache(quantized, "10.3.0").splitlines()
    assert head == "TRT-100300-EntropyCalibration2"
    assert [line.split(": ")[0] for line in lines] == sorted(tensor_scales(quantized))
    found = {
        name: struct.unpack(">f", bytes.fromhex(digits))[0] for name, digits in (line.split(": ") for line in lines)
    }
    for name in ("stem6", "expand6", "depthwise6", "add"):
        assert found[name] == np.float32(scales.tensors[name].scale)


def test_what_only_an_activation_separates_has_the_same_line(quantized):
    found = tensor_scales(quantized)
    assert found["expand"] == found["expand6"]  # conv -> clip -> quantizer
    assert "project" not in found  # conv -> add: its own range is not known
    assert "input" not in found and "heatmaps" not in found  # stem and head run in float


def test_a_range_of_its_own_goes_before_that_of_the_activation(nets, spec, photographs):
    net = nets.Net()
    x = net.conv("input", "stem", 3, 4)
    y = net.conv(net.op("Relu", [x], "r"), "mid", 4, 4)
    net.conv(net.op("Add", [y, x], "sum"), "heatmaps", 4, 2)  # the other input of a residual sum is quantized
    scales = nets.scales_for(net.model(), photographs)
    found = tensor_scales(quantize(net.model(), scales, spec))
    assert found["stem"] == np.float32(scales.tensors["stem"].scale) != found["r"]


def test_a_tensor_that_others_read_too_has_none(nets, spec, photographs):
    net = nets.Net()
    x = net.conv("input", "stem", 3, 4)
    y = net.conv(net.op("Relu", [x], "r"), "mid", 4, 4)
    net.conv(net.op("Mul", [y, x], "product"), "heatmaps", 4, 2)
    model = net.model()
    found = tensor_scales(quantize(model, nets.scales_for(model, photographs), spec))
    assert "r" in found and "stem" not in found


@pytest.mark.parametrize(
    ("version", "number"),
    [("8.6.1", 8601), ("8.6.2.3", 8602), ("10.0.1", 100001), ("10.13.2.6", 101302), ("10", 100000)],
)
def test_versions_as_tensorrt_writes_them(version, number):
    assert version_number(version) == number


def test_a_float_graph_is_refused(nets):
    with pytest.raises(ModelError, match="has no quantizers"):
        calibration_cache(nets.pose_net(), "10.3.0")
