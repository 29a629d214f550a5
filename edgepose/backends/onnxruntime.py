"""ONNX Runtime on the CPU, the reference for all other engines. The payload is `model.onnx`, a copy of the graph.

Its INT8 engine is a numerical reference and not fast; OpenVINO is faster. Where the CPU's INT8 kernels are not
exact (`cpu.int8_saturates`), quantized layers compute in float, and `layers` reports them as such.

Run only the tests of this file with `pytest tests/backends/test_onnxruntime.py`.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from edgepose._checks import Array
from edgepose._optional import optional
from edgepose._progress import Track, quiet
from edgepose.artifacts.manifest import Manifest
from edgepose.backends.batches import Shape, batch_sizes, check_feed, chunks, store
from edgepose.backends.cpu import cpu_machine, int8_saturates, later_release
from edgepose.backends.declaration import BuildOptions
from edgepose.backends.declared.onnxruntime import DECLARATION
from edgepose.backends.session import Built, OpenOptions
from edgepose.errors import BuildError, EngineError, MissingPackage, ModelError, one_line
from edgepose.graph.lookup import with_outputs
from edgepose.kernels.denormals import denormals_flushed

PRECISIONS = {"float": "fp32", "float16": "fp16", "bfloat16": "bf16", "int8": "int8", "uint8": "int8"}
NUMPY = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
# Kernels that only move or convert data. The type of a QuantizeLinear node does not say what its reader computes in.
MOVES = (
    "Cast", "Concat", "DequantizeLinear", "Gather", "QuantizeLinear", "ReorderInput", "ReorderOutput", "Reshape",
    "Shape", "Slice", "Squeeze", "Transpose", "Unsqueeze",
)  # fmt: skip


def problem() -> str | None:
    """Return why this backend cannot build engines on this machine and what to do, or None when it can."""
    try:
        optional("onnxruntime", DECLARATION.extra)
    except MissingPackage as error:
        return str(error)
    except ImportError as error:
        return f"onnxruntime is installed but cannot be imported ({one_line(error)}); install it again"
    return None


def cannot_open() -> str | None:
    """Return why engines cannot be opened on this machine, or None when they can be."""
    return None


def version() -> str:
    """Return the version of the library."""
    return str(optional("onnxruntime", DECLARATION.extra).__version__)


def refuse(options: BuildOptions) -> None:
    """Refuse nothing: this backend has no option except the precision."""


def graph_for(options: BuildOptions) -> str:
    """Return the precision of the graph to compile, which is that of the engine."""
    return options.precision


def build(onnx_path: Path, folder: Path, options: BuildOptions, track: Track = quiet) -> Built:
    """Copy the graph and load it once.

    Args:
        onnx_path: The graph.
        folder: An empty folder that exists.
        options: The precision of the graph.
        track: Unused, since this step is short.

    Raises:
        BuildError: ONNX Runtime cannot load the graph.
    """
    shutil.copyfile(onnx_path, folder / "model.onnx")
    try:
        _load(folder / "model.onnx", OpenOptions())
    except failures() as error:
        raise BuildError(f"ONNX Runtime cannot build {onnx_path}: {one_line(error)}") from error
    return Built(machine=cpu_machine())


def differs(manifest: Manifest) -> list[str]:
    """Return the differences between this machine and the one an engine was built for, one line each."""
    return later_release(manifest, version())


def open(folder: Path, options: OpenOptions) -> OnnxRuntimeSession:
    """Load an engine that `build` wrote.

    Raises:
        EngineError: ONNX Runtime cannot load it.
    """
    try:
        return OnnxRuntimeSession(folder / "model.onnx", options)
    except failures() as error:
        reason = one_line(error)
        raise EngineError(f"ONNX Runtime cannot open {folder}: {reason}; rebuild the engine") from error


class OnnxRuntimeSession:
    """A loaded ONNX Runtime engine; see `Session`. Exporting uses it too, on a graph that is not an engine yet.

    Args:
        graph: An ONNX file or its content. A graph that cannot be loaded raises one of `failures()`.
        options: Options for opening it.
        plain: Whether to compute the graph as it is written, without ONNX Runtime's graph optimizations.
    """

    def __init__(self, graph: Path | bytes, options: OpenOptions, *, plain: bool = False) -> None:
        self._graph, self._options = graph, options
        self._session: Any = _load(graph, options, plain=plain)
        self.inputs: tuple[str, ...] = tuple(port.name for port in self._session.get_inputs())
        self.outputs: tuple[str, ...] = tuple(port.name for port in self._session.get_outputs())
        shapes = [[_length(axis) for axis in port.shape] for port in self._session.get_inputs()]
        self._shapes: dict[str, Shape] = dict(zip(self.inputs, (shape[1:] for shape in shapes), strict=True))
        self.dtypes = {port.name: NUMPY.get(port.type, np.float32) for port in self._session.get_inputs()}
        self._batches = batch_sizes(shapes, free=())

    def run(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """Run the network on arrays [N, ...] in host memory; see `Session.run`."""
        if self._session is None:
            raise EngineError("the session is closed; open the engine again")
        total = check_feed(feed, self._shapes, self.dtypes)
        if not self._batches or total in self._batches:  # one chunk, which needs no copy
            return dict(zip(self.outputs, self._infer(dict(feed)), strict=True))
        outputs: dict[str, Array] = {}
        for part in chunks(total, self._batches):
            found = self._infer({name: feed[name][part] for name in feed})
            for name, value in zip(self.outputs, found, strict=True):
                store(outputs, name, value, part, total)
        return outputs

    def _infer(self, feed: dict[str, Array]) -> list[Array]:
        try:
            with denormals_flushed():
                found: list[Array] = self._session.run(None, feed)
        except failures() as error:
            raise EngineError(f"ONNX Runtime cannot run the network: {one_line(error)}") from error
        return found

    def layers(self) -> dict[str, str]:
        """Return the precision that each layer runs in, by running one blank image under ONNX Runtime's profiler."""
        shapes = {name: [1, *(n or 1 for n in shape)] for name, shape in self._shapes.items()}
        blank = {name: np.zeros(shape, self.dtypes[name]) for name, shape in shapes.items()}
        with tempfile.TemporaryDirectory() as folder:
            session = _load(self._graph, self._options, profile=str(Path(folder) / "profile"))
            session.run(None, blank)
            events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        kernels = [event for event in events if event["name"].endswith("_kernel_time")]
        return {
            event["name"].removesuffix("_kernel_time"): _precision(event["args"])
            for event in kernels
            if event["args"]["op_name"] not in MOVES
        }

    def close(self) -> None:
        """Free the network."""
        self._session = None

    def __enter__(self) -> OnnxRuntimeSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _load(graph: Path | bytes, options: OpenOptions, profile: str | None = None, *, plain: bool = False) -> Any:
    ort = optional("onnxruntime", DECLARATION.extra)
    wanted = ort.SessionOptions()
    wanted.intra_op_num_threads = options.threads
    levels = ort.GraphOptimizationLevel
    wanted.graph_optimization_level = levels.ORT_DISABLE_ALL if plain else levels.ORT_ENABLE_ALL
    wanted.log_severity_level = 4  # errors are raised as exceptions, and other messages are of no use to the user
    wanted.add_session_config_entry("session.set_denormal_as_zero", "1")  # in the threads of the session
    if int8_saturates() and not plain:
        wanted.add_session_config_entry(
            "session.disable_quant_qdq", "1"
        )  # computes the quantized values in exact float arithmetic
    if profile is not None:
        wanted.enable_profiling = True
        wanted.profile_file_prefix = profile
    source = graph if isinstance(graph, bytes) else str(graph)
    with denormals_flushed():  # the first session sets this for the calling thread, and does not restore it
        return ort.InferenceSession(source, wanted, providers=["CPUExecutionProvider"])


