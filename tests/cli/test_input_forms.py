"""Networks that take [N, H, W, 3] pixels give the joints of their twins that take [N, 3, H, W] floats."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgepose.artifacts.choices import DTYPES
from edgepose.artifacts.manifest import read_manifest
from edgepose.artifacts.spec import ModelSpec
from edgepose.backends.engine import open_engine
from edgepose.backends.session import OpenOptions
from edgepose.datasets.feeds import CalibrationFeed, crop_feed
from edgepose.datasets.open import open_data
from edgepose.runtime.host import HostPipeline

JOINTS, SIZE = 3, (64, 48)
SPEC = """
name = "twin"
skeleton = { name = "three", joints = ["a", "left_b", "right_b"], flips = [["left_b", "right_b"]] }
codec = { type = "regression" }
"""
SCALED = "input = { mean = [0.5, 0.4, 0.3], std = [0.5, 0.5, 0.25], scale = 0.00392156862745098 }\n"
BORDER = 'crop = { padding = 1.0, border = "replicate" }\n'
FORMS = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "uint8": TensorProto.UINT8,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
}


def network(path: Path, dtype: str, *, last: bool, inside: bool) -> Path:
    """Image -> coordinates [N, 3, 2]. last: channels last; inside: the graph itself normalizes pixels."""
    rng = np.random.default_rng(0)
    values: dict[str, Any] = {
        "mean": np.array([0.5, 0.4, 0.3], np.float32).reshape(1, 3, 1, 1),
        "std": np.array([0.5, 0.5, 0.25], np.float32).reshape(1, 3, 1, 1),
        "unit": np.array(1 / 255, np.float32),
        "w": rng.normal(size=(8, 3, 3, 3)).astype(np.float32) / 5,
        "u": rng.normal(size=(8, 8, 3, 3)).astype(np.float32) / 5,
        "v": rng.normal(size=(8, 2 * JOINTS)).astype(np.float32) / 4,
        "shape": np.array([-1, JOINTS, 2], np.int64),
    }
    nodes = [helper.make_node("Cast", ["pixels"], ["cast"], to=TensorProto.FLOAT)]
    at = "cast"

    def then(op: str, *more: str, **attributes: Any) -> None:
        nonlocal at
        nodes.append(helper.make_node(op, [at, *more], [f"after_{len(nodes)}"], **attributes))
        at = nodes[-1].output[0]

    if last:
        then("Transpose", perm=[0, 3, 1, 2])
    if inside:
        then("Mul", "unit")
        then("Sub", "mean")
        then("Div", "std")
    then("Conv", "w", strides=[4, 4], pads=[1, 1, 1, 1])
    then("Relu")
    then("Conv", "u", pads=[1, 1, 1, 1])
    then("Relu")
    then("GlobalAveragePool")
    then("Flatten")
    then("MatMul", "v")
    then("Reshape", "shape")
    nodes[-1].output[0] = "coordinates"
    shape = [1, *SIZE, 3] if last else [1, 3, *SIZE]
    image = helper.make_tensor_value_info("pixels", FORMS[dtype], shape)
    found = helper.make_tensor_value_info("coordinates", TensorProto.FLOAT, [1, JOINTS, 2])
    tensors = [numpy_helper.from_array(value, name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "twin", [image], [found], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


@pytest.fixture
def build(edgepose: Callable[..., Any], tmp_path: Path) -> Callable[..., Path]:
    def made(name: str, backend: str, precision: str, spec: str, dtype: str, *, last: bool, inside: bool) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "net.toml").write_text(SPEC + spec + BORDER)
        net = network(folder / "net.onnx", dtype, last=last, inside=inside)
        calibration = ("--calib", "synthetic:40", "--no-guard") if precision == "int8" else ()
        done = edgepose(
            "build", net, "--spec", folder / "net.toml", "--precision", precision, "--backend", backend,
            *calibration, "--out", folder / "engines",
        )  # fmt: skip
        assert done.code == 0, done.err
        return folder / "engines" / f"{backend}-{precision}"

    return made


def joints_of(engine: Path, flip_test: bool) -> tuple[np.ndarray, ModelSpec]:
    data = open_data("synthetic:3")
    session, manifest = open_engine(engine, OpenOptions())
    with session:
        net = HostPipeline(session, manifest.spec, flip_test=flip_test)
        found = [net(data[i].read(), data[i].box_xyxy[None]).xy_image[0] for i in range(3)]
        return np.stack(found), manifest.spec


PRECISIONS = ("fp32", "fp16", "int8")
CASES = [(dtype, last, precision) for dtype, last in (("uint8", True), ("float16", False)) for precision in PRECISIONS]
CASES += [("uint8", False, "fp32"), ("float32", True, "fp32")]
CASES += [("int32", True, "fp32"), ("int32", False, "int8"), ("int64", True, "fp16")]


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize(("dtype", "last", "precision"), CASES)
def test_twins_agree(build: Callable[..., Path], backend: str, precision: str, dtype: str, last: bool) -> None:
    inside = "int" in dtype
    plain = build("plain", backend, precision, SCALED, "float32", last=False, inside=False)
    other = build("other", backend, precision, "" if inside else SCALED, dtype, last=last, inside=inside)
    for flip_test in (False, True):
        expected, _ = joints_of(plain, flip_test)
        found, spec = joints_of(other, flip_test)
        wanted = dtype if dtype in DTYPES else "float32"  # crops are float32 where the file takes wider integers
        assert (spec.input.dtype, spec.input.layout) == (wanted, "nhwc" if last else "nchw")
        assert np.ptp(expected) > 10
        assert np.abs(found - expected).max() < (0.2 if precision == "fp32" else 4.0)  # pixels


def test_feeds_have_the_inputs_layout_and_type(build: Callable[..., Path]) -> None:
    spec = read_manifest(build("net", "onnxruntime", "fp32", "", "uint8", last=True, inside=True)).spec
    data = open_data("synthetic:3")
    (batch,) = crop_feed(data, spec)
    calibration, _ = next(iter(CalibrationFeed(data, spec)))
    for crops in (batch.crops, calibration):
        assert crops.dtype == np.uint8 and crops.shape == (3, *SIZE, 3)


def test_run_gives_the_joints_of_the_twin(
    build: Callable[..., Path], edgepose: Callable[..., Any], photographs: Path, tmp_path: Path
) -> None:
    found = []
    for name, spec, dtype, pixels in (("plain", SCALED, "float32", False), ("other", "", "uint8", True)):
        engine = build(name, "onnxruntime", "fp32", spec, dtype, last=pixels, inside=pixels)
        out = tmp_path / f"{name}.json"
        done = edgepose("run", engine, "--source", photographs, "--out-json", out)
        assert done.code == 0, done.err
        found.append([entry["keypoints"] for entry in json.loads(out.read_text())["annotations"]])
    assert len(found[0]) >= 40
    np.testing.assert_allclose(found[0], found[1], atol=0.2)
