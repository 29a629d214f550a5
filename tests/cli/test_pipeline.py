"""The verbs end to end on the model that ships: build, inspect, run, eval, bench, report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import onnx
import pytest

PRECISIONS = ("fp32", "fp16", "int8")


def test_build_leaves_graphs_scales_and_engines(engines: Path) -> None:
    found = {path.name for path in engines.iterdir()}
    assert found == {f"{p}.onnx" for p in PRECISIONS} | {f"openvino-{p}" for p in PRECISIONS} | {"scales.json"}
    operators = {node.op_type for node in onnx.load(str(engines / "int8.onnx")).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators


def test_build_refuses_to_overwrite(edgepose: Callable[..., Any], engines: Path) -> None:
    done = edgepose("build", "lite", "--out", engines)
    assert done.code == 2
    assert "--overwrite" in done.err


@pytest.mark.parametrize("precision", PRECISIONS)
def test_inspect_engine(edgepose: Callable[..., Any], engines: Path, precision: str) -> None:
    done = edgepose("inspect", engines / f"openvino-{precision}", "--json")
    found = json.loads(done.out)
    assert done.code == 0
    assert found["precision"] == precision
    assert found["contract"]["skeleton"] == "lsp14, 14 joints"
    assert sum(found["runs"].values()) == len(found["layers"]) > 40


@pytest.mark.parametrize("name", ["fp32.onnx", "int8.onnx", "scales.json"])
def test_inspect_files(edgepose: Callable[..., Any], engines: Path, name: str) -> None:
    done = edgepose("inspect", engines / name)
    assert done.code == 0
    assert "sha256" in done.out


def test_int8_names_its_parent_by_sha256(edgepose: Callable[..., Any], engines: Path) -> None:
    parent = json.loads(edgepose("inspect", engines / "fp32.onnx", "--json").out)["sha256"]
    child = json.loads(edgepose("inspect", engines / "int8.onnx", "--json").out)
    assert child["made from sha256"] == parent


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    from edgepose.api.demo import write_clip

    return write_clip(tmp_path_factory.mktemp("clip"), 12)


def test_inspect_says_what_a_network_costs(edgepose: Callable[..., Any], engines: Path, tmp_path: Path) -> None:
    """A checkpoint and its graphs: the same multiply-adds in every precision."""
    pytest.importorskip("torch")
    from edgepose.artifacts.spec import embedded_spec
    from edgepose.graph.lookup import load_onnx
    from edgepose.models import create
    from edgepose.training.checkpoint import Checkpoint, save_checkpoint

    spec = embedded_spec(load_onnx(engines / "fp32.onnx"), "lite")
    weights = create("simplebaseline-lite", len(spec.skeleton)).state_dict()
    save_checkpoint(
        tmp_path / "lite.pt", Checkpoint(model="simplebaseline-lite", spec=spec, weights=weights, training={})
    )
    files = (tmp_path / "lite.pt", *(engines / f"{precision}.onnx" for precision in ("fp32", "fp16", "int8")))
    found = [json.loads(edgepose("inspect", path, "--json").out) for path in files]
    assert {entry["multiply-adds"] for entry in found} == {541_616_640}
    assert found[0]["parameters"] == 4_008_974


def test_run_writes_video_json_and_csv(
    edgepose: Callable[..., Any], engines: Path, clip: tuple[Path, Path], tmp_path: Path
) -> None:
    video, boxes = clip
    outs = [tmp_path / f"poses.{kind}" for kind in ("mp4", "json", "csv")]
    done = edgepose(
        "run", engines / "openvino-int8", "--source", video, "--detector", boxes,
        "--out-video", outs[0], "--out-json", outs[1], "--out-csv", outs[2],
    )  # fmt: skip
    assert done.code == 0, done.err
    poses = json.loads(outs[1].read_text())["annotations"]
    wanted = json.loads(boxes.read_text())
    assert len(poses) == len(wanted)
    assert all(len(person["keypoints"]) == 3 * 14 and person["category_id"] == 1 for person in poses)
    assert {person["image_id"] for person in poses} == {box["image_id"] for box in wanted}
    capture = cv2.VideoCapture(str(outs[0]))
    assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == 12
    assert len(json.loads(outs[1].read_text())["images"]) == 12
    assert len(outs[2].read_text().splitlines()) >= 1 + len(poses)


def test_run_a_folder_of_photographs(
    edgepose: Callable[..., Any], engines: Path, photographs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "poses.json"
    done = edgepose("run", engines / "openvino-fp32", "--source", photographs, "--out-json", out)
    assert done.code == 0, done.err
    assert len(json.loads(out.read_text())["annotations"]) == 40


def test_eval_bench_report(edgepose: Callable[..., Any], engines: Path, tmp_path: Path) -> None:
    pair = (engines / "openvino-fp32", engines / "openvino-int8")
    done = edgepose("eval", *pair, "--data", "synthetic:32", "--json", tmp_path / "eval.json")
    assert done.code == 0, done.err
    first, second = json.loads((tmp_path / "eval.json").read_text())["engines"]
    assert first["n"] == second["n"] == 32
    assert {"pck@0.2", "pck@0.1", "pcp@0.5", "pdj@0.2", "oks_ap"} <= set(first["metrics"])
    metric = first["metrics"]["pck@0.2"]
    assert 0 <= metric["low"] <= metric["value"] <= metric["high"] <= 1
    kept = {name for name, metric in first["metrics"].items() if metric["value"] > 0}
    assert set(second["retention"]) == kept

    done = edgepose("bench", *pair, "--rounds", 3, "--json", tmp_path / "bench.json")
    assert done.code == 0, done.err
    timed = json.loads((tmp_path / "bench.json").read_text())
    for entry in timed["engines"]:
        assert set(entry["stages"]) == {"preprocess", "inference", "decode", "end_to_end", "network"}
        for times in entry["stages"].values():
            assert 0 < times["p50_ms"] <= times["p90_ms"] <= times["p95_ms"] <= times["p99_ms"]
    assert timed["threads"] == 1
    assert timed["machine"]["cores"]

    assert edgepose("report", tmp_path).code == 0
    page = (tmp_path / "report.html").read_text()
    assert page.count("<svg") == 4
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )


def test_calibrate_writes_scales_that_build_takes(
    edgepose: Callable[..., Any], engines: Path, photographs: Path, tmp_path: Path
) -> None:
    scales = tmp_path / "scales.json"
    done = edgepose("calibrate", engines / "fp32.onnx", "--data", f"images:{photographs}", "--out", scales)
    assert done.code == 0, done.err
    out = tmp_path / "out"
    done = edgepose("build", engines / "fp32.onnx", "--precision", "int8", "--scales", scales, "--out", out)
    assert done.code == 0, done.err
    assert (out / "openvino-int8" / "manifest.json").is_file()
    assert "stays in float" in done.err


@pytest.mark.usefixtures("without_tensorrt")
def test_doctor_says_what_is_ready(edgepose: Callable[..., Any]) -> None:
    found = json.loads(edgepose("doctor", "--json").out)
    assert found["backends"]["openvino"] == "ready"
    assert set(found["kernels"]) == {"host", "cuda"}
    assert "pip install tensorrt" in found["backends"]["tensorrt"]
    assert "ready" not in found["backends"]["tensorrt_rtx"]  # it builds; there is no GPU to run it
    assert set(found) == {"machine", "board", "kernels", "backends", "packages", "advice"}
