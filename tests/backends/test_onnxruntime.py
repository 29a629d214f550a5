"""What is ONNX Runtime's own: the payload is the graph itself, errors fit on a line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import helper

from edgepose.backends import onnxruntime
from edgepose.backends.session import BuildOptions, OpenOptions
from edgepose.errors import BuildError, EngineError

MakeTiny = Callable[..., onnx.ModelProto]


def build(model: onnx.ModelProto, folder: Path) -> Path:
    onnx.save(model, folder / "source.onnx")
    (folder / "engine").mkdir()
    onnxruntime.build(folder / "source.onnx", folder / "engine", BuildOptions())
    return folder / "engine"


def test_payload_is_the_graph(tmp_path: Path, make_tiny: MakeTiny) -> None:
    folder = build(make_tiny(), tmp_path)
    assert [file.name for file in folder.iterdir()] == ["model.onnx"]
    assert (folder / "model.onnx").read_bytes() == (tmp_path / "source.onnx").read_bytes()


def test_an_operator_it_lacks_is_a_build_error(tmp_path: Path, make_tiny: MakeTiny) -> None:
    model = make_tiny()
    model.graph.node[1].op_type, model.graph.node[1].domain = "Strange", "org.example"
    model.opset_import.append(helper.make_opsetid("org.example", 1))
    with pytest.raises(BuildError, match="Strange") as caught:
        build(model, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_damaged_payload_is_an_engine_error(tmp_path: Path, make_tiny: MakeTiny) -> None:
    folder = build(make_tiny(), tmp_path)
    (folder / "model.onnx").write_bytes(b"no network")
    with pytest.raises(EngineError, match="rebuild the engine"):
        onnxruntime.open(folder, OpenOptions())


def test_threads_are_what_was_asked_for(tmp_path: Path, make_tiny: MakeTiny) -> None:
    session = onnxruntime.open(build(make_tiny(), tmp_path), OpenOptions(threads=1))
    assert session._session.get_session_options().intra_op_num_threads == 1
