"""Inputs of every form become float32 [N, 3, H, W], the graph computes the same, and what only converts is gone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgepose._checks import Array
from edgepose.artifacts.spec import InputSpec
from edgepose.errors import ModelError
from edgepose.graph.adapters.inputs import (
    takes_integers,
    to_channels_first,
    to_float,
    to_float_nchw,
)
from edgepose.graph.adapters.preprocessing import without_preprocessing

ort = pytest.importorskip("onnxruntime")

H, W = 12, 8
KINDS = {
    "uint8": TensorProto.UINT8,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "uint16": TensorProto.UINT16,
    "float16": TensorProto.FLOAT16,
    "double": TensorProto.DOUBLE,
    "float32": TensorProto.FLOAT,
}
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
PLAIN = InputSpec(size=(H, W), mean=(0, 0, 0), std=(1, 1, 1))

Step = tuple[str, Sequence[Any], dict[str, Any]]
TO_FLOAT: Step = ("Cast", (), {"to": TensorProto.FLOAT})
TO_FIRST: Step = ("Transpose", (), {"perm": [0, 3, 1, 2]})


def graph(kind: str, last: bool, steps: Sequence[Step], opset: int = 17) -> onnx.ModelProto:
    """pixels -> the steps, whose further inputs are constants -> Conv, maps."""
    rng = np.random.default_rng(0)
    tensors = [numpy_helper.from_array(rng.normal(size=(4, 3, 3, 3)).astype(np.float32), "w")]
    nodes, at = [], "pixels"
    for number, (op, constants, attributes) in enumerate(steps):
        names = [f"c{number}_{i}" for i in range(len(constants))]
        tensors += [numpy_helper.from_array(np.asarray(v), n) for v, n in zip(constants, names, strict=True)]
        nodes.append(helper.make_node(op, [at, *names], [f"t{number}"], **attributes))
        at = f"t{number}"
    nodes.append(helper.make_node("Conv", [at, "w"], ["maps"]))
    image = helper.make_tensor_value_info("pixels", KINDS[kind], [1, H, W, 3] if last else [1, 3, H, W])
    maps = helper.make_tensor_value_info("maps", TensorProto.FLOAT, [None] * 4)
    made = helper.make_model(
        helper.make_graph(nodes, "net", [image], [maps], tensors),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=8,
    )
    onnx.checker.check_model(made)
    return made


def run(model: onnx.ModelProto, images: Array) -> Array:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: Array = session.run(None, {session.get_inputs()[0].name: images})[0]
    return found


def levels(seed: int = 0) -> Array:
    """An image [1, 3, H, W] of whole numbers 0..255."""
    return np.random.default_rng(seed).integers(0, 256, (1, 3, H, W)).astype(np.float32)


def as_file(images: Array, kind: str, last: bool) -> Array:
    turned = images.transpose(0, 2, 3, 1) if last else images
    return turned.astype({"double": np.float64}.get(kind, kind))


def port(model: onnx.ModelProto) -> tuple[str, int, list[int]]:
    (value,) = model.graph.input
    kind = value.type.tensor_type
    return value.name, kind.elem_type, [axis.dim_value for axis in kind.shape.dim]


def assert_same(source: onnx.ModelProto, kind: str, last: bool, *, atol: float = 1e-3) -> onnx.ModelProto:
    before = source.SerializeToString()
    made = to_float_nchw(source)
    assert source.SerializeToString() == before
    onnx.checker.check_model(made)
    assert port(made) == ("pixels", TensorProto.FLOAT, [1, 3, H, W])
    images = levels()
    np.testing.assert_allclose(run(made, images), run(source, as_file(images, kind, last)), atol=atol, rtol=1e-5)
    return made


def ops(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("opset", [7, 8, 13, 17])
@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_only_converts_an_image_leaves_the_graph(kind: str, last: bool, opset: int) -> None:
    steps = [TO_FLOAT, *([TO_FIRST] if last else [])]
    made = assert_same(graph(kind, last, steps, opset), kind, last)
    assert ops(made) == (["Cast", "Conv"] if kind == "float32" else ["Conv"])
    if last:  # in the other order, too
        assert ops(assert_same(graph(kind, last, steps[::-1], opset), kind, last))[-1] == "Conv"


CHAINS: dict[str, tuple[str, bool, list[Step], list[str]]] = {
    "MoveNet": (
        "int32",
        True,
        [TO_FLOAT, ("Mul", [np.float32(1 / 127.5)], {}), ("Sub", [np.float32(1)], {}), TO_FIRST],
        ["Mul", "Sub", "Conv"],
    ),
    "one number a channel, last": (
        "uint8",
        True,
        [TO_FLOAT, ("Sub", [np.float32(MEAN)], {}), ("Div", [np.float32(STD).reshape(1, 1, 3)], {}), TO_FIRST],
        ["Sub", "Div", "Conv"],
    ),
    "one number a pixel": (
        "uint8",
        True,
        [TO_FLOAT, ("Add", [np.random.default_rng(1).random((H, W, 3)).astype(np.float32)], {}), TO_FIRST],
        ["Add", "Conv"],
    ),
    "YOLO-NAS": (
        "uint8",
        False,
        [("Gather", [np.int64([2, 1, 0])], {"axis": 1}), TO_FLOAT, ("Div", [np.float32(255)], {})],
        ["Gather", "Div", "Conv"],
    ),
    "reversed in front of the Cast, last": (
        "uint8",
        True,
        [("Gather", [np.int64([2, 1, 0])], {"axis": -1}), TO_FLOAT, TO_FIRST],
        ["Gather", "Conv"],
    ),
    "reversed by Slice, last": (
        "int32",
        True,
        [("Slice", [np.int64([-1]), np.int64([-(2**31)]), np.int64([3]), np.int64([-1])], {}), TO_FLOAT, TO_FIRST],
        ["Slice", "Conv"],
    ),
    "cut, last": (
        "uint8",
        True,
        [TO_FLOAT, ("Slice", [np.int64([1, 2]), np.int64([10, 8]), np.int64([-3, 2])], {}), TO_FIRST],
        ["Slice", "Conv"],
    ),
    "padded, last": (
        "uint8",
        True,
        [TO_FLOAT, ("Pad", [np.int64([0, 0, 1, 0, 0, 2, 3, 0]), np.float32(7)], {}), TO_FIRST],
        ["Pad", "Conv"],
    ),
    "integers in between": (
        "uint8",
        False,
        [("Cast", [], {"to": TensorProto.INT32}), ("Sub", [np.int32(128)], {}), ("Mul", [np.int32(2)], {}), TO_FLOAT],
        ["Sub", "Mul", "Conv"],
    ),
    "clipped, last": (
        "float16",
        True,
        [TO_FLOAT, ("Clip", [np.float32(10), np.float32(200)], {}), TO_FIRST],
        ["Clip", "Conv"],
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_what_stands_in_between_is_rewritten(name: str) -> None:
    kind, last, steps, left = CHAINS[name]
    assert ops(assert_same(graph(kind, last, steps), kind, last, atol=2e-2)) == left


def test_a_cast_to_half_precision_takes_floats_as_well() -> None:
    steps = [("Cast", [], {"to": TensorProto.FLOAT16}), ("Div", [np.float16(255)], {}), TO_FLOAT]
    assert ops(assert_same(graph("uint8", False, steps), "uint8", False, atol=1e-2)) == ["Cast", "Div", "Cast", "Conv"]


@pytest.mark.parametrize(
    ("kind", "last", "steps", "first"),
    [
        ("int32", False, [("Div", [np.int32(2)], {}), TO_FLOAT], ["Add", "Floor", "Cast", "Div"]),  # it rounds
        ("uint8", False, [("Add", [np.uint8(200)], {}), TO_FLOAT], ["Add", "Floor", "Cast", "Add"]),  # it overflows
        ("uint8", False, [("Cast", [], {"to": TensorProto.INT8}), TO_FLOAT], ["Add", "Floor", "Cast", "Cast"]),
        ("float32", True, [("Reshape", [np.int64([1, 3, H, W])], {})], ["Transpose", "Reshape"]),
        ("float32", True, [("Transpose", [], {"perm": [0, 3, 2, 1]})], ["Transpose", "Transpose"]),
        ("float16", False, [("Add", [np.float16(1)], {}), TO_FLOAT], ["Cast", "Add"]),
    ],
)
def test_what_cannot_be_removed_gets_one_conversion(kind: str, last: bool, steps: list[Step], first: list[str]) -> None:
    made = assert_same(graph(kind, last, steps), kind, last, atol=1e-2)
    assert ops(made)[: len(first)] == first


def test_fractions_are_rounded_where_the_graph_computes_with_integers() -> None:
    source = graph("int32", False, [("Div", [np.int32(2)], {}), TO_FLOAT])
    images = levels() + np.random.default_rng(1).uniform(-0.4, 0.4, (1, 3, H, W)).astype(np.float32)
    found = run(to_float_nchw(source), images.clip(0, 255))
    np.testing.assert_allclose(found, run(source, levels().astype(np.int32)), atol=1e-4)


def test_an_input_that_is_read_twice() -> None:
    """One reader ends the integers, the other does not: both get what they had."""
    source = graph("int32", False, [TO_FLOAT])
    source.graph.node.append(helper.make_node("Mul", ["pixels", "pixels"], ["square"]))
    source.graph.node.append(helper.make_node("Cast", ["square"], ["float"], to=TensorProto.FLOAT))
    source.graph.node.append(helper.make_node("ReduceMean", ["float"], ["mean"], keepdims=1))
    source.graph.node.append(helper.make_node("Add", ["maps", "mean"], ["both"]))
    source.graph.output[0].name = "both"
    assert_same(source, "int32", False, atol=0.1)


def test_a_form_that_is_right_is_left_alone() -> None:
    source = graph("float32", False, [])
    assert to_float_nchw(source) is source
    last = graph("float32", True, [TO_FIRST])
    assert to_float(last) is last and port(to_channels_first(last))[2] == [1, 3, H, W]
    half = to_float(graph("float16", True, [TO_FLOAT, TO_FIRST]))
    assert port(half)[1:] == (TensorProto.FLOAT, [1, H, W, 3])


def test_free_axes_stay_free() -> None:
    source = graph("uint8", True, [TO_FLOAT, TO_FIRST])
    axes = source.graph.input[0].type.tensor_type.shape.dim
    for axis, name in zip(axes, ("batch", "height", "width"), strict=False):
        axis.dim_param = name
    made = to_float_nchw(source).graph.input[0].type.tensor_type.shape.dim
    assert [axis.dim_param or axis.dim_value for axis in made] == ["batch", 3, "height", "width"]


def test_other_inputs_are_refused() -> None:
    source = graph("float32", False, [])
    source.graph.input[0].type.tensor_type.elem_type = TensorProto.BOOL
    with pytest.raises(ModelError, match=r"'pixels' is bool; an image is of floats or of integers"):
        to_float(source)
    gray = graph("float32", False, [])
    gray.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1
    with pytest.raises(ModelError, match=r"has shape \[1, 1, 12, 8\]; an image is \[N, 3, H, W\]"):
        to_float_nchw(gray)
    two = graph("float32", False, [])
    two.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))
    with pytest.raises(ModelError, match="expected one input, the image, got pixels, mask"):
        to_float_nchw(two)


@pytest.mark.parametrize(("kind", "wanted"), [("int32", True), ("int64", True), ("uint8", False), ("float16", False)])
def test_integers_that_no_contract_has(kind: str, wanted: bool) -> None:
    assert takes_integers(graph(kind, False, [TO_FLOAT])) is wanted


def pixels_of(image: InputSpec, images: Array) -> Array:
    """The network's input as `warp_normalize` makes it of RGB levels [1, 3, H, W]."""
    stored = images if image.color == "rgb" else images[:, ::-1]
    mean, std = (np.array(values).reshape(1, 3, 1, 1) for values in (image.mean, image.std))
    return ((stored * image.scale - mean) / std).astype(np.float32)


