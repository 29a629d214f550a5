"""A network of a few nodes: image [batch, 3, 16, 12] -> heatmaps [batch, 14, 8, 6], in three precisions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgepose.artifacts.spec import ModelSpec, embed_spec, spec_from_dict

MakeTiny = Callable[..., onnx.ModelProto]


def tensor(name: str, value: np.ndarray) -> onnx.TensorProto:
    return numpy_helper.from_array(value, name)


def tiny_model(*, batch: int | str = "batch", quantized: bool = False) -> onnx.ModelProto:
    """Conv stride 2, Relu, Conv 1x1; with `quantized`, Q/DQ (symmetric int8) around the second Conv."""
    rng = np.random.default_rng(0)
    first = rng.normal(size=(32, 3, 3, 3)).astype(np.float32)
    second = rng.normal(size=(14, 32, 1, 1)).astype(np.float32) / 8
    weights = [tensor("w1", first), tensor("b1", np.ones(32, np.float32))]
    nodes = [
        helper.make_node("Conv", ["image", "w1", "b1"], ["a"], "/stem/Conv", strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["r"], "/stem/Relu"),
    ]
    if quantized:
        scale = np.abs(second).max(axis=(1, 2, 3)) / 127
        levels = np.rint(second / scale[:, None, None, None]).astype(np.int8)
        weights += [tensor("w2q", levels), tensor("w2s", scale), tensor("w2z", np.zeros(14, np.int8))]
        weights += [tensor("s", np.array(0.2, np.float32)), tensor("z", np.array(0, np.int8))]
        nodes += [
            helper.make_node("QuantizeLinear", ["r", "s", "z"], ["rq"], "/head/Q"),
            helper.make_node("DequantizeLinear", ["rq", "s", "z"], ["rd"], "/head/DQ"),
            helper.make_node("DequantizeLinear", ["w2q", "w2s", "w2z"], ["w2"], "/head/W", axis=0),
            helper.make_node("Conv", ["rd", "w2"], ["heatmaps"], "/head/Conv"),
        ]
    else:
        weights.append(tensor("w2", second))
        nodes.append(helper.make_node("Conv", ["r", "w2"], ["heatmaps"], "/head/Conv"))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, 16, 12])
    heatmaps = helper.make_tensor_value_info("heatmaps", TensorProto.FLOAT, [batch, 14, 8, 6])
    graph = helper.make_graph(nodes, "tiny", [image], [heatmaps], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def make_tiny() -> MakeTiny:
    return tiny_model


@pytest.fixture
def spec() -> ModelSpec:
    value = {"name": "tiny", "skeleton": "lsp14", "input": {"name": "image", "size": [16, 12]}}
    return spec_from_dict(value, "test")


@pytest.fixture
def tiny(tmp_path: Path, spec: ModelSpec) -> Path:
    """A float network on disk, its spec inside."""
    model = tiny_model()
    embed_spec(model, spec)
    onnx.save(model, tmp_path / "tiny.onnx")
    return tmp_path / "tiny.onnx"


@pytest.fixture
def images() -> np.ndarray:
    """[7, 3, 16, 12] float32: one chunk of four and three of one."""
    return np.random.default_rng(1).normal(size=(7, 3, 16, 12)).astype(np.float32)
