"""Every operator in torch against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from edgepose.errors import ModelError
from edgepose.training.quantized.network import GraphNetwork
from edgepose.training.quantized.operators import OPERATORS

RANDOM = np.random.default_rng(0)


def some(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


F = np.float32
IMAGE = (2, 4, 6, 5)
# operator, shape of the input, further inputs (None: absent), attributes
CASES: list[tuple[str, tuple[int, ...], list[np.ndarray | None], dict[str, Any]]] = [
    ("Conv", IMAGE, [some(6, 4, 3, 3), some(6)], {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
    ("Conv", IMAGE, [some(4, 1, 3, 3)], {"pads": [0, 1, 2, 1], "group": 4}),
    ("Conv", IMAGE, [some(4, 4, 3, 2)], {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    ("Conv", IMAGE, [some(4, 4, 2, 2)], {"auto_pad": "SAME_LOWER"}),
    ("Conv", IMAGE, [some(4, 4, 2, 2)], {"auto_pad": "VALID", "dilations": [2, 1]}),
    ("Conv", (2, 4, 9), [some(3, 4, 3), some(3)], {}),
    ("ConvTranspose", IMAGE, [some(4, 3, 4, 4), some(3)], {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
    ("ConvTranspose", IMAGE, [some(4, 1, 3, 3)], {"pads": [0, 1, 1, 0], "strides": [2, 2], "group": 4}),
    ("ConvTranspose", IMAGE, [some(4, 2, 3, 3)], {"strides": [2, 2], "output_padding": [1, 1]}),
    ("Gemm", (2, 5), [some(3, 5), some(3)], {"transB": 1, "alpha": 0.5, "beta": 2.0}),
    ("Gemm", (2, 5), [some(5, 3)], {}),
    ("MatMul", (2, 4, 5), [some(5, 3)], {}),
    ("Relu", IMAGE, [], {}),
    ("Clip", IMAGE, [F(0), F(1)], {}),
    ("Clip", IMAGE, [None, F(0.5)], {}),
    ("LeakyRelu", IMAGE, [], {"alpha": 0.2}),
    ("PRelu", IMAGE, [some(4, 1, 1)], {}),
    ("Elu", IMAGE, [], {}),
    ("Sigmoid", IMAGE, [], {}),
    ("HardSigmoid", IMAGE, [], {"alpha": 1 / 6, "beta": 0.5}),
    ("HardSwish", IMAGE, [], {}),
    ("Tanh", IMAGE, [], {}),
    ("Softplus", IMAGE, [], {}),
    ("Softmax", IMAGE, [], {"axis": 1}),
    ("Softmax", IMAGE, [], {}),
    ("Add", IMAGE, [some(5)], {}),
    ("Sub", IMAGE, [some(4, 1, 1)], {}),
    ("Mul", IMAGE, [F(3)], {}),
    ("Div", IMAGE, [F(3)], {}),
    ("Pow", IMAGE, [F(2)], {}),
    ("Exp", IMAGE, [], {}),
    ("Erf", IMAGE, [], {}),
    ("Neg", IMAGE, [], {}),
    ("Abs", IMAGE, [], {}),
    ("Floor", IMAGE, [], {}),
    ("Reciprocal", IMAGE, [], {}),
    ("Max", IMAGE, [F(0)], {}),
    ("Min", IMAGE, [F(0)], {}),
    ("Sum", IMAGE, [some(5), some(6, 1)], {}),
    ("Cast", IMAGE, [], {"to": TensorProto.INT64}),
    ("ArgMax", IMAGE, [], {"axis": 2, "keepdims": 0}),
    ("ReduceMean", IMAGE, [], {"axes": [2, 3]}),
    ("ReduceMax", IMAGE, [], {"axes": [-1], "keepdims": 0}),
    ("ReduceMin", IMAGE, [], {}),
    ("ReduceSum", IMAGE, [ints(1)], {}),
    ("BatchNormalization", IMAGE, [some(4), some(4), some(4), np.abs(some(4))], {"epsilon": 1e-3}),
    ("MaxPool", IMAGE, [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("MaxPool", IMAGE, [], {"kernel_shape": [2, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    ("MaxPool", IMAGE, [], {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
    ("AveragePool", IMAGE, [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("AveragePool", IMAGE, [], {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1]}),
    ("AveragePool", IMAGE, [], {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1], "count_include_pad": 1}),
    ("GlobalAveragePool", IMAGE, [], {}),
    ("GlobalMaxPool", IMAGE, [], {}),
    ("Concat", IMAGE, [some(2, 1, 6, 5)], {"axis": 1}),
    ("Reshape", IMAGE, [ints(0, 2, -1, 5)], {}),
    ("Transpose", IMAGE, [], {"perm": [0, 2, 3, 1]}),
    ("Flatten", IMAGE, [], {"axis": 2}),
    ("Slice", IMAGE, [ints(1, -4), ints(4, 1000), ints(1, 2), ints(1, 2)], {}),
    ("Slice", IMAGE, [ints(-1), ints(-1000), ints(3), ints(-1)], {}),
    ("Split", IMAGE, [ints(4)], {"axis": 1}),
    ("Gather", IMAGE, [ints(0, -1, 2)], {"axis": 1}),
    ("GatherND", IMAGE, [np.array([[0, 1], [1, 3]], np.int64)], {}),
    ("Squeeze", (2, 1, 3, 1), [ints(1)], {}),
    ("Unsqueeze", (2, 3), [ints(0, -1)], {}),
    ("Pad", IMAGE, [ints(0, 1, 0, 2, 0, 0, 1, 0), F(1.5)], {}),
    ("Pad", IMAGE, [ints(0, 0, 1, 2, 0, 0, 1, 0)], {"mode": "reflect"}),
    ("Pad", IMAGE, [ints(0, 0, 1, 2, 0, 0, 1, 0)], {"mode": "edge"}),
    ("Expand", (2, 1, 3), [ints(4, 3)], {}),
    ("Shape", IMAGE, [], {}),
    ("Identity", IMAGE, [], {}),
]
RESIZES = [
    {"mode": mode, "coordinate_transformation_mode": rule, **({"nearest_mode": near} if mode == "nearest" else {})}
    for mode in ("nearest", "linear")
    for rule in ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners")
    for near in (("round_prefer_floor", "floor", "ceil", "round_prefer_ceil") if mode == "nearest" else ("",))
]


def graph_of_one(kind: str, inputs: list[np.ndarray | None], attributes: dict[str, Any]) -> onnx.ModelProto:
    names = ["" if value is None else f"c{index}" for index, value in enumerate(inputs)]
    node = helper.make_node(kind, ["x", *names], ["y"], "one", **attributes)
    constants = [numpy_helper.from_array(np.asarray(v), n) for n, v in zip(names, inputs, strict=True) if v is not None]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    y = helper.make_empty_tensor_value_info("y")
    opset = 14 if kind == "HardSwish" else 13
    made = helper.make_graph([node], "one", [x], [y], constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model)


def compare(kind: str, x: np.ndarray, inputs: list[np.ndarray | None], attributes: dict[str, Any]) -> None:
    runtime = pytest.importorskip("onnxruntime")
    model = graph_of_one(kind, inputs, attributes)
    (wanted,) = runtime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    found = GraphNetwork(model, ("y",))(torch.from_numpy(x)).detach().numpy()
    assert found.shape == wanted.shape and found.dtype == wanted.dtype
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_an_operator_computes_what_onnx_runtime_does(case: tuple[Any, ...]) -> None:
    kind, shape, inputs, attributes = case
    compare(kind, some(*shape), inputs, attributes)


@pytest.mark.parametrize("attributes", RESIZES, ids=lambda item: "-".join(item.values()))
@pytest.mark.parametrize("scales", [(2, 2), (3, 1.5), (0.5, 0.6)], ids=str)
def test_resize(attributes: dict[str, str], scales: tuple[float, float]) -> None:
    compare("Resize", some(*IMAGE), [None, np.array([1, 1, *scales], F)], attributes)


def test_resize_to_sizes() -> None:
    compare("Resize", some(*IMAGE), [None, None, ints(2, 4, 12, 7)], {"mode": "linear"})


def test_square_root_and_logarithm() -> None:
    for kind in ("Sqrt", "Log"):
        compare(kind, np.abs(some(*IMAGE)) + F(0.1), [], {})


def test_gelu_is_that_of_its_definition() -> None:
    x = torch.from_numpy(some(*IMAGE))
    model = graph_of_one("Gelu", [], {})
    wanted = 0.5 * x * (1 + torch.erf(x / 2**0.5))
    torch.testing.assert_close(GraphNetwork(model, ("y",))(x), wanted)


def test_every_operator_is_tested() -> None:
    elsewhere = {"Resize", "Sqrt", "Log", "Gelu", "Where", "Dropout"}
    assert set(OPERATORS) == {case[0] for case in CASES} | elsewhere


def test_an_unknown_operator_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match="'one' is Sinh, which fine-tuning cannot compute"):
        GraphNetwork(graph_of_one("Sinh", [], {}), ("y",))


def test_an_unknown_form_is_refused() -> None:
    network = GraphNetwork(graph_of_one("Resize", [None, np.array([1, 1, 2, 2], F)], {"mode": "cubic"}), ("y",))
    with pytest.raises(ModelError, match="Resize with mode 'cubic'"):
        network(torch.zeros(IMAGE))