def failures() -> tuple[type[BaseException], ...]:
    """Return the exceptions that loading or running a graph may raise.

    They are EngineError, from a session's `run`, RuntimeError, for an output of a type that numpy lacks, and ONNX
    Runtime's exceptions, which share no base class except Exception.
    """
    state = optional("onnxruntime.capi.onnxruntime_pybind11_state")
    names = "Fail InvalidArgument InvalidGraph InvalidProtobuf NoSuchFile NotImplemented RuntimeException"
    return (EngineError, RuntimeError, *(getattr(state, name) for name in names.split()))


def _length(axis: Any) -> int | None:
    return axis if isinstance(axis, int) else None


def _precision(args: dict[str, Any]) -> str:
    """Return the precision of a kernel, which is the type of its first input."""
    types = [kind for entry in args["input_type_shape"] for kind in entry]
    return PRECISIONS.get(types[0], types[0]) if types else "none"


class OnnxRuntimeRunner:
    """Runs a network and returns inner tensors, as calibration needs them.

    Attributes:
        input_shape: Shape of the network's first input; a free axis is no integer.
    """

    def __init__(
        self, model: Any, tensors: tuple[str, ...], optimized: bool = True, integers: bool = True, threads: int = 0
    ) -> None:
        runtime = optional("onnxruntime")
        settings = runtime.SessionOptions()
        settings.intra_op_num_threads = threads
        if not integers:
            settings.add_session_config_entry("session.disable_quant_qdq", "1")
        if not optimized:
            settings.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        settings.enable_cpu_mem_arena = False  # the arena keeps the largest run's memory for good
        settings.log_severity_level = 4  # what fails is raised
        try:
            data = with_outputs(model, tensors).SerializeToString()
            self._session = runtime.InferenceSession(data, settings, ["CPUExecutionProvider"])
        except failures() as error:
            raise ModelError(f"ONNX Runtime cannot load the network to observe it: {one_line(error)}") from error
        self.tensors = tensors
        self.input_shape = tuple(self._session.get_inputs()[0].shape)

    def run(self, images: Array | Mapping[str, Array]) -> dict[str, Array]:
        """Return the watched tensors by name.

        Args:
            images: The network's one input [B, ...], or the arrays of all inputs by name.

        Raises:
            ModelError: ONNX Runtime cannot run the network.
        """
        feed = images if isinstance(images, Mapping) else {self._session.get_inputs()[0].name: images}
        try:
            return dict(zip(self.tensors, self._session.run(list(self.tensors), feed), strict=True))
        except failures() as error:
            raise ModelError(f"ONNX Runtime cannot run the network to observe it: {one_line(error)}") from error


