"""Run a graph, or a part of it, in ONNX Runtime as it stands: the definition of what a foreign graph computes."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgepose._checks import Array
from edgepose._optional import optional
from edgepose.errors import ModelError

if TYPE_CHECKING:
    import onnx


LIMIT_S = 120  # for one image; a slow board takes a few seconds


def runtime_failures() -> tuple[type[BaseException], ...]:
    """Return the exceptions of ONNX Runtime, which share no base class except Exception.

    ValueError is for an input that the graph does not have or needs, RuntimeError for a type that NumPy has not.
    """
    state = optional("onnxruntime.capi.onnxruntime_pybind11_state")
    names = "Fail InvalidArgument InvalidGraph InvalidProtobuf NoSuchFile NotImplemented RuntimeException"
    return (RuntimeError, ValueError, *(getattr(state, name) for name in names.split()))


def plain_session(source: Path | bytes, *, optimized: bool = True) -> Any:
    """Load a graph in ONNX Runtime on the CPU, with its default options and two threads.

    Args:
        source: An ONNX file or its content. A graph that cannot be loaded raises one of `runtime_failures()`.
        optimized: Whether ONNX Runtime may rewrite the graph.
    """
    runtime = optional("onnxruntime")
    settings = runtime.SessionOptions()
    settings.log_severity_level = 4  # errors are raised as exceptions, and other messages are of no use to the user
    if not optimized:
        settings.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = source if isinstance(source, bytes) else str(source)
    return runtime.InferenceSession(data, settings, providers=["CPUExecutionProvider"])


def run_limited(session: Any, outputs: Sequence[str] | None, feed: Mapping[str, Array]) -> list[Any]:
    """Run a session of `plain_session`, and stop it after `LIMIT_S` seconds: a damaged Loop may never end.

    Raises:
        ModelError: The run took too long. Other failures raise one of `runtime_failures()`.
    """
    runtime = optional("onnxruntime")
    settings = runtime.RunOptions()
    settings.log_severity_level = 4
    timer = threading.Timer(LIMIT_S, setattr, (settings, "terminate", True))
    timer.daemon = True
    timer.start()
    try:
        found: list[Any] = session.run(None if outputs is None else list(outputs), dict(feed), settings)
    except runtime_failures() as error:
        if settings.terminate:
            raise ModelError(f"the graph did not end within {LIMIT_S} s on one image; export it again") from error
        raise
    finally:
        timer.cancel()
    return found


def part_of(model: onnx.ModelProto, outputs: Sequence[str]) -> onnx.ModelProto:
    """Return the nodes that compute some tensors as a graph of its own, which returns these tensors."""
    from edgepose.graph.lookup import copied
    from edgepose.graph.subgraphs import keep_needed

    part = copied(model)
    del part.graph.output[:], part.graph.value_info[:]
    for name in outputs:
        part.graph.output.add(name=name)  # ONNX Runtime infers the types
    needed = keep_needed(part, outputs)
    read = [value for value in part.graph.input if value.name in needed]
    del part.graph.input[:]
    part.graph.input.extend(read)
    return part


def evaluate(
    model: onnx.ModelProto, outputs: Sequence[str], feeds: Sequence[Mapping[str, Array]]
) -> list[list[Any]] | None:
    """Compute tensors of a graph for several inputs.

    Args:
        model: The graph.
        outputs: The names of the tensors.
        feeds: The inputs of each run. Names that these tensors do not depend on are ignored.

    Returns:
        For each run that succeeded, the value of each tensor; None if the graph cannot be loaded, or the first run
        fails.
    """
    part = part_of(model, outputs)
    read = {value.name for value in part.graph.input}
    found = []
    try:
        session = plain_session(part.SerializeToString(), optimized=False)
        found.append(run_limited(session, None, {name: value for name, value in feeds[0].items() if name in read}))
    except runtime_failures():
        return None
    for feed in feeds[1:] if read else ():
        try:
            found.append(run_limited(session, None, {name: value for name, value in feed.items() if name in read}))
        except runtime_failures():
            continue  # the network does not take this batch size
    return found
