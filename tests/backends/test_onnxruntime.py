"""What is ONNX Runtime's own: the payload is the graph itself, errors fit on a line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edgepose.backends import onnxruntime
from edgepose.backends.declaration import BuildOptions
from edgepose.backends.session import OpenOptions
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


@pytest.mark.parametrize("saturates", [True, False])
def test_layers_say_what_computes_and_leave_quantizers_out(
    tmp_path: Path, make_tiny: MakeTiny, monkeypatch: pytest.MonkeyPatch, saturates: bool
) -> None:
    monkeypatch.setattr(onnxruntime, "int8_saturates", lambda: saturates)
    model = make_tiny(quantized=True)
    model.graph.node[-1].output[0] = "maps"  # ONNX Runtime joins what stands between two quantizers
    model.graph.node.append(helper.make_node("QuantizeLinear", ["maps", "s", "z"], ["mapsq"], "/out/Q"))
    model.graph.node.append(helper.make_node("DequantizeLinear", ["mapsq", "s", "z"], ["heatmaps"], "/out/DQ"))
    layers = onnxruntime.open(build(model, tmp_path), OpenOptions(threads=1)).layers()
    assert sorted(layers.values()) == (["fp32", "fp32"] if saturates else ["fp32", "int8"])


def test_a_library_failure_while_running_is_an_engine_error(tmp_path: Path, make_tiny: MakeTiny) -> None:
    """A Reshape to 7 columns is only wrong once there are numbers."""
    model = make_tiny()
    model.graph.node[-1].output[0] = "maps"
    model.graph.initializer.append(numpy_helper.from_array(np.array([-1, 7, 11], np.int64), "shape"))
    model.graph.node.append(helper.make_node("Reshape", ["maps", "shape"], ["heatmaps"], "/reshape"))
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    model.graph.output[0].type.tensor_type.ClearField("shape")
    session = onnxruntime.open(build(model, tmp_path), OpenOptions(threads=1))
    with pytest.raises(EngineError, match="cannot run the network") as caught:
        session.run({"image": np.zeros((1, 3, 16, 12), np.float32)})
    assert "\n" not in str(caught.value)
