"""The answers of the guard on the command line: exit codes, and one line that says what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from edgepose.artifacts.certificate import read_certificate
from edgepose.artifacts.scales import read_scales, write_scales
from edgepose.artifacts.spec import embed_spec


@pytest.fixture
def network(nets: Any, tmp_path: Path) -> Path:
    """Three convolutions with random weights, of which one can be int8; it moves joints."""
    net = nets.Net()
    x = net.op("Relu", [net.conv("input", "stem", 3, 8, 3, stride=2)], "r")
    net.conv(net.op("Relu", [net.conv(x, "a", 8, 8, 3)], "ra"), "heatmaps", 8, 14)
    model = net.model()
    embed_spec(model, nets.make_spec(skeleton="lsp14"))
    onnx.save(model, str(tmp_path / "net.onnx"))
    return tmp_path / "net.onnx"


def test_what_cannot_be_kept_ends_with_exit_code_1(edgepose: Any, network: Path, tmp_path: Path) -> None:
    """Scales that clip nearly everything, as of a calibration on black images, lose more than chance explains."""
    out, first = tmp_path / "out", tmp_path / "first"
    flags = ("--precision", "int8", "--backend", "onnxruntime", "--calib", "synthetic:60")
    assert edgepose("build", network, *flags, "--keep-metric", "pck@0.2:50", "--out", first).code == 0
    scales = read_scales(first / "scales.json")
    small = {name: replace(item, scale=item.scale / 50) for name, item in scales.tensors.items()}
    write_scales(tmp_path / "scales.json", replace(scales, tensors=small, bias={}, bias_placement=""))
    done = edgepose("build", network, *flags, "--scales", tmp_path / "scales.json", "--out", out)
    assert done.code == 1
    error = [line for line in done.err.splitlines() if line.startswith("edgepose: ")]
    assert len(error) == 1 and "cannot be kept" in error[0] and "edgepose train --quantized" in error[0]
    assert [path.name for path in out.iterdir() if path.is_dir()] == ["onnxruntime-fp16"]
    assert read_certificate(out / "guard.json").answer == "cannot be kept"


def test_a_lower_floor_is_kept(edgepose: Any, network: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    flags = ("--precision", "int8", "--backend", "onnxruntime", "--calib", "synthetic:60", "--out", out)
    done = edgepose("build", network, *flags, "--keep-metric", "pck@0.2:50")
    assert done.code == 0 and "int8 accuracy: kept at 95% confidence" in done.err
    shown = edgepose("inspect", out / "onnxruntime-int8")
    assert shown.code == 0 and "kept at 95% confidence" in shown.out
