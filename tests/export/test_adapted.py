"""An adapted graph must still compute the outputs of its file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from pooled import pooled

from edgepose.errors import ModelError
from edgepose.export.adapted import refuse_lost_outputs
from edgepose.export.foreign import import_network
from edgepose.graph.lookup import copied
from edgepose.recognize import Recognized, candidate_of, recognize

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
KINDS = {
    "MoveNet": pooled((1, 192, 192, 3), {"output_0": (1, 1, 17, 3)}, dtype="int32"),
    "BlazePose": pooled((1, 256, 256, 3), {"a": (1, 195), "b": (1, 1)}),
    "heatmaps": pooled((1, 256, 192, 3), {"heatmaps": (1, 17, 64, 48)}, dtype="uint8", scaled=(MEAN, STD)),
    "Ultralytics": pooled((1, 3, 128, 96), {"output0": (1, 56, 252)}),
    "float16": pooled((1, 256, 192, 3), {"simcc_x": (1, 17, 384), "simcc_y": (1, 17, 512)}, dtype="float16"),
    "a batch of four": pooled((4, 192, 192, 3), {"output_0": (4, 1, 17, 3)}, dtype="uint8"),
}


def recognized(model: onnx.ModelProto) -> Recognized:
    found = recognize(candidate_of(model))
    assert found is not None and found.model is not model
    return found


@pytest.mark.parametrize("name", KINDS)
def test_adapters_keep_the_outputs_of_the_file(name: str) -> None:
    model = KINDS[name]
    found = recognized(model)
    assert refuse_lost_outputs(model, found.model, found.spec, Path("net.onnx")) is None


@pytest.mark.parametrize("name", KINDS)
def test_a_changed_weight_is_found(name: str) -> None:
    model = KINDS[name]
    found = recognized(model)
    made = copied(found.model)
    weight = next(item for item in made.graph.initializer if item.name == "conv_w")
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.5), "conv_w"))
    with pytest.raises(ModelError, match=r"does not compute the outputs .* of the file"):
        refuse_lost_outputs(model, made, found.spec, Path("net.onnx"))


def test_a_contract_with_another_preprocessing_is_found() -> None:
    """The mean that left the graph is not that of the contract."""
    model = KINDS["heatmaps"]
    found = recognized(model)
    wrong = replace(found.spec, input=replace(found.spec.input, mean=(0.0, 0.0, 0.0)))
    with pytest.raises(ModelError, match="does not compute the outputs"):
        refuse_lost_outputs(model, found.model, wrong, Path("net.onnx"))


def test_the_import_compares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr("edgepose.export.foreign.refuse_lost_outputs", lambda *given: seen.append(given))
    onnx.save(KINDS["MoveNet"], tmp_path / "net.onnx")
    import_network(tmp_path / "net.onnx", None)
    assert len(seen) == 1