BAKED: dict[str, tuple[list[Step], InputSpec]] = {
    "0..1": ([("Div", [np.float32(255)], {})], InputSpec(size=(H, W), mean=(0, 0, 0), std=(255, 255, 255))),
    "-1..1": (
        [("Mul", [np.float32(2 / 255)], {}), ("Sub", [np.float32(1)], {})],
        InputSpec(size=(H, W), mean=(127.5,) * 3, std=(127.5,) * 3),
    ),
    "ImageNet": (
        [
            ("Sub", [np.float32(MEAN).reshape(1, 3, 1, 1)], {}),
            ("Div", [np.float32(STD).reshape(3, 1, 1)], {}),
        ],
        InputSpec(size=(H, W), mean=MEAN, std=STD),
    ),
    "ImageNet of BGR": (
        [
            ("Gather", [np.int64([2, 1, 0])], {"axis": 1}),
            ("Sub", [np.float32(MEAN[::-1]).reshape(1, 3, 1, 1)], {}),
            ("Div", [np.float32(STD[::-1]).reshape(3, 1, 1)], {}),
        ],
        InputSpec(size=(H, W), color="bgr", mean=MEAN[::-1], std=STD[::-1]),  # type: ignore[arg-type]
    ),
    "reversed by Slice": (
        [("Slice", [np.int64([-1]), np.int64([-(2**31)]), np.int64([1]), np.int64([-1])], {})],
        InputSpec(size=(H, W), color="bgr", mean=(0, 0, 0), std=(1, 1, 1)),
    ),
}


