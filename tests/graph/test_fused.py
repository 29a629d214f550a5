"""Nodes that ONNX Runtime fused are taken apart, and compute the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgepose.graph.importing.fused import split_fused

RANDOM = np.random.default_rng(3)


def model(nodes: list[onnx.NodeProto], output: list[int], **constants: Any) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "fused",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def run(made: onnx.ModelProto) -> np.ndarray:
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(None, {"x": RANDOM_IMAGE})[0]
    return found


RANDOM_IMAGE = RANDOM.normal(size=(1, 4, 8, 8)).astype(np.float32)
WEIGHT, BIAS = RANDOM.normal(size=(4, 4, 3, 3)), RANDOM.normal(size=4)


@pytest.mark.parametrize(
    ("activation", "parameters"),
    [
        ("Relu", []),
        ("Sigmoid", []),
        ("Tanh", []),
        ("LeakyRelu", [0.2]),
        ("HardSigmoid", [0.3, 0.4]),
        ("Clip", [-1.0, 2.0]),
    ],
)
@pytest.mark.parametrize("added", [False, True])
def test_a_convolution_with_its_activation(activation: str, parameters: list[float], added: bool) -> None:
    inputs = ["x", "w", "b", *(["x"] if added else [])]
    more = {"activation_params": parameters} if parameters else {}
    node = helper.make_node(
        "FusedConv", inputs, ["y"], "conv", "", "com.microsoft", pads=[1, 1, 1, 1], activation=activation, **more
    )
    fused = model([node], [1, 4, 8, 8], w=WEIGHT, b=BIAS)
    split, names = split_fused(fused)
    assert names == ("conv",)
    assert [made.op_type for made in split.graph.node] == ["Conv", *(["Add"] if added else []), activation]
    onnx.checker.check_model(split)
    np.testing.assert_allclose(run(split), run(fused), atol=1e-5)


def test_a_scaled_product() -> None:
    node = helper.make_node("FusedMatMul", ["x", "w"], ["y"], "", "", "com.microsoft", alpha=0.5)
    fused = model([node], [1, 4, 8, 8], w=RANDOM.normal(size=(8, 8)))
    split, names = split_fused(fused)
    assert names == ("y",)
    assert [made.op_type for made in split.graph.node] == ["MatMul", "Mul"]
    np.testing.assert_allclose(run(split), run(fused), atol=1e-5)


def test_what_is_not_known_stays() -> None:
    product = helper.make_node("FusedMatMul", ["x", "w"], ["y"], "", "", "com.microsoft", transB=1)
    fused = model([product], [1, 4, 8, 8], w=RANDOM.normal(size=(8, 8)))
    assert split_fused(fused) == (fused, ())
    gelu = model([helper.make_node("Gelu", ["x"], ["y"], "", "", "com.microsoft")], [1, 4, 8, 8])
    assert split_fused(gelu) == (gelu, ())
