"""The trtexec line says what edgepose's builder would be told, by generation."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import ModuleType

import pytest

from edgepose.backends.declared.tensorrt import TensorRtOptions
from edgepose.backends.tensorrt.precision import api_of
from edgepose.backends.tensorrt.trtexec import ASSUMED, trtexec_line

SHARED = "--preview=+profileSharing0806"
SHAPES = {"input": [-1, 3, 256, 192]}
BASE = ["trtexec", "--onnx=a b.onnx", "--saveEngine=out/model.plan", "--profilingVerbosity=detailed", "--noTF32"]
PROFILE = ["--minShapes=input:1x3x256x192", "--optShapes=input:4x3x256x192", "--maxShapes=input:8x3x256x192"]


def line(options: TensorRtOptions, shapes: dict[str, list[int]] = SHAPES, api: object = ASSUMED) -> list[str]:
    return shlex.split(trtexec_line(Path("a b.onnx"), Path("out"), shapes, options, api))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("generation", "precision", "words"),
    [
        ("tensorrt-8.6.1", "fp32", [SHARED]),
        ("tensorrt-8.6.1", "fp16", ["--fp16", SHARED]),
        ("tensorrt-8.6.1", "int8", ["--int8", "--fp16", SHARED]),
        ("tensorrt-8.6.1", "int8-fp16", ["--int8", "--fp16", SHARED]),
        ("tensorrt-10.3.0", "int8", ["--stronglyTyped"]),
        ("tensorrt-11.4.0.106", "int8", []),
    ],
)
def test_precision_by_generation(generation: str, precision: str, words: list[str], trt_doubles: ModuleType) -> None:
    api = api_of(trt_doubles.double(generation))
    assert line(TensorRtOptions(precision=precision, batch=(1, 4, 8)), SHAPES, api) == [
        *BASE, *(word for word in words if word != SHARED), *PROFILE, *(word for word in words if word == SHARED),
    ]  # fmt: skip


def test_every_option_has_its_word(tmp_path: Path) -> None:
    options = TensorRtOptions(
        precision="int8", batch=(2, 2, 2), workspace_mib=512, builder_level=4, dla_core=1,
        timing_cache=tmp_path, calibration_cache=tmp_path / "c.cache",
    )  # fmt: skip
    words = line(options, {"input": [2, 3, 256, 192]})
    assert words == [
        *BASE, "--int8", "--fp16", f"--calib={tmp_path}/c.cache", "--memPoolSize=workspace:512M",
        "--builderOptimizationLevel=4", "--useDLACore=1", "--allowGPUFallback",
        f"--timingCacheFile={tmp_path}/trtexec.timing",
    ]  # fmt: skip
