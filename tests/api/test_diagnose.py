"""The first layer at which two networks part."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from corrupted import ARCHITECTURES, corrupted
from nets import SIZE, make_spec, pose_net, scales_for

from edgepose.api.diagnose import Diagnosis, diagnose, part
from edgepose.backends import openvino
from edgepose.backends.declaration import BuildOptions
from edgepose.backends.inner import OnnxInner, OpenVinoInner
from edgepose.errors import ModelError, UsageError
from edgepose.quantize import quantize

IMAGES = np.random.default_rng(0).normal(size=(2, 3, *SIZE)).astype(np.float32)
CASES = [(name, seed) for name in ARCHITECTURES for seed in range(3)]


@pytest.mark.parametrize(("name", "seed"), CASES)
def test_the_corrupted_layer_is_found_between_two_graphs(name: str, seed: int) -> None:
    model = ARCHITECTURES[name](seed)
    wrong, layer = corrupted(model, seed)
    found = part(OnnxInner(model), OnnxInner(wrong), IMAGES)
    assert found.parted and found.first is not None
    assert (found.first.tensor, found.first.node, found.first.op) == (layer.output[0], layer.name, layer.op_type)
    assert found.last is None or found.last.agreement.relative_error == 0


@pytest.mark.parametrize(("name", "seed"), CASES)
def test_the_corrupted_layer_is_found_in_openvino(name: str, seed: int, tmp_path: Path) -> None:
    model = ARCHITECTURES[name](seed)
    wrong, layer = corrupted(model, seed)
    onnx.save(wrong, tmp_path / "wrong.onnx")
    openvino.build(tmp_path / "wrong.onnx", tmp_path, BuildOptions())
    found = part(OnnxInner(model), OpenVinoInner(tmp_path / "model.xml"), IMAGES)
    assert found.parted and found.first is not None
    assert (found.first.tensor, found.first.node) == (layer.output[0], layer.name)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_right_engine_agrees(name: str, tmp_path: Path) -> None:
    model = ARCHITECTURES[name](5)
    onnx.save(model, tmp_path / "right.onnx")
    openvino.build(tmp_path / "right.onnx", tmp_path, BuildOptions())
    for first, second in (
        (OnnxInner(model), OpenVinoInner(tmp_path / "model.xml")),
        (OpenVinoInner(tmp_path / "model.xml"), OnnxInner(model)),
    ):
        found = part(first, second, IMAGES)
        assert not found.parted and found.first is None and found.compared >= 8
        assert "they agree" in found.describe()


def test_tensors_of_other_names_are_matched_by_position() -> None:
    model = ARCHITECTURES["residual"](1)
    wrong, layer = corrupted(model, 1)
    found = part(OnnxInner(model), OnnxInner(renamed(wrong)), IMAGES)
    assert found.first is not None and found.first.tensor == layer.output[0]
    assert not part(OnnxInner(model), OnnxInner(renamed(model)), IMAGES).parted


def renamed(model: onnx.ModelProto) -> onnx.ModelProto:
    made = onnx.ModelProto()
    made.CopyFrom(model)
    kept = {value.name for value in (*made.graph.input, *made.graph.output)}
    for node in made.graph.node:
        for names in (node.input, node.output):
            names[:] = [name if name in kept or not name else f"other_{name}" for name in names]
    for tensor in made.graph.initializer:
        tensor.name = f"other_{tensor.name}"
    del made.graph.value_info[:]
    return made


def test_files_without_a_contract_run_on_noise(tmp_path: Path) -> None:
    model = ARCHITECTURES["depthwise"](2)
    wrong, layer = corrupted(model, 2)
    for name, graph in (("a", model), ("b", wrong)):
        onnx.save(graph, tmp_path / f"{name}.onnx")
    found = diagnose(tmp_path / "a.onnx", tmp_path / "b.onnx")
    assert found.first is not None and found.first.tensor == layer.output[0]
    assert layer.output[0] in found.describe() and layer.output[0] in json.dumps(found.to_json(), allow_nan=False)


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no ONNX file, no engine folder and no zoo name"):
        diagnose(tmp_path / "none.onnx", tmp_path)
    free = ARCHITECTURES["chain"](0)
    free.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    onnx.save(free, tmp_path / "free.onnx")
    with pytest.raises(ModelError, match="no contract and no fixed input size"):
        diagnose(tmp_path / "free.onnx", tmp_path / "free.onnx")


def test_int8_ranks_the_layers_by_what_they_lose(tmp_path: Path) -> None:
    model = pose_net()
    spec = make_spec(outputs=["heatmaps"])
    quantized = quantize(model, scales_for(model, IMAGES), spec)
    onnx.save(quantized, tmp_path / "int8.onnx")
    openvino.build(tmp_path / "int8.onnx", tmp_path, BuildOptions())
    for second in (OnnxInner(quantized), OpenVinoInner(tmp_path / "model.xml")):
        found = part(OnnxInner(model), second, IMAGES, precision="int8")
        assert isinstance(found, Diagnosis) and not found.parted
        assert found.precision == "int8" and found.losses and found.first == found.losses[0][0]
        losses = [loss for _, loss in found.losses]
        assert losses == sorted(losses, reverse=True) and all(math.isfinite(loss) for loss in losses)
        assert "loses most" in found.describe() and any("dB" in line for line in found.lines())
    assert diagnosed_precision(tmp_path / "int8.onnx") == "int8"


def diagnosed_precision(path: Path) -> str:
    return diagnose(path, path).precision
