"""The whole job, small: `edgepose demo`, and photographs-to-engine by train, export and build."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_demo(edgepose: Callable[..., Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = edgepose("demo", "--out", out, "--people", 32, "--frames", 4, "--rounds", 2)
    assert done.code == 0, done.err
    assert {"report.html", "overlay.mp4", "overlay.png", "poses.json", "eval.json", "bench.json"} <= {
        path.name for path in out.iterdir()
    }
    assert json.loads((out / "poses.json").read_text())
    assert "retained" in done.out
    assert "pipeline / network" in done.out
    again = edgepose("demo", "--out", out)
    assert again.code == 2
    assert "--overwrite" in again.err


RECIPE = """
model = "simplebaseline-lite"
sizes = [[64, 64]]
epochs = [1]
batch = [8]
"""


def test_train_export_build(edgepose: Callable[..., Any], tmp_path: Path) -> None:
    pytest.importorskip("torch")
    recipe, runs = tmp_path / "tiny.toml", tmp_path / "runs"
    recipe.write_text(RECIPE)
    data = ("--data", "synthetic:16", "--val", "synthetic:4:1")
    done = edgepose("train", recipe, *data, "--out", runs, "--workers", 0, "--check")
    assert done.code == 0, done.err
    assert (runs / "log.csv").read_text().count("\n") == 2
    origin = json.loads(edgepose("inspect", runs / "best.pt", "--json").out)["made from"]
    assert origin["people"] == [16]
    done = edgepose("export", runs / "best.pt", "--out", tmp_path / "model.onnx", "--data", "synthetic:4")
    assert done.code == 0, done.err
    assert "max abs error" in done.err
    springs = ("--pictorial", "synthetic:12", "--spring-weight", 0.5)
    done = edgepose("export", runs / "best.pt", "--out", tmp_path / "springs.onnx", "--data", "synthetic:4", *springs)
    assert done.code == 0, done.err
    contract = json.loads(edgepose("inspect", tmp_path / "springs.onnx", "--json").out)["contract"]
    assert contract["codec"] == "heatmap, decode quarter, sigma 2.0, pictorial"
    done = edgepose(
        "build", runs / "best.pt", "--precision", "fp32,int8", "--calib", "synthetic:32", "--out", tmp_path / "engines"
    )
    assert done.code == 0, done.err
    sizes = [path.stat().st_size for path in (tmp_path / "engines").glob("*.onnx")]
    assert max(sizes) > 2 * min(sizes)
