"""Layers with few channels: TensorRT's limits, the reasons, and when a build applies them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from edgepose.api.channels import with_channels
from edgepose.api.request import BuildOptions, build_request
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.spec import ModelSpec
from edgepose.errors import ModelError
from edgepose.graph.prepare import prepare
from edgepose.quantize.placement import place

EVERY = QuantizeOptions(stem_float=False, head_float=False)
TENSORRT = replace(EVERY, channels="tensorrt")


def kept(nets: ModuleType, spec: ModelSpec, inputs: int, outputs: int, kernel: int, group: int) -> str | None:
    """Return the reason that the second of three layers stays in float."""
    net = nets.Net()
    x = net.conv("input", "first", 3, inputs)
    x = net.conv(x, "layer", inputs, outputs, kernel, group=group)
    x = net.conv(x, "wide", outputs, 32)
    placement = place(prepare(net.model(output=net.conv(x, "wide2", 32, 32))), spec, TENSORRT)
    return placement.kept_float.get("/layer")


@pytest.mark.parametrize(
    ("inputs", "outputs", "kernel", "group", "reason"),
    [
        (16, 16, 1, 1, None),
        (17, 33, 3, 1, None),
        (8, 24, 1, 1, None),  # multiples of 8
        (12, 32, 1, 1, "12 input and 32 output channels are few"),
        (32, 12, 1, 1, "32 input and 12 output channels are few"),
        (32, 32, 3, 32, None),  # depthwise
        (32, 32, 1, 32, "a depthwise kernel of 1x1 is small"),
        (20, 20, 3, 20, "20 depthwise channels are no multiple of 8"),
        (64, 64, 3, 2, None),
        (24, 24, 3, 2, "12 input and 12 output channels in each group are few"),
    ],
)
def test_convolutions(
    nets: ModuleType, spec: ModelSpec, inputs: int, outputs: int, kernel: int, group: int, reason: str | None
) -> None:
    found = kept(nets, spec, inputs, outputs, kernel, group)
    assert found == reason or (found is not None and reason is not None and found.startswith(reason))


@pytest.mark.parametrize(
    ("rows", "columns", "vectors", "reason"),
    [
        (32, 32, 12, None),
        (32, 12, 12, "a matrix of 32 x 12 is small"),
        (32, 32, 1, "it multiplies one vector for each image"),
    ],
)
def test_matrices(nets: ModuleType, spec: ModelSpec, rows: int, columns: int, vectors: int, reason: str | None) -> None:
    net = nets.Net()
    x = net.conv("input", "first", 3, 32)
    shape = net.constant("shape", np.array([-1, vectors, rows], np.int64))
    x = net.op("Reshape", [x, shape], "rows")
    x = net.op("MatMul", [x, net.weights("matrix.w", rows, columns)], "matrix")
    back = net.constant("back", np.array([-1, columns, 1, vectors], np.int64))
    x = net.conv(net.op("Reshape", [x, back], "image"), "wide", columns, 32)
    model = prepare(net.model(output=net.conv(x, "wide2", 32, 32)))
    assert (place(model, spec, TENSORRT).kept_float.get("/matrix") or "").startswith(reason or "")
    assert ("/matrix" in place(model, spec, TENSORRT).quantized) == (reason is None)
    assert "/matrix" in place(model, spec, EVERY).quantized  # "auto" is "any" outside of a build


@pytest.mark.parametrize(
    ("backends", "channels"),
    [
        (("openvino",), "auto"),
        (("tensorrt",), "tensorrt"),
        (("tensorrt", "tensorrt_rtx"), "tensorrt"),
        (("tensorrt_rtx", "onnxruntime"), "auto"),
    ],
)
def test_the_backends_decide(
    nets: ModuleType, spec: ModelSpec, tmp_path: Path, backends: tuple[str, ...], channels: str
) -> None:
    request = build_request("net.onnx", tmp_path, BuildOptions(backends=backends))
    assert with_channels(request, nets.pose_net(), spec, EVERY).channels == channels
    for asked in ("any", "tensorrt"):
        given = replace(EVERY, channels=asked)
        assert with_channels(request, nets.pose_net(), spec, given) == given


def test_a_network_of_few_channels_is_quantized_all_the_same(nets: ModuleType, spec: ModelSpec, tmp_path: Path) -> None:
    net = nets.Net()
    model = net.model(output=net.conv(net.conv("input", "a", 3, 4), "b", 4, 4))
    said: list[str] = []
    request = build_request("net.onnx", tmp_path, BuildOptions(backends=("tensorrt",)))
    assert with_channels(request, model, spec, EVERY, said.append) == EVERY
    assert "every layer has few channels" in said[0]
    with pytest.raises(ModelError, match="nothing in this network can be quantized"):
        place(prepare(model), spec, TENSORRT)
