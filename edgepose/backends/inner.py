"""The inner tensors of a graph or an engine, by the names that they have in the ONNX file.

    layers = inner_of("openvino", folder)
    values = layers.run(["/conv1/Conv_output_0"], crops)  # a list with one array for each crop

TensorRT gives only the outputs of an engine, since inner tensors exist only where the builder marks them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edgepose._checks import Array
from edgepose._optional import optional
from edgepose.backends import load
from edgepose.backends.declared.onnxruntime import DECLARATION
from edgepose.backends.onnxruntime import failures
from edgepose.backends.session import OpenOptions, Session
from edgepose.errors import EngineError, ModelError, one_line
from edgepose.graph.lookup import copied, graph_of, load_onnx
from edgepose.kernels.denormals import denormals_flushed

if TYPE_CHECKING:
    import onnx

Values = dict[str, list[Array]]  # tensor -> its value for each crop


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A tensor that a node computes.

    Attributes:
        name: Its name.
        node: The name of the node.
        op: The operator of the node.
        reads: Names of the tensors that the node reads.
    """

    name: str
    node: str = ""
    op: str = ""
    reads: tuple[str, ...] = ()


class Inner(Protocol):
    """A network whose inner tensors can be read.

    Attributes:
        tensors: The tensors in the order in which they are computed.
        outputs: Names of the outputs of the network.
    """

    tensors: tuple[Tensor, ...]
    outputs: tuple[str, ...]

    def run(self, names: Collection[str], inputs: Array) -> Values:
        """Run the network on crops [N, ...], one at a time, and return the named tensors that hold numbers.

        Raises:
            EdgeposeError: The network cannot be run.
        """
        ...


class OnnxInner:
    """A graph in ONNX Runtime; see `Inner`.

    Args:
        graph: An ONNX file, or its content.
        plain: Whether the graph is computed as it is written, without graph optimizations.
    """

    def __init__(self, graph: Path | onnx.ModelProto, *, plain: bool = True) -> None:
        self._model = load_onnx(graph) if isinstance(graph, Path) else graph
        self._plain, self._name = plain, str(graph) if isinstance(graph, Path) else "the graph"
        found = graph_of(self._model)
        self.outputs: tuple[str, ...] = found.outputs
        self.tensors: tuple[Tensor, ...] = tuple(
            Tensor(name=name, node=node.name, op=node.op_type, reads=tuple(part for part in node.input if part))
            for node in found.nodes
            for name in node.output
            if name and node.op_type != "Constant"
        )

    def run(self, names: Collection[str], inputs: Array) -> Values:
        """Run the graph with the tensors as outputs; see `Inner.run`."""
        import numpy as np

        from edgepose.backends.onnxruntime import NUMPY

        wanted = list(names)
        try:
            session = self._session(wanted)
            port = session.get_inputs()[0]
            crops = inputs.astype(NUMPY.get(port.type, np.float32), copy=False)
            found = [session.run(wanted, {port.name: crops[i : i + 1]}) for i in range(len(crops))]
        except failures() as error:
            raise ModelError(f"ONNX Runtime cannot run {self._name}: {one_line(error)}") from error
        return _numbers({name: [one[i] for one in found] for i, name in enumerate(wanted)})

    def _session(self, names: Collection[str]) -> Any:
        import onnx

        ort = optional("onnxruntime", DECLARATION.extra)
        model = copied(self._model)
        known = {value.name for value in model.graph.output}
        # Without a type, because ONNX Runtime infers it and refuses a wrong one.
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
        wanted = ort.SessionOptions()
        wanted.log_severity_level = 4
        if self._plain:
            wanted.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        return ort.InferenceSession(model.SerializeToString(), wanted, providers=["CPUExecutionProvider"])