@pytest.mark.parametrize("name", BAKED)
def test_preprocessing_becomes_the_contracts(name: str) -> None:
    steps, wanted = BAKED[name]
    source = graph("float32", False, steps)
    made, image = without_preprocessing(source, PLAIN)
    assert ops(made) == ["Conv"]
    assert image.color == wanted.color
    np.testing.assert_allclose(image.mean, wanted.mean, rtol=1e-6)
    np.testing.assert_allclose(image.std, wanted.std, rtol=1e-6)
    images = levels()
    np.testing.assert_allclose(run(made, pixels_of(image, images)), run(source, images), atol=2e-3, rtol=1e-5)


def test_it_comes_on_top_of_what_the_contract_says() -> None:
    source = graph("float32", False, [("Sub", [np.float32([0.5, 0.4, 0.3]).reshape(3, 1, 1)], {})])
    given = InputSpec(size=(H, W), mean=(0.1, 0.2, 0.3), std=(0.5, 0.5, 0.25), scale=1 / 255)
    made, image = without_preprocessing(source, given)
    assert ops(made) == ["Conv"] and image.scale == 1
    images = levels()
    np.testing.assert_allclose(
        run(made, pixels_of(image, images)), run(source, pixels_of(given, images)), atol=1e-3, rtol=1e-5
    )


