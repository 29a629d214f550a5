"""The network with fake quantization against the quantized graph that it stands for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
import torch

from edgepose._files import sha256_file, sha256_json
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.scales import LEARNED, Scales, check_fresh, read_scales
from edgepose.artifacts.spec import embed_spec, embedded_spec
from edgepose.errors import CalibrationError
from edgepose.quantize import quantize
from edgepose.quantize.qdq import quantize_weight
from edgepose.quantize.source import read_float_graph
from edgepose.training.quantized.fake import fake_activation, fake_weight
from edgepose.training.quantized.result import write_result
from edgepose.training.quantized.start import Start, read_start


def moving_net(nets: ModuleType) -> onnx.ModelProto:
    """A network whose tensors are joined, pooled and added, which passes may quantize with one scale."""
    net = nets.Net()
    x = net.op("Relu", [net.conv("input", "stem", 3, 8, 3, stride=2)], "relu")
    pooled = net.op("MaxPool", [net.op("Relu", [net.conv(x, "a", 8, 8, 3)], "a1")], "pool", kernel_shape=[1, 1])
    joined = net.op("Concat", [pooled, net.op("Relu", [net.conv(x, "b", 8, 8)], "b1")], "join", axis=1)
    y = net.op("Add", [net.op("Relu", [net.conv(joined, "c", 16, 16)], "c1"), net.conv(joined, "d", 16, 16)], "add")
    net.conv(net.op("Relu", [net.conv(y, "e", 16, 8)], "e1"), "heatmaps", 8, 5)
    made: onnx.ModelProto = net.model()
    return made


def started(
    nets: ModuleType,
    folder: Path,
    options: QuantizeOptions,
    batch: str | int = "batch",
    model: onnx.ModelProto | None = None,
) -> Start:
    path, model = folder / "net.onnx", model or nets.pose_net(shape=(batch, 3, *nets.SIZE))
    spec = nets.make_spec()
    embed_spec(model, spec)
    onnx.save(model, path)
    images = next(iter(nets.Photographs(batch=1 if batch == 1 else 8)))[0]
    found = nets.scales_for(read_float_graph(path, spec), images)
    fresh = {"onnx_sha256": sha256_file(path), "preprocessing_sha256": sha256_json(spec.preprocessing())}
    return read_start(path, replace(found, **fresh), options)


@pytest.mark.parametrize(
    "options",
    [
        QuantizeOptions(),
        QuantizeOptions(stem_float=False, head_float=False, deconv_weights="axis1"),
        QuantizeOptions(keep_float=("/depthwise",), clip_to_relu=False),
    ],
    ids=["default", "all", "kept"],
)
def test_it_gives_what_the_quantized_graph_gives(nets: ModuleType, tmp_path: Path, options: QuantizeOptions) -> None:
    start = started(nets, tmp_path, options)
    images = next(iter(nets.Photographs()))[0]
    int8 = quantize(start.model, start.work.scales, start.work.spec, options)
    (wanted,) = nets.run(int8, images)
    found = start.student()(torch.from_numpy(images)).detach().numpy()
    # a value in the middle of two int8 steps may go to either side
    assert nets.decibels(found, wanted) > 50


@pytest.mark.parametrize("moves", [False, True])
def test_the_result_is_quantized_to_what_was_trained(nets: ModuleType, tmp_path: Path, moves: bool) -> None:
    options, model = QuantizeOptions(stem_float=False), moving_net(nets) if moves else None
    start, images = started(nets, tmp_path, options, model=model), next(iter(nets.Photographs()))[0]
    network = start.student()
    with torch.no_grad():
        for weight in network.weight_parameters():
            weight += 0.01 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
        network.log2_factors.add_(torch.linspace(-0.9, 0.9, len(network.log2_factors)))
    path, table = write_result(start, network, tmp_path)
    scales, spec = read_scales(table), embedded_spec(onnx.load(path), "test")
    check_fresh(scales, sha256_file(path), spec)
    assert spec.quantize == options
    (wanted,) = nets.run(quantize(read_float_graph(path, spec), scales, spec), images)
    found = network(torch.from_numpy(images)).detach().numpy()
    assert nets.decibels(found, wanted) > 50
    assert set(scales.tensors) == set(start.work.scales.tensors)
    assert {item.method for item in scales.tensors.values()} == {LEARNED, ""}
    assert read_start(path, scales).work.activation_scales == pytest.approx(network.scales())


def test_a_fixed_batch_takes_any_number_of_images(nets: ModuleType, tmp_path: Path) -> None:
    start = started(nets, tmp_path, QuantizeOptions(), batch=1)
    images = torch.from_numpy(next(iter(nets.Photographs()))[0])
    found = start.teacher()(images)
    torch.testing.assert_close(found[2:3], start.teacher()(images[2:3]))
    assert len(found) == len(images)


def test_equal_scales_share_one_parameter(nets: ModuleType, tmp_path: Path) -> None:
    start = started(nets, tmp_path, QuantizeOptions(stem_float=False, head_float=False))
    scales = start.work.activation_scales
    assert start.student().log2_factors.numel() == len(set(scales.values()))


@pytest.mark.parametrize(("axis", "groups"), [(None, 1), (0, 1), (1, 1), (0, 2)])
def test_a_fake_weight_is_that_of_the_quantizer(axis: int | None, groups: int) -> None:
    weight = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    weight[1] = 0
    values, scale = quantize_weight(weight, axis, groups)
    spread = scale if axis is None else scale.reshape([-1 if index == axis else 1 for index in range(4)])
    source = torch.from_numpy(weight).requires_grad_()
    found = fake_weight(source, axis, groups)
    np.testing.assert_array_equal(found.detach().numpy(), values * spread)
    found.sum().backward()
    assert source.grad is not None and bool((source.grad == 1).all())


def test_gradients_of_a_fake_activation_are_those_of_the_definition() -> None:
    values = torch.tensor([-200.0, -3.3, 0.2, 2.6, 200.0], requires_grad=True)
    scale = torch.tensor(1.0, requires_grad=True)
    fake_activation(values, scale).sum().backward()
    assert values.grad is not None and values.grad.tolist() == [0, 1, 1, 1, 0]
    assert scale.grad is not None
    assert scale.grad.item() == pytest.approx(-128 + (-3 + 3.3) + (0 - 0.2) + (3 - 2.6) + 127, abs=1e-5)


def test_scales_of_another_file_are_refused(nets: ModuleType, tmp_path: Path) -> None:
    start = started(nets, tmp_path, QuantizeOptions())
    assert isinstance(start.work.scales, Scales)
    other = nets.made_up_scales(("input",))
    with pytest.raises(CalibrationError, match="the scales are stale"):
        read_start(tmp_path / "net.onnx", other)
