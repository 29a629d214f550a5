"""The real TensorRT-RTX compiler, which needs no GPU: what it takes, what it says, what the folder holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgepose.artifacts.manifest import Manifest
from edgepose.artifacts.spec import ModelSpec
from edgepose.backends import tensorrt_rtx
from edgepose.backends.declared.tensorrt_rtx import TensorRtRtxOptions
from edgepose.backends.engine import build_engine, open_engine
from edgepose.backends.session import OpenOptions
from edgepose.backends.tensorrt import machine
from edgepose.backends.tensorrt.builder import compile_plan
from edgepose.backends.tensorrt.precision import api_of
from edgepose.errors import BuildError, EngineError

rtx = pytest.importorskip("tensorrt_rtx_bindings")
MakeTiny = Callable[..., onnx.ModelProto]
GPU = machine.device_here() is not None


def build(path: Path, folder: Path, spec: ModelSpec, **options: Any) -> Manifest:
    return build_engine(path, folder, spec, TensorRtRtxOptions(**options), "tensorrt_rtx", "edgepose build tiny")


def test_the_double_has_what_the_real_module_has(trt_doubles: Any) -> None:
    if f"tensorrt_rtx-{rtx.__version__}" not in trt_doubles.GENERATIONS:
        pytest.skip(f"no record of TensorRT-RTX {rtx.__version__}")
    double = trt_doubles.double(f"tensorrt_rtx-{rtx.__version__}")
    assert api_of(double) == api_of(rtx)
    for name in trt_doubles.API["classes"]:
        assert hasattr(double, name) == hasattr(rtx, name)
        missing = [
            key for key in vars(getattr(double, name, object)) if key[0] != "_" and not hasattr(getattr(rtx, name), key)
        ]
        assert missing == []


@pytest.mark.parametrize("capabilities", [(), ("SM86", "SM89", "SM120")])
def test_a_folder_with_a_manifest(tiny: Path, tmp_path: Path, spec: ModelSpec, capabilities: tuple[str, ...]) -> None:
    manifest = build(tiny, tmp_path / "engine", spec, batch=(1, 4, 8), capabilities=capabilities)
    assert manifest.backend_version == rtx.__version__
    assert manifest.build["capabilities"] == (" ".join(capabilities) or "portable")
    assert manifest.shapes == {"image": [[1, 3, 16, 12], [4, 3, 16, 12], [8, 3, 16, 12]]}
    assert sorted(path.name for path in (tmp_path / "engine").iterdir()) == ["manifest.json", "model.plan"]
    assert (tmp_path / "engine" / "model.plan").stat().st_size > 10_000


@pytest.mark.skipif(GPU, reason="there is a GPU here")
def test_without_a_gpu_the_folder_is_not_opened_and_says_so(tiny: Path, tmp_path: Path, spec: ModelSpec) -> None:
    manifest = build(tiny, tmp_path / "engine", spec)
    assert manifest.machine["gpu"] == "none: built ahead of time"
    assert "not opened here" in manifest.notes[0]
    with pytest.raises(EngineError, match="cannot be opened here: no NVIDIA driver"):
        open_engine(tmp_path / "engine", OpenOptions())


def test_a_quantized_graph(tmp_path: Path, make_tiny: MakeTiny, spec: ModelSpec) -> None:
    onnx.save(make_tiny(quantized=True), tmp_path / "int8.onnx")
    assert build(tmp_path / "int8.onnx", tmp_path / "engine", spec, precision="int8").precision == "int8"


@pytest.mark.parametrize(
    ("capabilities", "message"),
    [
        ((), "a portable engine is for GPUs without FP8 too"),
        (("SM89", "SM86"), "SM86 has no FP8; give --capability SM89"),
    ],
)
def test_fp8_is_refused_for_gpus_without_it(capabilities: tuple[str, ...], message: str) -> None:
    with pytest.raises(BuildError, match=message):
        tensorrt_rtx.refuse(TensorRtRtxOptions(precision="fp8", capabilities=capabilities))
    tensorrt_rtx.refuse(TensorRtRtxOptions(precision="fp8", capabilities=("SM89", "SM120")))


def test_progress_reaches_the_end(tiny: Path, tmp_path: Path) -> None:
    shown: list[int] = []

    def track(items: Any, label: str, total: int | None = None) -> Any:
        for item in items:
            shown.append(item)
            yield item

    compile_plan(rtx, tiny, TensorRtRtxOptions(), track=track)
    assert shown == list(range(100))


def test_ctrl_c_stops_a_build(tiny: Path) -> None:
    def track(items: Any, label: str, total: int | None = None) -> Any:
        yield 0
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compile_plan(rtx, tiny, TensorRtRtxOptions(), track=track)


def without_scale(make_tiny: MakeTiny) -> onnx.ModelProto:
    model = make_tiny(quantized=True)
    for tensor in model.graph.initializer:
        if tensor.name == "w2s":
            tensor.CopyFrom(numpy_helper.from_array(np.zeros(14, np.float32), "w2s"))
    return model


def asymmetric(make_tiny: MakeTiny) -> onnx.ModelProto:
    model = make_tiny(quantized=True)
    for tensor in model.graph.initializer:
        if tensor.name == "z":
            tensor.CopyFrom(numpy_helper.from_array(np.array(3, np.int8), "z"))
    return model


def unknown_operator(make_tiny: MakeTiny) -> onnx.ModelProto:
    model = make_tiny()
    model.graph.node[-1].op_type, model.graph.node[-1].domain = "Strange", "org.example"
    model.opset_import.append(onnx.helper.make_opsetid("org.example", 1))
    return model


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (without_scale, r"cannot read .*: a scale is zero.*node '/head/W' \(DequantizeLinear\)"),
        (asymmetric, r"symmetric INT8 only.*node '/head/D?Q' \((Deq|Q)uantizeLinear\)"),
        (unknown_operator, r"no such operator.*node '/head/Conv' \(Strange\)"),
    ],
)
def test_a_parser_error_is_told_with_node_and_operator(
    spoil: Any, says: str, make_tiny: MakeTiny, tmp_path: Path, spec: ModelSpec
) -> None:
    onnx.save(spoil(make_tiny), tmp_path / "spoilt.onnx")
    with pytest.raises(BuildError, match=says) as caught:
        build(tmp_path / "spoilt.onnx", tmp_path / "out" / "engine", spec)
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_file_that_is_no_onnx(tmp_path: Path, spec: ModelSpec) -> None:
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(BuildError, match=r"TensorRT-RTX cannot read .*text\.onnx"):
        build(tmp_path / "text.onnx", tmp_path / "out" / "engine", spec)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"capabilities": ("SM85",)}, "knows no compute capability 'SM85'; did you mean 'SM8"),
        ({"capabilities": ("CURRENT",)}, "knows no compute capability 'CURRENT'"),
    ],
)
def test_what_it_has_no_use_for_is_refused(
    tiny: Path, tmp_path: Path, spec: ModelSpec, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(BuildError, match=says):
        build(tiny, tmp_path / "engine", spec, **options)


def test_the_import_name_of_the_wheel_and_of_the_installer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tensorrt_rtx.problem() is None
    asked: list[str] = []
    monkeypatch.setattr(tensorrt_rtx, "optional", lambda name, extra: asked.append(name) or rtx)
    for found in (("tensorrt_rtx", "tensorrt_rtx_bindings"), ("tensorrt_rtx_bindings",), ()):
        monkeypatch.setattr(tensorrt_rtx, "available", lambda name, found=found: name in found)
        tensorrt_rtx.version()
    assert asked == ["tensorrt_rtx", "tensorrt_rtx_bindings", "tensorrt_rtx_bindings"]
