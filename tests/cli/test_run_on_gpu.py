"""`edgepose run` and `bench` take the device pipeline by themselves, on fakes of CUDA and TensorRT."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgepose.kernels import choice, cuda

pytestmark = pytest.mark.skipif(choice.native is None, reason="the kernels' matrices come from the host extension")


@pytest.fixture
def engine(
    edgepose: Callable[..., Any], installed: Callable[..., Any], emulated: ctypes.CDLL, tmp_path: Path
) -> tuple[Path, Any]:
    """A TensorRT engine of regressed coordinates, and the double that runs it."""
    trt = installed(driver=True, library=emulated)
    matrix = np.random.default_rng(0).normal(0, 0.01, (3 * 16 * 12, 14 * 3)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["m"]),
        helper.make_node("Reshape", ["m", "s"], ["coords"]),
    ]
    weights = [numpy_helper.from_array(matrix, "w"), numpy_helper.from_array(np.array([-1, 14, 3]), "s")]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 16, 12])
    coords = helper.make_tensor_value_info("coords", TensorProto.FLOAT, ["batch", 14, 3])
    graph = helper.make_graph(nodes, "coords", [image], [coords], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "net.onnx")
    spec = 'name = "coords"\nskeleton = "lsp14"\ncodec = { type = "regression" }\noutputs = ["coords"]\n'
    (tmp_path / "net.toml").write_text(spec)
    net = ("--spec", tmp_path / "net.toml", "--out", tmp_path / "engines")
    done = edgepose("build", tmp_path / "net.onnx", *net, "--precision", "fp32", "--backend", "tensorrt")
    assert done.code == 0, done.err
    return tmp_path / "engines" / "tensorrt-fp32", trt


def test_run_and_bench(
    edgepose: Callable[..., Any],
    engine: tuple[Path, Any],
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, trt = engine
    (tmp_path / "edgepose.fatbin").write_bytes(b"fatbin")
    results = {}
    for way, fatbin in (("device", tmp_path / "edgepose.fatbin"), ("host", None)):
        monkeypatch.setattr(cuda, "fatbin", lambda path=fatbin: path)
        done = edgepose("run", folder, "--source", photographs, "--out-json", tmp_path / f"{way}.json")
        assert done.code == 0, done.err
        assert ("launch" in trt._world.api.calls) == (way == "device")
        assert ("went through host memory: there are no CUDA kernels" in done.err) == (way == "host")
        assert trt._world.api.left() == {}
        done = edgepose("bench", folder, "--rounds", 2, "--json", tmp_path / f"bench-{way}.json")
        assert done.code == 0, done.err
        entry = json.loads((tmp_path / f"bench-{way}.json").read_text())["engines"][0]
        assert entry["pipeline"] == way
        assert ("went through host memory" in entry["slowed_by"]) == (way == "host")
        assert ("went through host memory" in done.err) == (way == "host")
        assert trt._world.api.left() == {}
        results[way] = json.loads((tmp_path / f"{way}.json").read_text())["annotations"]
    assert len(results["device"]) == 40
    assert results["device"] == results["host"]
