"""Outputs of networks of one person, in every order and form, become those of the codecs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgepose._checks import Array
from edgepose.errors import ModelError
from edgepose.graph.adapters.outputs import to_heatmaps, to_joints

ort = pytest.importorskip("onnxruntime")


def answering(values: Array, opset: int = 17, batch: int | str = 1) -> onnx.ModelProto:
    """image [1, 3, 4, 4] -> `values` [1, ...] whatever the image shows; and a second output."""
    kind = helper.np_dtype_to_tensor_dtype(values.dtype)
    zero = numpy_helper.from_array(np.zeros((), values.dtype), "zero")
    nodes = [
        helper.make_node("ReduceSum", ["image"], ["sum"], keepdims=0),
        helper.make_node("Cast", ["sum"], ["same"], to=kind),
        helper.make_node("Mul", ["same", "zero"], ["nothing"]),
        helper.make_node("Add", ["answer", "nothing"], ["found"]),
        helper.make_node("Identity", ["sum"], ["other"]),
    ]
    outputs = [
        helper.make_tensor_value_info("found", kind, [batch, *values.shape[1:]]),
        helper.make_tensor_value_info("other", TensorProto.FLOAT, []),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 4, 4])
    tensors = [zero, numpy_helper.from_array(values, "answer")]
    made = helper.make_model(
        helper.make_graph(nodes, "net", [image], outputs, tensors),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=8,
    )
    onnx.checker.check_model(made)
    return made


def run(model: onnx.ModelProto) -> dict[str, Array]:
    onnx.checker.check_model(model)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_outputs()]
    images = np.random.default_rng(0).random((1, 3, 4, 4), np.float32)
    return dict(zip(names, session.run(names, {"image": images}), strict=True))


def joints(model: onnx.ModelProto) -> Array:
    found = run(model)
    assert list(found) == ["joints"] and found["joints"].dtype == np.float32
    stated = [axis.dim_value for axis in model.graph.output[0].type.tensor_type.shape.dim][1:]
    assert stated == list(found["joints"].shape[1:])
    return found["joints"]


def made_up(*shape: int) -> Array:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("opset", [7, 8, 13, 17])
@pytest.mark.parametrize("shape", [(1, 1, 17, 3), (1, 17, 3), (1, 51), (1, 51, 1, 1)])
def test_scores_behind_y_and_x(shape: Sequence[int], opset: int) -> None:
    values = made_up(*shape)
    found = joints(to_joints(answering(values, opset), "found", fields=("y", "x", "score"), count=17))
    np.testing.assert_array_equal(found, values.reshape(1, 17, 3)[..., [1, 0, 2]])


@pytest.mark.parametrize(
    ("fields", "columns"),
    [
        (("x", "y"), [0, 1]),
        (("y", "x"), [1, 0]),
        (("x", "y", "score"), [0, 1, 2]),
        (("score", "x", "y"), [1, 2, 0]),
        (("x", "y", "z", "score"), [0, 1, 3]),
        (("x", "y", "z", "score", "presence"), [0, 1, 3]),
    ],
)
def test_fields_in_any_order_flat(fields: Sequence[str], columns: list[int]) -> None:
    values = made_up(1, 17 * len(fields))
    found = joints(to_joints(answering(values), "found", fields=fields, count=17))
    np.testing.assert_array_equal(found, values.reshape(1, 17, -1)[..., columns])


def test_pixels_become_fractions_and_logits_scores() -> None:
    values = made_up(1, 195) * 100
    keep = range(33)
    options = {"fields": ("x", "y", "z", "score", "presence"), "count": 39, "keep": keep}
    raw = values.reshape(1, 39, 5)[:, :33]
    found = joints(to_joints(answering(values), "found", **options, pixels_of=(256, 128), logits=True))  # type: ignore[arg-type]
    np.testing.assert_allclose(found[..., :2], raw[..., :2] / (128, 256), rtol=1e-6)
    np.testing.assert_allclose(found[..., 2], 1 / (1 + np.exp(-raw[..., 3].astype(np.float64))), atol=1e-6)
    plain = joints(to_joints(answering(values), "found", **options, pixels_of=(256, 128)))  # type: ignore[arg-type]
    np.testing.assert_allclose(plain[..., :2], found[..., :2], rtol=1e-6)
    np.testing.assert_array_equal(plain[..., 2], raw[..., 3])
    alone = joints(to_joints(answering(values), "found", **options, logits=True))  # type: ignore[arg-type]
    np.testing.assert_array_equal(alone[..., :2], raw[..., :2])


def test_pixels_without_a_score() -> None:
    values = made_up(1, 34)
    for logits in (False, True):  # there is nothing that could be a logit
        made = to_joints(answering(values), "found", fields=("x", "y"), count=17, pixels_of=(4, 8), logits=logits)
        np.testing.assert_allclose(joints(made), values.reshape(1, 17, 2) / (8, 4), rtol=1e-6)


def test_other_joints_in_another_order() -> None:
    values = made_up(1, 5, 2)
    found = joints(to_joints(answering(values), "found", fields=("x", "y"), count=5, keep=[4, 0, 2]))
    np.testing.assert_array_equal(found, values[:, [4, 0, 2]])


def test_half_precision_becomes_float32() -> None:
    values = made_up(1, 34).astype(np.float16)
    found = joints(to_joints(answering(values), "found", fields=("x", "y"), count=17))
    np.testing.assert_array_equal(found, values.reshape(1, 17, 2).astype(np.float32))


def test_a_source_stays_as_it_is() -> None:
    source = answering(made_up(1, 34))
    before = source.SerializeToString()
    to_joints(source, "found", fields=("y", "x"), count=17)
    assert source.SerializeToString() == before


@pytest.mark.parametrize(
    ("output", "fields", "count", "message"),
    [
        ("fuond", ("x", "y"), 17, "no output 'fuond'; the network has found, other"),
        ("found", ("x", "y"), 16, r"'found' has shape \[1, 34\]; expected 32 values for one image"),
        ("found", ("x", "score"), 17, "a joint has at least x and y"),
    ],
)
def test_what_does_not_fit_is_refused(output: str, fields: Sequence[str], count: int, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        to_joints(answering(made_up(1, 34)), output, fields=fields, count=count)


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("last", [False, True])
def test_heatmaps(last: bool, logits: bool) -> None:
    maps = made_up(1, 5, 6, 7)
    source = answering(np.ascontiguousarray(maps.transpose(0, 2, 3, 1)) if last else maps)
    found = run(to_heatmaps(source, "found", channels_last=last, logits=logits))
    expected = 1 / (1 + np.exp(-maps.astype(np.float64))) if logits else maps
    np.testing.assert_allclose(found["heatmaps"], expected, atol=1e-6)
    assert list(found) == ["heatmaps"]
