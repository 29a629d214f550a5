"""MoveNet and BlazePose are recognized without a spec, and compute what the published files compute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec, spec_from_dict
from edgepose.graph.importing import checked
from edgepose.recognize.blazepose import BLAZEPOSE
from edgepose.recognize.candidate import Candidate, Recognized, candidate_of
from edgepose.recognize.movenet import MOVENET

ort = pytest.importorskip("onnxruntime")

Shape = list[Any]
TYPES = {
    "uint8": TensorProto.UINT8,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
}


def stub(
    path: Path, dtype: str, image: Shape, outputs: dict[str, Shape], *, scale: bool = False, opset: int = 13
) -> Path:
    """A network with the published inputs and outputs: the mean of each quarter of the image, times weights."""
    rng = np.random.default_rng(0)
    nodes = [helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT)]
    at, tensors = "float", []
    if scale:
        tensors += [numpy_helper.from_array(np.float32(v), n) for v, n in ((1 / 127.5, "times"), (1, "minus"))]
        nodes.append(helper.make_node("Mul", [at, "times"], ["scaled"]))
        nodes.append(helper.make_node("Sub", ["scaled", "minus"], ["signed"]))
        at = "signed"
    if image[3] == 3:
        nodes.append(helper.make_node("Transpose", [at], ["first"], perm=[0, 3, 1, 2]))
        at = "first"
    side = image[1] if image[3] == 3 else image[2]
    tensors.append(
        numpy_helper.from_array(rng.normal(size=(4, 3, side // 2, side // 2)).astype(np.float32) / side, "w")
    )
    nodes.append(helper.make_node("Conv", [at, "w"], ["conv"], strides=[side // 2] * 2))
    tensors.append(numpy_helper.from_array(np.array([1, 16], np.int64), "row"))
    nodes.append(helper.make_node("Reshape", ["conv", "row"], ["features"]))
    values = []
    for name, shape in outputs.items():
        count = int(np.prod(shape[1:]))
        weights = rng.normal(size=(16, count)).astype(np.float32)
        tensors += [
            numpy_helper.from_array(weights, f"{name}_w"),
            numpy_helper.from_array(np.array(shape, np.int64), f"{name}_s"),
        ]
        nodes.append(helper.make_node("MatMul", ["features", f"{name}_w"], [f"{name}_m"]))
        nodes.append(helper.make_node("Reshape", [f"{name}_m", f"{name}_s"], [name]))
        values.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("image", TYPES[dtype], image)], values, tensors
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), str(path))
    return path


def candidate(path: Path) -> Candidate:
    return candidate_of(checked(path), path)


def run(model: onnx.ModelProto | Path, images: Array) -> list[Array]:
    content = str(model) if isinstance(model, Path) else model.SerializeToString()
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    found: list[Array] = session.run(None, {session.get_inputs()[0].name: images})
    return found


def fed(spec: ModelSpec, levels: Array) -> Array:
    """The network's input for RGB levels [1, 3, H, W]."""
    assert (spec.input.layout, spec.input.dtype, spec.input.color) == ("nchw", "float32", "rgb")
    mean, std = (np.array(values).reshape(3, 1, 1) for values in (spec.input.mean, spec.input.std))
    return ((levels * spec.input.scale - mean) / std).astype(np.float32)


def found_of(recognized: Recognized | None, levels: Array) -> tuple[Array, ModelSpec]:
    """The joints of the rewritten graph, whose contract is complete."""
    assert recognized is not None and recognized.source == "shapes"
    spec = recognized.spec
    assert spec_from_dict(spec.to_json(), "again") == spec
    (value,) = recognized.model.graph.input
    assert (value.name, value.type.tensor_type.elem_type) == (spec.input.name, TensorProto.FLOAT)
    assert [axis.dim_value for axis in value.type.tensor_type.shape.dim][1:] == list(spec.input.shape)
    assert tuple(output.name for output in recognized.model.graph.output) == spec.outputs
    onnx.checker.check_model(recognized.model)
    return run(recognized.model, fed(spec, levels))[0], spec


@pytest.mark.parametrize("side", [192, 256])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("dtype", TYPES)
def test_movenet_in_every_form(tmp_path: Path, dtype: str, last: bool, side: int) -> None:
    shape = [1, side, side, 3] if last else [1, 3, side, side]
    path = stub(tmp_path / "net.onnx", dtype, shape, {"output_0": [1, 1, 17, 3]}, scale=True)
    levels = np.random.default_rng(1).integers(0, 256, (1, 3, side, side)).astype(np.float32)
    joints, spec = found_of(MOVENET.recognize(candidate(path)), levels)
    (wanted,) = run(path, (levels.transpose(0, 2, 3, 1) if last else levels).astype(dtype))
    np.testing.assert_allclose(joints, wanted[0][..., [1, 0, 2]], atol=1e-3)
    assert spec.name == {192: "movenet-lightning", 256: "movenet-thunder"}[side]
    assert spec.skeleton.name == "coco17" and spec.crop.padding == 1.25
    np.testing.assert_allclose((spec.input.mean, spec.input.std), 127.5, rtol=1e-6)
    assert BLAZEPOSE.recognize(candidate(path)) is None


