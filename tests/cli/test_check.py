"""`edgepose check` and `edgepose diagnose`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from corrupted import ARCHITECTURES, corrupted

from edgepose.artifacts.acceptance import NAME

Edgepose = Callable[..., Any]


def test_engines_pass_where_they_were_built(edgepose: Edgepose, engines: Path) -> None:
    folders = sorted(engines.glob("openvino-*"))
    done = edgepose("check", *folders)
    assert done.code == 0
    assert [line.split(" passes: on 5 crops, heatmaps: SNR ")[0] for line in done.out.splitlines()] == [
        str(folder) for folder in folders
    ]
    assert done.out.count("joints moved") == 3


def test_an_engine_without_its_sample_fails(edgepose: Edgepose, engines: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(engines / "openvino-fp32", tmp_path / "copied")
    (copied / NAME).unlink()
    done = edgepose("check", engines / "openvino-fp32", copied, "--json")
    assert done.code == 1
    value = json.loads(done.out)
    first, second = value["engines"]
    assert (value["format"], first["ok"], second["ok"]) == (1, True, False)
    assert first["examination"]["outputs"]["heatmaps"]["relative_error"] < 1e-3
    assert "acceptance.npz is missing" in second["problem"] and second["examination"] is None


def test_what_is_no_engine_fails_in_one_line(edgepose: Edgepose, tmp_path: Path) -> None:
    done = edgepose("check", tmp_path)
    assert done.code == 1 and "is not an engine folder" in done.out


@pytest.mark.parametrize("as_json", [False, True])
def test_diagnose_names_the_layer(as_json: bool, edgepose: Edgepose, tmp_path: Path) -> None:
    model = ARCHITECTURES["deconvolution"](0)
    wrong, layer = corrupted(model, 4)
    for name, graph in (("a", model), ("b", wrong)):
        onnx.save(graph, tmp_path / f"{name}.onnx")
    paths = tmp_path / "a.onnx", tmp_path / "b.onnx"
    done = edgepose("diagnose", *paths, *(["--json"] if as_json else []))
    assert done.code == 1
    if as_json:
        value = json.loads(done.out)
        assert value["parted"] and value["first"]["tensor"] == layer.output[0]
    else:
        assert f"departs first is {layer.output[0]!r} of node {layer.name!r} ({layer.op_type})" in done.out
        assert "the last tensor that agrees is" in done.out
    assert edgepose("diagnose", paths[0], paths[0]).code == 0


def test_diagnose_refuses_what_is_no_network(edgepose: Edgepose, tmp_path: Path) -> None:
    done = edgepose("diagnose", tmp_path / "a.onnx", "lite")
    assert done.code == 2 and "is no ONNX file, no engine folder and no zoo name" in done.err
