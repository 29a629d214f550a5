"""A backend of one file and one registry line goes through `edgepose build`, `eval`, `run` and `doctor` by name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

MakeTiny = Callable[..., onnx.ModelProto]
START = "import toy_backend; toy_backend.register(); from edgepose.cli.main import main; main()"


def edgepose(folder: Path, *words: str) -> str:
    """Run `edgepose` in a process that registers the toy backend; return what it prints."""
    pytest.importorskip("onnxruntime")  # calibration runs there
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", START, *words],
        cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_flag_and_its_name_are_in_the_help(tmp_path: Path) -> None:
    printed = edgepose(tmp_path, "build", "--help")
    assert "--toy-label TEXT" in printed
    assert "onnxruntime, toy" in " ".join(printed.split())


def three_layers(make_tiny: MakeTiny) -> onnx.ModelProto:
    """The tiny network with a layer between stem and head, which stay in float."""
    model = make_tiny()
    weight = np.random.default_rng(3).normal(size=(32, 32, 1, 1)).astype(np.float32) / 6
    model.graph.initializer.append(numpy_helper.from_array(weight, "w3"))
    model.graph.node[-1].input[0] = "middle"
    model.graph.node.insert(2, helper.make_node("Conv", ["r", "w3"], ["middle"], "/middle/Conv"))
    return model


def test_build_eval_run_and_doctor(tmp_path: Path, make_tiny: MakeTiny) -> None:
    onnx.save(three_layers(make_tiny), tmp_path / "tiny.onnx")
    (tmp_path / "tiny.toml").write_text(
        'name = "tiny"\nskeleton = "lsp14"\ninput = { name = "image", size = [16, 12] }\n'
    )
    graph = ("tiny.onnx", "--spec", "tiny.toml", "--calib", "synthetic:32")
    edgepose(tmp_path, "build", *graph, "--backend", "toy", "--toy-label", "mine", "--out", "out")
    made = json.loads((tmp_path / "out" / "toy-int8" / "manifest.json").read_text())
    assert (made["backend"], made["build"]) == ("toy", {"label": "mine"})
    engines = ("out/toy-fp32", "out/toy-int8")
    edgepose(tmp_path, "eval", *engines, "--data", "synthetic:4", "--json", "eval.json")
    found = json.loads((tmp_path / "eval.json").read_text())
    assert [entry["backend"] for entry in found["engines"]] == ["toy", "toy"]
    (tmp_path / "photos").mkdir()
    cv2.imwrite(str(tmp_path / "photos" / "one.png"), np.full((64, 48, 3), 90, np.uint8))
    edgepose(tmp_path, "run", engines[0], "--source", "photos", "--out-json", "poses.json")
    assert len(json.loads((tmp_path / "poses.json").read_text())["annotations"]) == 1
    report = json.loads(edgepose(tmp_path, "doctor", "--json"))
    assert report["backends"]["toy"] == "ready"
    assert report["machine"]["versions"]["toy"] == onnx.__version__