def test_movenet_says_what_it_guessed(tmp_path: Path) -> None:
    form: tuple[Shape, dict[str, Shape]] = ([1, 192, 192, 3], {"output_0": [1, 1, 17, 3]})
    whole = MOVENET.recognize(candidate(stub(tmp_path / "a.onnx", "int32", *form)))
    floats = MOVENET.recognize(candidate(stub(tmp_path / "b.onnx", "float32", *form)))
    assert whole is not None and floats is not None
    assert [guess.field for guess in whole.guesses] == ["crop.padding"]
    assert [guess.field for guess in floats.guesses] == ["crop.padding", "input.mean"]
    assert all(guess.reason and guess.value for guess in (*whole.guesses, *floats.guesses))


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_blazepose_among_its_outputs(tmp_path: Path, dtype: str, last: bool) -> None:
    outputs: dict[str, Shape] = {
        "mask": [1, 128, 128, 1],
        "presence": [1, 1],
        "ld_3d": [1, 195],
        "world": [1, 117],
        "heatmap": [1, 64, 64, 39],
    }
    shape = [1, 256, 256, 3] if last else [1, 3, 256, 256]
    path = stub(tmp_path / "net.onnx", dtype, shape, outputs)
    levels = np.random.default_rng(1).integers(0, 256, (1, 3, 256, 256)).astype(np.float32)
    recognized = BLAZEPOSE.recognize(candidate(path))
    joints, spec = found_of(recognized, levels)
    unit = (levels.transpose(0, 2, 3, 1) if last else levels) / 255
    landmarks = run(path, unit.astype(dtype))[2].reshape(1, 39, 5)[:, :33]
    np.testing.assert_allclose(joints[..., :2], landmarks[..., :2] / 256, atol=1e-4)
    np.testing.assert_allclose(joints[..., 2], 1 / (1 + np.exp(-landmarks[..., 3])), atol=1e-3)
    assert spec.skeleton.name == "blazepose33" and spec.input.std == (255, 255, 255)
    assert recognized is not None and "upright" in recognized.guesses[0].reason
    assert MOVENET.recognize(candidate(path)) is None


OTHERS: dict[str, tuple[str, Shape, dict[str, Shape]]] = {
    "MoveNet MultiPose": ("int32", [1, 256, 256, 3], {"output_0": [1, 6, 56]}),
    "not square": ("int32", [1, 256, 192, 3], {"output_0": [1, 1, 17, 3]}),
    "two people": ("int32", [1, 192, 192, 3], {"output_0": [1, 2, 17, 3]}),
    "other joints": ("int32", [1, 192, 192, 3], {"output_0": [1, 1, 16, 3]}),
    "heatmaps": ("float32", [1, 3, 256, 256], {"output_0": [1, 17, 64, 64]}),
    "two outputs": ("int32", [1, 192, 192, 3], {"a": [1, 1, 17, 3], "b": [1, 1, 17, 3]}),
    "two with 195": ("float32", [1, 256, 256, 3], {"a": [1, 195], "b": [1, 39, 5]}),
    "four channels": ("float32", [1, 256, 256, 4], {"a": [1, 195]}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_others_are_left_to_other_families(tmp_path: Path, name: str) -> None:
    dtype, shape, outputs = OTHERS[name]
    if shape[3] == 4:
        path = stub(tmp_path / "net.onnx", dtype, [1, 256, 256, 3], outputs)
        model = onnx.load(str(path))
        model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 4
        found = candidate_of(model)
    else:
        found = candidate(stub(tmp_path / "net.onnx", dtype, shape, outputs))
    assert MOVENET.recognize(found) is None and BLAZEPOSE.recognize(found) is None


def test_movenet_as_it_was_published(published_model: Callable[[str], Path]) -> None:
    path = published_model("movenet-lightning-192")
    levels = np.random.default_rng(0).integers(0, 256, (1, 3, 192, 192)).astype(np.float32)
    recognized = MOVENET.recognize(candidate(path))
    joints, spec = found_of(recognized, levels)
    (wanted,) = run(path, levels.transpose(0, 2, 3, 1).astype(np.uint8))
    np.testing.assert_allclose(joints, wanted[0][..., [1, 0, 2]], atol=1e-5)
    assert recognized is not None and recognized.model.graph.node[0].op_type == "Conv"  # no conversion is left
    assert spec.input == replace(spec.input, mean=(127.5,) * 3, std=(127.5,) * 3)


def test_blazepose_as_it_was_published(published_model: Callable[[str], Path]) -> None:
    path = published_model("blazepose-lite")
    levels = np.random.default_rng(0).integers(0, 256, (1, 3, 256, 256)).astype(np.float32)
    recognized = BLAZEPOSE.recognize(candidate(path))
    joints, _ = found_of(recognized, levels)
    landmarks = run(path, (levels.transpose(0, 2, 3, 1) / 255).astype(np.float32))[0].reshape(1, 39, 5)[:, :33]
    np.testing.assert_allclose(joints[..., :2], landmarks[..., :2] / 256, atol=1e-4)
    assert recognized is not None
    assert [node.op_type for node in recognized.model.graph.node[:2]] == ["Pad", "Conv"]
