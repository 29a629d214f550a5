"""`build` with the TensorRT family: the real TensorRT-RTX compiler, and doubles of TensorRT."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgepose._files import sha256_file
from edgepose.errors import ModelError

PRECISIONS = ("fp32", "fp16", "int8")


def test_three_engines_without_a_gpu(edgepose: Callable[..., Any], photographs: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx_bindings")
    out = tmp_path / "out"
    done = edgepose(
        "build", "lite", "--precision", "fp32,fp16,int8", "--backend", "tensorrt_rtx",
        "--calib", f"images:{photographs}", "--no-guard", "--batch", "1,4,8", "--out", out,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.out.split() == [str(out / f"tensorrt_rtx-{precision}") for precision in PRECISIONS]
    for precision in PRECISIONS:
        folder = out / f"tensorrt_rtx-{precision}"
        found = json.loads(edgepose("inspect", folder, "--json").out)
        assert (found["kind"], found["precision"], found["backend"]) == ("engine", precision, "tensorrt_rtx")
        assert found["shapes"] == {"input": [[n, 3, 256, 192] for n in (1, 4, 8)]}
        graph = "int8-fp16" if precision == "int8" else precision  # its float parts are FP16
        assert found["onnx_sha256"] == sha256_file(out / f"{graph}.onnx")
        assert found["build"].get("float_parts") == ("fp16" if precision == "int8" else None)
        plain = edgepose("inspect", folder)
        assert "capabilities: portable" in plain.out and "timing_cache: off" in plain.out
    assert {path.name for path in out.iterdir()} == {
        "scales.json",
        *(f"{precision}.onnx" for precision in (*PRECISIONS, "int8-fp16")),
        *(f"tensorrt_rtx-{precision}" for precision in PRECISIONS),
    }


def test_fp8_is_an_experiment(edgepose: Callable[..., Any], tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx_bindings")
    words = ("build", "lite", "--precision", "fp8", "--backend", "tensorrt_rtx", "--capability", "SM89,SM120")
    done = edgepose(*words, "--out", tmp_path)
    assert done.code == 0, done.err
    assert "fp8 is an experiment" in done.err
    made = manifest(tmp_path / "tensorrt_rtx-fp8")
    assert made["precision"] == "fp8" and any("no GPU has run such an engine" in line for line in made["notes"])
    assert made["onnx_sha256"] == sha256_file(tmp_path / "fp8.onnx")
    assert made["scales_sha256"] == sha256_file(tmp_path / "scales.json")
    assert not (tmp_path / "int8.onnx").exists() and not made["guard"]
    found = json.loads(edgepose("inspect", tmp_path / "fp8.onnx", "--json").out)
    assert found["precision"] == "fp8" and "int8" not in found


@pytest.mark.parametrize(
    "words", [("openvino",), ("onnxruntime",), ("tensorrt", "--trtexec")], ids=["openvino", "onnxruntime", "trtexec"]
)
def test_fp8_is_refused_by_other_backends(edgepose: Callable[..., Any], tmp_path: Path, words: tuple[str, ...]) -> None:
    done = edgepose("build", "lite", "--precision", "fp8", "--backend", *words, "--out", tmp_path / "out")
    assert done.code != 0 and f"{words[0]} builds no fp8 engines; give --backend tensorrt_rtx" in done.err
    assert not (tmp_path / "out").exists()


def build(edgepose: Callable[..., Any], out: Path, *words: str, precision: str = "int8-fp16") -> Any:
    return edgepose("build", "lite", "--backend", "tensorrt", "--precision", precision, *words, "--out", out)


def manifest(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return value


@pytest.mark.parametrize("precision", ["int8", "int8-fp16"])
@pytest.mark.parametrize(("generation", "graph"), [("tensorrt-8.6.1", "int8"), ("tensorrt-10.3.0", "int8-fp16")])
def test_the_graph_each_generation_compiles(
    edgepose: Callable[..., Any],
    installed: Callable[..., Any],
    tmp_path: Path,
    generation: str,
    graph: str,
    precision: str,
) -> None:
    trt = installed(generation)
    done = build(edgepose, tmp_path, precision=precision)
    assert done.code == 0, done.err
    made = manifest(tmp_path / f"tensorrt-{precision}")
    assert (made["precision"], made["build"]["float_parts"]) == (precision, "fp16")
    assert made["onnx_sha256"] == sha256_file(tmp_path / f"{graph}.onnx")
    assert made["scales_sha256"] == sha256_file(tmp_path / "scales.json")
    assert trt._world.told("set_flag") == (["INT8", "FP16"] if generation == "tensorrt-8.6.1" else [])
    assert [path.suffix for path in (tmp_path / "timing").iterdir()] == [".timing"]


def test_float_parts_in_float32(edgepose: Callable[..., Any], installed: Callable[..., Any], tmp_path: Path) -> None:
    installed("tensorrt-10.3.0")
    done = build(edgepose, tmp_path, "--float-parts", "fp32", precision="int8")
    assert done.code == 0, done.err
    made = manifest(tmp_path / "tensorrt-int8")
    assert made["onnx_sha256"] == sha256_file(tmp_path / "int8.onnx")
    assert made["build"]["float_parts"] == "fp32"
    assert not (tmp_path / "int8-fp16.onnx").exists()


def test_float_parts_without_int8_would_do_nothing(
    edgepose: Callable[..., Any], installed: Callable[..., Any], tmp_path: Path
) -> None:
    installed("tensorrt-10.3.0")
    done = build(edgepose, tmp_path, "--float-parts", "fp32", precision="fp16")
    assert (done.code, "about int8" in done.err) == (2, True)


def test_a_calibration_cache_from_the_same_scales(
    edgepose: Callable[..., Any], installed: Callable[..., Any], tmp_path: Path
) -> None:
    trt = installed("tensorrt-10.3.0")
    done = build(edgepose, tmp_path, "--calibration-cache", precision="fp16,int8")
    assert done.code == 0, done.err
    text = (tmp_path / "calibration.cache").read_text()
    assert text.startswith("TRT-100300-EntropyCalibration2\n")
    (told,) = trt._world.told("cache")  # int8 read it, fp16 did not
    assert told[0].decode() == text
    made = manifest(tmp_path / "tensorrt-int8")
    assert made["onnx_sha256"] == sha256_file(tmp_path / "fp32.onnx")
    assert made["build"]["calibration_cache"] == "calibration.cache"
    assert made["build"]["typing"] == "weak"
    assert "calibration_cache" not in manifest(tmp_path / "tensorrt-fp16")["build"]


def test_no_engine_from_a_calibration_cache_where_the_int8_graph_failed(
    edgepose: Callable[..., Any], installed: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*rest: Any, **more: Any) -> Any:
        raise ModelError("INT8 cannot keep the accuracy")

    installed("tensorrt-10.3.0")
    monkeypatch.setattr("edgepose.quantize.quantize", fail)
    done = build(edgepose, tmp_path, "--calibration-cache", precision="int8")
    assert done.code == 1 and "INT8 cannot keep the accuracy" in done.err
    assert not (tmp_path / "tensorrt-int8").exists()


def test_a_dla_takes_one_person_at_a_time_unless_told(
    edgepose: Callable[..., Any], installed: Callable[..., Any], tmp_path: Path
) -> None:
    trt = installed("tensorrt-10.3.0")
    trt._world.dla_cores, trt._world.dla_refuses = 2, ("CONVTRANSPOSE",)
    done = build(edgepose, tmp_path, "--dla-core", "1", precision="fp16")
    assert done.code == 0, done.err
    assert "3 of " in done.err and "run on the GPU, the DLA does not take them: 3 convtranspose" in done.err
    made = manifest(tmp_path / "tensorrt-fp16")
    assert made["shapes"]["input"] == [[1, 3, 256, 192]] * 3
    assert made["build"]["dla_core"] == "1"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--dla-core", "0"), "--calibration-cache"),
        (("--dla-core", "0", "--batch", "1,2,4"), "one fixed shape"),
        (("--dla-core", "5", "--batch", "2,2,2"), "choose 0 to 1"),
    ],
)
def test_a_rule_of_the_dla_that_is_broken(
    edgepose: Callable[..., Any], installed: Callable[..., Any], tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    installed("tensorrt-10.3.0")._world.dla_cores = 2
    done = build(edgepose, tmp_path, *words, precision="int8")
    assert done.code == 1
    assert says in done.err
    assert not any(tmp_path.iterdir())


def test_a_cache_without_int8_would_do_nothing(
    edgepose: Callable[..., Any], installed: Callable[..., Any], tmp_path: Path
) -> None:
    installed("tensorrt-10.3.0")
    done = build(edgepose, tmp_path, "--calibration-cache", precision="fp16")
    assert (done.code, "about int8" in done.err) == (2, True)


@pytest.mark.usefixtures("without_tensorrt")
def test_trtexec_lines_need_no_tensorrt(edgepose: Callable[..., Any], tmp_path: Path) -> None:
    done = build(edgepose, tmp_path, "--trtexec", "--batch", "1,4,8", "--workspace", "512", precision="fp16,int8")
    assert done.code == 0, done.err
    first, second = done.out.splitlines()
    assert first.startswith(
        f"trtexec --onnx={tmp_path / 'fp16.onnx'} --saveEngine={tmp_path / 'tensorrt-fp16'}/model.plan"
    )
    assert f"--onnx={tmp_path / 'int8-fp16.onnx'}" in second
    assert "--stronglyTyped --minShapes=input:1x3x256x192 --optShapes=input:4x3x256x192" in second
    graphs = {"fp32.onnx", "fp16.onnx", "int8.onnx", "int8-fp16.onnx"}
    assert {path.name for path in tmp_path.iterdir()} == {*graphs, "scales.json"}


def test_trtexec_lines_are_for_the_tensorrt_that_is_there(
    edgepose: Callable[..., Any], installed: Callable[..., Any], tmp_path: Path
) -> None:
    installed("tensorrt-8.6.1")
    done = build(edgepose, tmp_path, "--trtexec")
    assert done.code == 0, done.err
    assert f"--onnx={tmp_path / 'int8.onnx'}" in done.out
    assert "--int8 --fp16" in done.out and "--stronglyTyped" not in done.out


@pytest.mark.usefixtures("without_tensorrt")
def test_a_cache_is_not_written_for_a_version_that_is_not_known(edgepose: Callable[..., Any], tmp_path: Path) -> None:
    done = build(edgepose, tmp_path, "--trtexec", "--calibration-cache", precision="int8")
    assert (done.code, "tensorrt is not installed" in done.err) == (1, True)
    assert not any(tmp_path.iterdir())