def make_runner(model: Any, tensors: tuple[str, ...]) -> OnnxRuntimeRunner:
    """Make what calibration runs a float network with.

    Args:
        model: The onnx.ModelProto.
        tensors: Names of the tensors to return.

    Raises:
        MissingPackage: ONNX Runtime is not installed.
        ModelError: ONNX Runtime cannot load the network.
    """
    return OnnxRuntimeRunner(model, tensors)


def make_plain_runner(model: Any, tensors: tuple[str, ...]) -> OnnxRuntimeRunner:
    """Make what computes a graph as it is written, without optimizations: each Q/DQ and each Cast rounds.

    Args:
        model: The onnx.ModelProto.
        tensors: Names of the tensors to return.

    Raises:
        MissingPackage: ONNX Runtime is not installed.
        ModelError: ONNX Runtime cannot load the network.
    """
    return OnnxRuntimeRunner(model, tensors, optimized=False)


def make_exact_runner(model: Any, tensors: tuple[str, ...]) -> OnnxRuntimeRunner:
    """Make what computes a Q/DQ graph exactly and fast: with graph optimizations, but without integer kernels.

    A run uses one thread. Several runs of one runner may go on at once (`_cores.side_by_side`).

    Args:
        model: The onnx.ModelProto.
        tensors: Names of the tensors to return.

    Raises:
        MissingPackage: ONNX Runtime is not installed.
        ModelError: ONNX Runtime cannot load the network.
    """
    return OnnxRuntimeRunner(model, tensors, integers=False, threads=1)
