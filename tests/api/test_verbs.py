"""The verbs as functions: they print nothing, and return what was made."""

from __future__ import annotations

import contextlib
import json
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import onnx
import pytest

import edgepose
from edgepose._files import sha256_file
from edgepose.api.evaluate import EvaluateOptions
from edgepose.api.request import BuildOptions, build_request
from edgepose.api.run import RunOptions
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.scales import read_scales, write_scales
from edgepose.artifacts.spec import embed_spec, embedded_spec
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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quantize": {"percentile": 99.0}}, "--percentile is about int8"),
        ({"quantize": {"deconv_weights": "axis1"}}, "--deconv-weights is about int8"),
        ({"quantize": {"stem_float": False}}, "--stem-int8 is about int8"),
        ({"quantize": {"stem_float": True}}, "--stem-float is about int8"),
        ({"quantize": {"clip_to_relu": False}}, "--keep-clip is about int8"),
        ({"quantize": {"keep_float": ("/head/*",)}}, "--keep-float is about int8"),
        ({"quantize": {"keep_float32": ("/head/*",)}}, "unknown quantization option 'keep_float32'"),
        ({"quantize": {"metod": "mse"}}, "unknown quantization option 'metod'; did you mean 'method'"),
        ({"engine": {"bach": (1,)}}, "unknown backend option 'bach'; did you mean 'batch'"),
    ],
)
def test_options_without_effect_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        edgepose.build("lite", out=tmp_path / "out", options=BuildOptions(precisions=("fp32",), **options))
    assert not (tmp_path / "out").exists()


def test_options_of_another_type(tmp_path: Path) -> None:
    assert RunOptions(out_json="poses.json").outputs == (Path("poses.json"),)  # type: ignore[arg-type]
    assert BuildOptions(spec="net.toml").spec == Path("net.toml")  # type: ignore[arg-type]
    for name, value in (("precisions", "fp32"), ("precisions", ()), ("backends", "openvino"), ("backends", ())):
        with pytest.raises(UsageError, match=f"{name} = .*expected a tuple of names"):
            BuildOptions(**{name: value})
    for name, value in (("stem_float", "no"), ("percentile", "99"), ("percentile", True), ("keep_float", "/head/*")):
        with pytest.raises(UsageError, match=f"{name} = .*; expected"):
            QuantizeOptions(**{name: value})
    with pytest.raises(UsageError, match="keep_float = '/head/\\*'; expected a tuple"):
        QuantizeOptions().changed({"keep_float": "/head/*"})


def test_a_pattern_that_names_nothing_is_refused_before_calibration(tmp_path: Path) -> None:
    options = BuildOptions(precisions=("int8",), calib="synthetic:32", quantize={"keep_float": ("/haed/*",)})
    with pytest.raises(UsageError, match="'/haed/\\*' names no node"):
        edgepose.build("lite", out=tmp_path, options=options)
    assert not (tmp_path / "scales.json").exists()


def test_a_percentile_needs_its_method_and_its_scales(tmp_path: Path, built: Path) -> None:
    asked = {"method": "percentile", "percentile": 99.0}
    scales = tmp_path / "scales.json"
    with pytest.raises(UsageError, match="--method percentile"):
        edgepose.calibrate(built / "fp32.onnx", data="synthetic:32", out=scales, options={"percentile": 99.0})
    assert not scales.exists()
    edgepose.calibrate(built / "fp32.onnx", data="synthetic:32", out=scales, options=asked)
    for percentile, stale in ((99.0, False), (99.9, True)):
        options = BuildOptions(
            precisions=("int8",), backends=("onnxruntime",), scales=scales, quantize=asked | {"percentile": percentile}
        )
        with pytest.raises(CalibrationError, match=r"--percentile 99\.9") if stale else contextlib.nullcontext():
            edgepose.build("lite", out=tmp_path / f"out{percentile}", options=options)


def test_quantize_takes_the_options_in_the_contract(tmp_path: Path, built: Path) -> None:
    model = onnx.load(str(built / "fp32.onnx"))
    spec = embedded_spec(model, "fp32.onnx")
    embed_spec(model, replace(spec, quantize=QuantizeOptions(keep_float=("/trunk/blocks.0/*",), stem_float=False)))
    onnx.save(model, str(tmp_path / "fp32.onnx"))
    scales = replace(read_scales(built / "scales.json"), onnx_sha256=sha256_file(tmp_path / "fp32.onnx"))
    write_scales(tmp_path / "scales.json", scales)

    def reasons(out: str, options: QuantizeOptions | None = None) -> str:
        made = edgepose.quantize_onnx(
            tmp_path / "fp32.onnx", scales=tmp_path / "scales.json", out=tmp_path / out, options=options
        )
        return " ".join(f"{name} {reason}" for name, reason in made.kept_float.items())

    assert "/trunk/blocks.0/" in reasons("contract.onnx") and "stem: reads" not in reasons("contract2.onnx")
    assert "stem: reads" in reasons("plain.onnx", QuantizeOptions())


def test_quantize(tmp_path: Path, built: Path) -> None:
    result = edgepose.quantize_onnx(zoo_model("lite"), scales=zoo_scales("lite"), out=tmp_path / "int8.onnx")
    assert 20 < result.agreement["heatmaps"].snr_db < 40
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
    alone = edgepose.evaluate(engines[0], data="synthetic:32:1", options=EvaluateOptions(n_boot=100))
    assert alone.engines[0].metrics == result.engines[0].metrics
    for verb in (edgepose.benchmark, lambda none: edgepose.evaluate(none, data="synthetic:32")):
        with pytest.raises(UsageError, match="no engine is given"):
            verb([])
    with pytest.raises(UsageError, match="people = 0"):
        edgepose.benchmark(engines, people=0)
    with pytest.raises(UsageError, match="threads = -1"):
        edgepose.benchmark(engines, threads=-1)
    for options, name in ((EvaluateOptions(n_boot=0), "n_boot = 0"), (EvaluateOptions(threads=-1), "threads = -1")):
        with pytest.raises(UsageError, match=name):
            edgepose.evaluate(engines, data="synthetic:32", options=options)
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
    assert len(json.loads((tmp_path / "poses.json").read_text())["images"]) == 1
    with pytest.raises(UsageError, match="nothing to write"):
        edgepose.run(built / "openvino-fp32", source=picture)


def test_inspect(built: Path) -> None:
    assert edgepose.inspect(built / "openvino-int8")["precision"] == "int8"
    assert edgepose.inspect("lite") == edgepose.inspect(zoo_model("lite"))
