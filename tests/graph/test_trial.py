"""A graph that crashes ONNX Runtime is refused, and the process that imports it lives."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
from onnx import TensorProto, helper

from edgepose.errors import ModelError
from edgepose.graph.trial import RUNNER, refuse_crashing
from edgepose.graph.trial_child import answer


def graph(kind: str = "Relu") -> Any:
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 4, 4]) for name in ("x", "y")]
    made = helper.make_graph([helper.make_node(kind, ["x"], ["y"])], "net", ports[:1], ports[1:])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_sound_graph_passes_and_one_child_tries_all() -> None:
    refuse_crashing(graph(), (1, 3, 4, 4), "float32", "net.onnx")
    first = RUNNER.running().pid
    refuse_crashing(graph(), (1, 3, 4, 4), "float32", "net.onnx")
    assert RUNNER.running().pid == first


def test_a_graph_that_is_refused_with_an_error_passes() -> None:
    """The import reports that error."""
    refuse_crashing(graph("Nonsense"), (1, 3, 4, 4), "float32", "net.onnx")


def test_a_crash_is_one_error_and_the_next_graph_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    child = RUNNER.running()
    os.kill(child.pid, signal.SIGSTOP)  # it will not answer before it dies
    real = RUNNER._ask

    def crash(request: list[Any]) -> Any:
        os.kill(child.pid, signal.SIGABRT)
        os.kill(child.pid, signal.SIGCONT)
        return real(request)

    monkeypatch.setattr(RUNNER, "running", lambda: child)
    monkeypatch.setattr(RUNNER, "_ask", crash)
    with pytest.raises(ModelError, match=r"net\.onnx: ONNX Runtime crashes on this graph"):
        refuse_crashing(graph(), (1, 3, 4, 4), "float32", "net.onnx")
    monkeypatch.undo()
    refuse_crashing(graph(), (1, 3, 4, 4), "float32", "net.onnx")


def test_the_child_answers_with_the_error_of_onnx_runtime(tmp_path: Any) -> None:
    path = tmp_path / "net.onnx"
    for kind, found in (("Relu", False), ("Nonsense", True)):
        path.write_bytes(graph(kind).SerializeToString())
        assert bool(answer([str(path), "x", [1, 3, 4, 4], "float32"])) == found
