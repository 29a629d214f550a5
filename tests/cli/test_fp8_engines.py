"""FP8 is refused where it cannot run, and compiles with the real TensorRT-RTX."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgepose._files import sha256_file
from edgepose.artifacts.manifest import read_manifest
from edgepose.backends.declaration import BuildOptions
from edgepose.backends.fp8 import CAPABILITIES, NOTE, refuse_capabilities, refuse_fp8
from edgepose.errors import BuildError


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ((), "a portable engine is for GPUs without FP8 too; build fp8 with --backend tensorrt_rtx --capability SM89"),
        (("SM86", "SM89", "SM75"), "SM86, SM75 has no FP8"),
    ],
)
def test_gpus_without_fp8_are_refused(given: tuple[str, ...], says: str) -> None:
    with pytest.raises(BuildError, match=says):
        refuse_capabilities(BuildOptions(precision="fp8"), given)
    refuse_capabilities(BuildOptions(precision="int8"), given)
    refuse_capabilities(BuildOptions(precision="fp8"), CAPABILITIES)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_a_cpu_backend_refuses_it_in_one_line(edgepose: Callable[..., Any], tmp_path: Path, backend: str) -> None:
    pytest.importorskip(backend)
    done = edgepose("build", "lite", "--precision", "fp8", "--backend", backend, "--out", tmp_path / "out")
    assert done.code == 1 and "does not build; use --backend tensorrt_rtx --capability SM89,SM120,SM121" in done.err
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())
    refuse_fp8(BuildOptions(precision="int8"), backend)


def test_it_compiles_and_says_what_is_not_measured(edgepose: Callable[..., Any], tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx_bindings")
    done = edgepose(
        "build", "lite", "--precision", "fp8", "--backend", "tensorrt_rtx", "--capability", "SM89,SM120",
        "--out", tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.out.split() == [str(tmp_path / "tensorrt_rtx-fp8")]
    assert NOTE in " ".join(done.err.split())
    manifest = read_manifest(tmp_path / "tensorrt_rtx-fp8")
    assert (manifest.precision, manifest.build["typing"]) == ("fp8", "strong")
    assert manifest.notes.count(NOTE) == 1
    assert manifest.onnx_sha256 == sha256_file(tmp_path / "fp8.onnx")
    assert manifest.scales_sha256 == sha256_file(tmp_path / "scales.json")
    assert 15 < manifest.agreement["heatmaps"] < 40  # of the graph, in ONNX Runtime
    assert (tmp_path / "tensorrt_rtx-fp8" / "model.plan").stat().st_size > 1_000_000
