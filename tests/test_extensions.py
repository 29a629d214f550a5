"""A codec, a backend, a metric and a quantization pass, each of one file and one registry line, work together.

The files are `toy_codec.py`, `toy_backend.py`, `toy_metric.py` and `toy_pass.py` in this folder. The test adds the
four registry lines and then builds, runs and evaluates a network that needs all of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import onnx
import pytest
import toy_backend
import toy_pass

import edgepose
from edgepose.api.evaluate import EvaluateOptions
from edgepose.api.run import RunOptions
from edgepose.backends import BACKENDS
from edgepose.codecs import CODECS
from edgepose.metrics import MODULES
from edgepose.quantize.passes import PASSES

SPEC = """
name = "tiny"
skeleton = "lsp14"
input = { name = "input", size = [32, 24] }
codec = { type = "centroid", power = 2.0 }
outputs = ["masses"]
"""


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line for each toy."""
    monkeypatch.setitem(CODECS, "centroid", "toy_codec:CentroidCodec")
    monkeypatch.setitem(BACKENDS, "toy", toy_backend.__name__)
    monkeypatch.setitem(MODULES, "toy", "toy_metric")
    monkeypatch.setattr("edgepose.quantize.passes.PASSES", [*PASSES, toy_pass.MultiplyByOne()])


@pytest.fixture
def network(nets: ModuleType, tmp_path: Path) -> Path:
    """Three convolutions and a ReLU: positive maps of 14 joints."""
    net = nets.Net()
    x = net.op("Relu", [net.conv("input", "stem", 3, 16, 3, stride=2)], "stem_relu")
    x = net.op("Relu", [net.conv(x, "middle", 16, 32, 3)], "middle_relu")
    net.op("Softplus", [net.conv(x, "head", 32, 14)], "masses")
    onnx.save(net.model(output="masses"), tmp_path / "tiny.onnx")
    (tmp_path / "tiny.toml").write_text(SPEC)
    return tmp_path / "tiny.onnx"


@pytest.mark.usefixtures("registered")
def test_four_toys_build_run_and_evaluate(network: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")  # calibration runs there
    options = edgepose.BuildOptions(
        backends=("toy",), spec=tmp_path / "tiny.toml", calib="synthetic:32", engine={"label": "mine"}
    )
    built = edgepose.build(network, out=tmp_path / "out", options=options)
    assert [folder.name for folder in built.engines] == ["toy-fp32", "toy-int8"]
    assert onnx.load(built.graphs["int8"]).graph.node[-1].name == "toy_mul"
    scales = json.loads((tmp_path / "out" / "scales.json").read_text())
    assert {"channel_mean", "image_max"} <= set(scales["tensors"]["input"]["statistics"])
    assert [built.manifests[folder].build for folder in built.engines] == [{"label": "mine"}] * 2

    result = edgepose.evaluate(built.engines, data="synthetic:4", options=EvaluateOptions(n_boot=100))
    assert {"toy", "toy_person", "pck@0.2"} <= set(result.engines[1].metrics)
    assert result.engines[1].metrics["toy"].declared.direction == "lower"

    cv2.imwrite(str(tmp_path / "photo.png"), np.random.default_rng(0).integers(0, 255, (64, 48, 3), np.uint8))
    edgepose.run(built.engines[1], source=tmp_path / "photo.png", options=RunOptions(out_json=tmp_path / "poses.json"))
    (person,) = json.loads((tmp_path / "poses.json").read_text())["annotations"]
    assert len(person["keypoints"]) == 3 * 14
    with edgepose.load(built.engines[0]) as pose:
        assert pose(tmp_path / "photo.png").xy_image.shape == (1, 14, 2)