@pytest.mark.parametrize(
    "step",
    [
        ("Mul", [np.float32(-1)], {}),
        ("Mul", [np.float32([1, 0, 1]).reshape(3, 1, 1)], {}),
        ("Sub", [np.random.default_rng(0).random((1, 3, H, W)).astype(np.float32)], {}),
        ("Clip", [np.float32(0), np.float32(255)], {}),
        ("Gather", [np.int64([1, 0, 2])], {"axis": 1}),
        ("Slice", [np.int64([-1]), np.int64([-(2**31)]), np.int64([3]), np.int64([-1])], {}),
    ],
    ids=["negative", "zero", "for each pixel", "clip", "other order", "mirrored"],
)
def test_what_a_contract_cannot_say_stays(step: Step) -> None:
    source = graph("float32", False, [("Div", [np.float32(255)], {}), step, ("Add", [np.float32(1)], {})])
    made, image = without_preprocessing(source, PLAIN)
    assert ops(made) == [step[0], "Add", "Conv"]
    images = levels()
    np.testing.assert_allclose(run(made, pixels_of(image, images)), run(source, images), atol=1e-3, rtol=1e-5)


def test_a_constant_minus_the_image_stays() -> None:
    source = graph("float32", False, [("Sub", [np.float32(255)], {})])
    source.graph.node[0].input[:] = list(source.graph.node[0].input)[::-1]
    assert without_preprocessing(source, PLAIN) == (source, PLAIN)


def test_an_image_that_two_layers_read_stays() -> None:
    source = graph("float32", False, [("Div", [np.float32(255)], {})])
    source.graph.node.append(helper.make_node("ReduceMean", ["pixels"], ["mean"], keepdims=1))
    source.graph.node.append(helper.make_node("Add", ["maps", "mean"], ["both"]))
    source.graph.output[0].name = "both"
    assert without_preprocessing(source, PLAIN) == (source, PLAIN)
