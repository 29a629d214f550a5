"""The verbs as functions: they print nothing, and return what was made."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

import edgepose
from edgepose.api.evaluate import EvaluateOptions
from edgepose.api.request import BuildOptions, build_request
from edgepose.api.run import RunOptions
from edgepose.errors import CalibrationError, UsageError
from edgepose.zoo import zoo_model, zoo_scales


@pytest.fixture(autouse=True)
def _silent(capfd: pytest.CaptureFixture[str]) -> object:
    yield
    assert capfd.readouterr() == ("", "")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built")
    notes: list[str] = []
    result = edgepose.build("lite", out=out, note=notes.append)
    assert [path.name for path in result.engines] == ["openvino-fp32", "openvino-int8"]
    assert set(result.graphs) == {"fp32", "int8"} and all(path.is_file() for path in result.graphs.values())
    assert result.scales == out / "scales.json"
    assert result.kept_float and all(reason for reason in result.kept_float.values())
    assert [manifest.precision for manifest in result.manifests.values()] == ["fp32", "int8"]
    command = result.manifests[result.engines[0]].build_command
    assert command == f"edgepose build lite --out {out} --overwrite"
    assert any("stays in float" in line for line in notes) and any(line.startswith("built ") for line in notes)
    with pytest.raises(FrozenInstanceError):
        result.scales = None  # type: ignore[misc]
    return out


def test_building_again_is_refused(built: Path) -> None:
    with pytest.raises(UsageError, match="--overwrite"):
        edgepose.build("lite", out=built)


def test_the_command_line_of_options() -> None:
    options = BuildOptions(
        precisions=("fp16", "int8"), calib="images:my photos", quantize={"keep_float": ("a", "b"), "stem_float": False},
        engine={"batch": (1, 2, 8), "dla_core": 0, "calibration_cache": True},
    )  # fmt: skip
    assert build_request("net.onnx", "out", options).command == (
        "edgepose build net.onnx --out out --precision fp16,int8 --calib 'images:my photos' --keep-float a "
        "--keep-float b --stem-int8 --batch 1,2,8 --dla-core 0 --calibration-cache"
    )


def test_quantize(tmp_path: Path, built: Path) -> None:
    result = edgepose.quantize_onnx(zoo_model("lite"), scales=zoo_scales("lite"), out=tmp_path / "int8.onnx")
    assert result.path.read_bytes() == (built / "int8.onnx").read_bytes()
    assert result.kept_float
    with pytest.raises(CalibrationError):
        edgepose.quantize_onnx(result.path, scales=zoo_scales("lite"), out=tmp_path / "again.onnx")


def test_calibrate(tmp_path: Path, built: Path) -> None:
    scales = edgepose.calibrate(built / "fp32.onnx", data="synthetic:32", out=tmp_path / "scales.json", limit=32)
    assert scales.images == 32
    assert json.loads((tmp_path / "scales.json").read_text())["images"] == 32
    with pytest.raises(UsageError, match="exists"):
        edgepose.calibrate(built / "fp32.onnx", data="synthetic:32", out=tmp_path / "scales.json")


def test_evaluate_and_benchmark(tmp_path: Path, built: Path) -> None:
    engines = [built / "openvino-fp32", built / "openvino-int8"]
    out = tmp_path / "eval.json"
    result = edgepose.evaluate(engines, data="synthetic:32:1", options=EvaluateOptions(n_boot=100), out=out)
    assert len(result.engines) == 2
    assert json.loads(out.read_text()) == json.loads(json.dumps(result.to_json()))
    timed = edgepose.benchmark(engines, rounds=2, out=tmp_path / "bench.json")
    assert [engine.precision for engine in timed.engines] == ["fp32", "int8"]
    assert (tmp_path / "bench.json").is_file()


def test_run(tmp_path: Path, built: Path, picture: Path) -> None:
    seen: list[str] = []
    options = RunOptions(out_json=tmp_path / "poses.json", out_csv=tmp_path / "poses.csv")
    result = edgepose.run(
        built / "openvino-fp32", source=picture, options=options, sinks=[lambda frame, poses: seen.append(frame.name)]
    )
    assert (result.frames, result.dropped, result.outputs) == (1, 0, options.outputs)
    assert seen == ["person.png"]
    assert len(json.loads((tmp_path / "poses.json").read_text())) == 1
    with pytest.raises(UsageError, match="nothing to write"):
        edgepose.run(built / "openvino-fp32", source=picture)


def test_inspect(built: Path) -> None:
    assert edgepose.inspect(built / "openvino-int8")["precision"] == "int8"