class OpenVinoInner:
    """A graph in OpenVINO, compiled anew for each set of tensors; see `Inner`.

    Args:
        path: The `model.xml` of an engine folder, or an ONNX file.
    """

    def __init__(self, path: Path) -> None:
        self._core = optional("openvino", "cpu").Core()
        self._path = path
        model = self._read()
        self.outputs: tuple[str, ...] = tuple(port.any_name for port in model.outputs)
        self.tensors: tuple[Tensor, ...] = tuple(
            Tensor(name=name, node=node.get_friendly_name(), op=node.get_type_name(), reads=_sources(node))
            for node in model.get_ordered_ops()
            if node.get_type_name() not in ("Constant", "Parameter", "Result")
            for port in node.outputs()
            for name in sorted(port.get_names()) or (_unnamed(port),)
        )

    def run(self, names: Collection[str], inputs: Array) -> Values:
        """Run the model with the tensors as outputs; see `Inner.run`."""
        try:
            request, port, ports = self._compiled(set(names))
            crops = inputs.astype(port.get_element_type().to_dtype(), copy=False)
            values: Values = {name: [] for name in ports}
            for i in range(len(crops)):
                with denormals_flushed():
                    found = request.infer({0: crops[i : i + 1]})
                for name, index in ports.items():
                    values[name].append(found[index].copy())
        except RuntimeError as error:
            raise EngineError(f"OpenVINO cannot run {self._path}: {one_line(error)}") from error
        return _numbers(values)

    def _read(self) -> Any:
        from edgepose.backends.openvino import read_network

        try:
            return read_network(self._core, self._path)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO cannot read {self._path}: {one_line(error)}") from error

    def _compiled(self, names: set[str]) -> tuple[Any, Any, dict[str, int]]:
        """Return an inference request, its input, and the position of each tensor among its outputs."""
        from edgepose.backends.openvino import properties

        model = self._read()
        known = {name for port in model.outputs for name in port.get_names()}
        inner = {name for node in model.get_ordered_ops() for port in node.outputs() for name in port.get_names()}
        added = sorted((names - known) & inner)
        if added:
            model.add_outputs(added)
        shape = model.input(0).get_partial_shape()
        shape[0] = 1
        model.reshape(shape)
        with denormals_flushed():
            compiled = self._core.compile_model(model, "CPU", properties(OpenOptions()))
        ports = {name: i for i, port in enumerate(compiled.outputs) for name in port.get_names() if name in names}
        return compiled.create_infer_request(), compiled.input(0), ports


class OutputsOnly:
    """An engine whose inner tensors cannot be read; see `Inner`.

    Args:
        backend: The name of the backend.
        folder: The engine folder.
    """

    tensors: tuple[Tensor, ...] = ()

    def __init__(self, backend: str, folder: Path) -> None:
        self._backend, self._folder = backend, folder
        with self._open() as session:
            self.outputs: tuple[str, ...] = session.outputs

    def _open(self) -> Session:
        return load(self._backend).open(self._folder, OpenOptions())

    def run(self, names: Collection[str], inputs: Array) -> Values:
        """Run the engine and return its outputs; see `Inner.run`."""
        with self._open() as session:
            found = session.run({session.inputs[0]: inputs})
        return {name: [row[None] for row in found[name]] for name in names if name in found}


def inner_of(backend: str, folder: Path) -> Inner:
    """Return the inner tensors of an engine.

    Args:
        backend: The name of the backend.
        folder: The engine folder; its manifest is not read.

    Raises:
        EdgeposeError: The engine cannot be opened here.
    """
    if backend == "openvino":
        return OpenVinoInner(folder / "model.xml")
    if backend == "onnxruntime":
        return OnnxInner(folder / "model.onnx", plain=False)
    return OutputsOnly(backend, folder)


def _numbers(values: Values) -> Values:
    """Leave out what is no array of numbers: a sequence, an optional, text."""
    return {
        name: found for name, found in values.items() if all(getattr(one, "dtype", None) is not None for one in found)
        and all(one.dtype.kind in "fiub" for one in found)
    }  # fmt: skip


def _sources(node: Any) -> tuple[str, ...]:
    ports = [value.get_source_output() for value in node.inputs()]
    return tuple(name for port in ports for name in (sorted(port.get_names()) or [_unnamed(port)]))


def _unnamed(port: Any) -> str:
    return f"{port.get_node().get_friendly_name()}:{port.get_index()}"
