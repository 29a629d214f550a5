"""Foreign networks of a few nodes, and a tiny torch network with everything that export must fold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgepose.artifacts.spec import ModelSpec, spec_from_dict

MakeForeign = Callable[..., onnx.ModelProto]
WEIGHTS = {
    "w1": (16, 3, 3, 3),
    "scale": (16,),
    "shift": (16,),
    "mean": (16,),
    "var": (16,),
    "w2": (17, 16, 1, 1),
}


def foreign_model(
    *,
    opset: int = 17,
    ir: int = 8,
    batch: int | str = 1,
    size: tuple[int | str, int | str] = (64, 48),
    tail: str = "none",
    weights_as_inputs: bool = False,
    kind: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """image [batch, 3, 64, 48] -> Conv/4, BN, Relu, up and down again, Conv: maps [batch, 17, 16, 12].

    tail "reshape" ends in a Reshape to a constant batch, "pool" in a classifier's [batch, 17],
    "bottle" in [batch, 17, 192]. Up to opset 9 the upsampling is an Upsample node, as PyTorch wrote it then.
    """
    rng = np.random.default_rng(0)
    values = {name: rng.uniform(0.1, 1, shape).astype(np.float32) for name, shape in WEIGHTS.items()}
    values["w1"] -= 0.5
    values["times"] = np.array([1, 1, 2, 2], np.float32)
    values["region"] = np.zeros(0, np.float32)
    up = {7: ["r"], 8: ["r"], 9: ["r", "times"]}.get(opset, ["r", "region", "times"])
    scales = {"scales": [1.0, 1.0, 2.0, 2.0]} if opset < 9 else {}
    old = {"spatial": 1} if opset < 9 else {}
    nodes = [
        helper.make_node("Conv", ["image", "w1"], ["a"], strides=[4, 4], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["a", "scale", "shift", "mean", "var"], ["b"], **old),
        helper.make_node("Relu", ["b"], ["r"]),
        helper.make_node("Upsample" if opset <= 9 else "Resize", up, ["u"], mode="nearest", **scales),
        helper.make_node("MaxPool", ["u"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["p", "w2"], ["maps" if tail == "none" else "m"]),
    ]
    shape: list[Any] = [batch, 17, 16, 12]
    if tail in ("reshape", "bottle"):
        target = [batch, 17, 16, 12] if tail == "reshape" else [-1, 17, 192]
        values["target"] = np.array(target, np.int64)
        nodes.append(helper.make_node("Reshape", ["m", "target"], ["maps"]))
        shape = [batch, *target[1:]]
    if tail == "pool":
        nodes += [
            helper.make_node("GlobalAveragePool", ["m"], ["g"]),
            helper.make_node("Flatten", ["g"], ["maps"]),
        ]
        shape = [batch, 17]
    tensors = [numpy_helper.from_array(value, name) for name, value in values.items()]
    inputs = [helper.make_tensor_value_info("image", kind, [batch, 3, *size])]
    if weights_as_inputs:
        inputs += [helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in tensors]
    outputs = [helper.make_tensor_value_info("maps", TensorProto.FLOAT, shape)]
    graph = helper.make_graph(nodes, "foreign", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)


@pytest.fixture
def make_foreign() -> MakeForeign:
    return foreign_model


@pytest.fixture
def table() -> dict[str, Any]:
    """A spec.toml that leaves to the ONNX what the ONNX says."""
    return {"name": "foreign", "skeleton": "coco17", "codec": {"type": "heatmap"}}


@pytest.fixture
def tiny_spec() -> ModelSpec:
    return spec_from_dict({"name": "tiny", "skeleton": "lsp14", "input": {"size": [32, 24]}}, "test")
