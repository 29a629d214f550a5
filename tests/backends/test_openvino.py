"""What is OpenVINO's own: float stays float32, layers bear ONNX names, errors fit on a line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from edgepose.backends import openvino
from edgepose.backends.declaration import BuildOptions
from edgepose.backends.session import OpenOptions
from edgepose.errors import BuildError, EngineError

MakeTiny = Callable[..., onnx.ModelProto]


def build(model: onnx.ModelProto, folder: Path) -> Path:
    onnx.save(model, folder / "source.onnx")
    (folder / "engine").mkdir()
    openvino.build(folder / "source.onnx", folder / "engine", BuildOptions())
    return folder / "engine"


def test_the_precision_hint_is_never_left_to_the_library(tmp_path: Path, make_tiny: MakeTiny) -> None:
    session = openvino.open(build(make_tiny(), tmp_path), OpenOptions(threads=1))
    compiled = session._request(1).get_compiled_model()
    assert compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 1


def test_payload_keeps_float_weights_as_they_are(tmp_path: Path, make_tiny: MakeTiny) -> None:
    folder = build(make_tiny(), tmp_path)
    weights = (32 * 3 * 9 + 32 + 14 * 32) * 4
    assert (folder / "model.bin").stat().st_size >= weights
    assert sorted(file.name for file in folder.iterdir()) == ["model.bin", "model.xml"]


def test_layers_bear_onnx_names(tmp_path: Path, make_tiny: MakeTiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "int8_saturates", lambda: False)
    session = openvino.open(build(make_tiny(quantized=True), tmp_path), OpenOptions(threads=1))
    layers = session.layers()
    assert layers == {"/stem/Conv": "fp32", "heatmaps": "int8"}


def test_layers_say_float_where_integers_would_saturate(
    tmp_path: Path, make_tiny: MakeTiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "int8_saturates", lambda: True)
    session = openvino.open(build(make_tiny(quantized=True), tmp_path), OpenOptions(threads=1))
    assert "int8" not in session.layers().values()


def test_layers_of_one_onnx_name_are_all_listed(
    tmp_path: Path, make_tiny: MakeTiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "_onnx_name", lambda name, originals: "same")
    session = openvino.open(build(make_tiny(), tmp_path), OpenOptions(threads=1))
    assert session.layers() == {"same": "fp32", "same (2)": "fp32"}


def test_a_library_failure_while_running_is_an_engine_error(
    tmp_path: Path, make_tiny: MakeTiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def infer(self, *given: object, **options: object) -> None:
            raise RuntimeError("Exception from src/cpp/infer_request.cpp:223:\nout of\nmemory")

    session = openvino.open(build(make_tiny(), tmp_path), OpenOptions(threads=1))
    monkeypatch.setitem(session._requests, 1, Broken())
    with pytest.raises(EngineError, match=r"cannot run the network: out of memory$"):
        session.run({"image": np.zeros((1, 3, 16, 12), np.float32)})


def test_at_most_two_copies_are_compiled(tmp_path: Path, make_tiny: MakeTiny) -> None:
    session = openvino.open(build(make_tiny(), tmp_path), OpenOptions(threads=1))
    for n in range(1, 12):
        session.run({"image": np.zeros((n, 3, 16, 12), np.float32)})
    assert sorted(session._requests) == list(openvino.BATCHES)


def test_an_operator_openvino_lacks_is_a_build_error_on_one_line(tmp_path: Path, make_tiny: MakeTiny) -> None:
    model = make_tiny()
    model.graph.node[-1].op_type, model.graph.node[-1].domain = "Strange", "org.example"
    model.opset_import.append(helper.make_opsetid("org.example", 1))
    with pytest.raises(BuildError, match=r"org\.example\.Strange") as caught:
        build(model, tmp_path)
    assert "\n" not in str(caught.value)
    assert ".cpp" not in str(caught.value)


def test_a_damaged_payload_is_an_engine_error(tmp_path: Path, make_tiny: MakeTiny) -> None:
    folder = build(make_tiny(), tmp_path)
    (folder / "model.bin").write_bytes(b"")
    with pytest.raises(EngineError, match="rebuild the engine"):
        openvino.open(folder, OpenOptions())
