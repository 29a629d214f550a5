"""OpenVINO, the default backend on a CPU. The payload is `model.xml` and `model.bin`.

The graph is compiled for fixed batch sizes when they are first used, and N people run as chunks of these sizes.
With a dynamic batch OpenVINO would compute quantized deconvolutions in float, contrary to the graph, and float
convolutions would be up to a tenth slower. Larger batches are not faster on a CPU. Where the CPU's INT8 kernels
are not exact (`cpu.int8_saturates`), quantized layers compute in float, and `layers` reports them as such. Where they
are exact, joined activations become unsigned when an engine is opened (`unsigned.py`).

Run only the tests of this file with `pytest tests/backends/test_openvino.py`.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from edgepose._checks import Array
from edgepose._files import read_json, sha256_file, write_json
from edgepose._optional import optional
from edgepose._progress import Track, quiet
from edgepose.artifacts.manifest import Manifest
from edgepose.backends.batches import Shape, batch_sizes, check_feed, chunks, store
from edgepose.backends.cpu import cpu_machine, int8_saturates, is_x86, later_release
from edgepose.backends.declaration import BuildOptions
from edgepose.backends.declared.openvino import DECLARATION
from edgepose.backends.session import Built, OpenOptions
from edgepose.backends.unshared import own_weights
from edgepose.backends.unsigned import with_unsigned_joins
from edgepose.errors import BuildError, EdgeposeError, EngineError, MissingPackage, one_line
from edgepose.kernels.denormals import FLUSHES, denormals_flushed

BATCHES = (1, 4)  # of a network with a free batch axis; at most two compiled copies are kept
PRECISIONS = {"f32": "fp32", "f16": "fp16", "bf16": "bf16", "u8": "int8", "i8": "int8"}
HASHES = "sha256.json"  # in the folder of compiled code: file name -> hash
# Execution-graph nodes that only hold, move or convert data.
MOVES = ("Const", "Input", "Output", "Convert", "Reorder", "Reshape", "Concatenation", "Split", "Transpose")


def problem() -> str | None:
    """Return why this backend cannot build engines on this machine and what to do, or None when it can."""
    try:
        optional("openvino", DECLARATION.extra)
    except MissingPackage as error:
        return str(error)
    except ImportError as error:
        return f"openvino is installed but cannot be imported ({one_line(error)}); install it again"
    return None


def cannot_open() -> str | None:
    """Return why engines cannot be opened on this machine, or None when they can be."""
    return None


def version() -> str:
    """Return the version of the library without its build number, such as 2026.4.1."""
    return str(optional("openvino", DECLARATION.extra).__version__).partition("-")[0]


def refuse(options: BuildOptions) -> None:
    """Refuse nothing: this backend has no option except the precision."""


def graph_for(options: BuildOptions) -> str:
    """Return the precision of the graph to compile, which is that of the engine."""
    return options.precision


def build(onnx_path: Path, folder: Path, options: BuildOptions, track: Track = quiet) -> Built:
    """Write model.xml and model.bin.

    Args:
        onnx_path: The graph.
        folder: An empty folder that exists.
        options: The precision of the graph.
        track: Unused, since this step is short.

    Raises:
        BuildError: OpenVINO cannot read the graph.
        OSError: OpenVINO cannot write the files, for example because the disk is full.
    """
    ov = optional("openvino", DECLARATION.extra)
    try:
        # read_model has the front end of convert_model and sends no telemetry.
        with own_weights(onnx_path) as source:
            model = ov.Core().read_model(source)
    except RuntimeError as error:
        raise BuildError(f"OpenVINO cannot build {onnx_path}: {_reason(error)}") from error
    try:
        # Precision is in the graph, so float weights are not compressed.
        ov.save_model(model, folder / "model.xml", compress_to_fp16=False)
    except RuntimeError as error:
        raise OSError(errno.ENOSPC, f"the disk may be full: {_reason(error)}") from error
    return Built(machine=cpu_machine())


def differs(manifest: Manifest) -> list[str]:
    """Return the differences between this machine and the one an engine was built for, one line each."""
    return later_release(manifest, version())


def open(folder: Path, options: OpenOptions) -> OpenVinoSession:
    """Load and compile an engine that `build` wrote.

    Raises:
        EngineError: OpenVINO cannot load it.
    """
    ov = optional("openvino", DECLARATION.extra)
    _drop_damaged(options.compiled_dir)
    try:
        core = ov.Core()
        return OpenVinoSession(core, read_network(core, folder / "model.xml"), options)
    except RuntimeError as error:
        raise EngineError(f"OpenVINO cannot open {folder}: {_reason(error)}; rebuild the engine") from error


def read_network(core: Any, path: Path) -> Any:
    """Read a network in the form in which it is compiled on this machine.

    Args:
        core: OpenVINO's `Core`.
        path: The `model.xml` of an engine, or an ONNX file.

    Raises:
        RuntimeError: OpenVINO cannot read the file.
    """
    model = core.read_model(path)
    # Other architectures have convolutions that read signed integers, and float arithmetic needs no integers.
    if is_x86() and not int8_saturates():
        with_unsigned_joins(optional("openvino", DECLARATION.extra), model)
    return model


class OpenVinoSession:
    """A loaded OpenVINO engine; see `Session`.

    Args:
        core: OpenVINO's `Core`.
        model: The model that the core has read.
        options: Options for opening it.
    """

    def __init__(self, core: Any, model: Any, options: OpenOptions) -> None:
        self._core, self._model, self._options = core, model, options
        self.inputs: tuple[str, ...] = tuple(port.any_name for port in model.inputs)
        self.outputs: tuple[str, ...] = tuple(port.any_name for port in model.outputs)
        shapes = [[_length(axis) for axis in port.get_partial_shape()] for port in model.inputs]
        self._shapes: dict[str, Shape] = dict(zip(self.inputs, (shape[1:] for shape in shapes), strict=True))
        self._dtypes = {name: model.input(name).get_element_type().to_dtype() for name in self.inputs}
        self._batches = batch_sizes(shapes, free=BATCHES)
        self._requests: dict[int, Any] = {}
        self._request(1)  # compile now, so that a graph that cannot be compiled fails when it is opened

    def run(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """Run the network on arrays [N, ...] in host memory; see `Session.run`."""
        if self._model is None:
            raise EngineError("the session is closed; open the engine again")
        total = check_feed(feed, self._shapes, self._dtypes)
        outputs: dict[str, Array] = {}
        for part in chunks(total, self._batches):
            found = self._infer({name: feed[name][part] for name in feed}, part.stop - part.start)
            for index, name in enumerate(self.outputs):
                store(outputs, name, found[index], part, total)
        return outputs

    def _infer(self, piece: dict[str, Array], batch: int) -> Any:
        try:
            # Inputs are read in place. Outputs are views of the request's memory, valid until its next run.
            with denormals_flushed():
                return self._request(batch).infer(piece, share_inputs=True, share_outputs=True)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO cannot run the network: {_reason(error)}") from error

    def layers(self) -> dict[str, str]:
        """Return the precision that each layer runs in, from OpenVINO's execution graph."""
        graph = self._request(1).get_compiled_model().get_runtime_model()
        found: dict[str, str] = {}
        for node in graph.get_ordered_ops():
            info = node.get_rt_info()
            precision = PRECISIONS.get(_fact(info, "runtimePrecision"))
            if precision is None or _fact(info, "layerType") in MOVES:
                continue
            name = _onnx_name(node.get_friendly_name(), _fact(info, "originalLayersNames"))
            found[_free_name(name, found)] = precision
        return found

    def close(self) -> None:
        """Free the network and its compiled copies."""
        self._requests.clear()
        self._model = None

    def __enter__(self) -> OpenVinoSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _request(self, batch: int) -> Any:
        """Return the inference request for a batch size, compiled when it is first used."""
        if batch not in self._requests:
            self._requests[batch] = self._compile(batch).create_infer_request()
        return self._requests[batch]

    def _compile(self, batch: int) -> Any:
        model = self._model.clone()
        shapes = {name: [-1 if n is None else n for n in shape] for name, shape in self._shapes.items()}
        model.reshape({name: [batch, *shape] for name, shape in shapes.items()})
        with denormals_flushed():  # compiling sets this for the calling thread, and does not restore it
            compiled = self._core.compile_model(model, "CPU", properties(self._options))
        _record(self._options.compiled_dir)
        return compiled


def _drop_damaged(folder: Path | None) -> None:
    """Delete compiled code that is not as OpenVINO wrote it, which then compiles again.

    OpenVINO notices a file that was cut off, but it would compute with weights that were altered.
    """
    if folder is None:
        return
    known = _recorded(folder)
    with contextlib.suppress(OSError, EdgeposeError):  # another process may delete files here
        damaged = [file for file in folder.glob("*.blob") if known.get(file.name) != sha256_file(file)]
        for file in damaged:
            file.unlink(missing_ok=True)
        if damaged:
            names = {file.name for file in damaged}
            write_json(folder / HASHES, {name: digest for name, digest in known.items() if name not in names})


def _record(folder: Path | None) -> None:
    """Write the hashes of compiled code that has none yet."""
    if folder is None:
        return
    known = _recorded(folder)
    with contextlib.suppress(OSError, EdgeposeError):  # without its hash, compiled code is not used again
        new = {file.name: sha256_file(file) for file in folder.glob("*.blob") if file.name not in known}
        if new:
            write_json(folder / HASHES, {**known, **new})


def _recorded(folder: Path) -> dict[str, str]:
    try:
        value = read_json(folder / HASHES, "hashes")
    except EdgeposeError:
        return {}
    return value if isinstance(value, dict) else {}


def properties(options: OpenOptions) -> dict[str, Any]:
    """Return the properties that a network is compiled with."""
    # Without the f32 hint OpenVINO computes an FP32 graph in bf16 on CPUs that have it. The hint does not change
    # quantized layers, and an FP16 graph keeps its rounded weights. Few CPUs have half-precision arithmetic, and
    # OpenVINO would use bf16 in its place.
    made: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if FLUSHES:
        made["CPU_DENORMALS_OPTIMIZATION"] = True
    if int8_saturates():
        made["LP_TRANSFORMS_MODE"] = "NO"  # computes the quantized values in exact float arithmetic
    if options.threads:
        made["INFERENCE_NUM_THREADS"] = options.threads
    if options.compiled_dir is not None:
        made["CACHE_DIR"] = str(options.compiled_dir)
    return made


def _length(axis: Any) -> int | None:
    return int(axis.get_length()) if axis.is_static else None


def _fact(info: Any, key: str) -> str:
    """Return an entry of a node's runtime info, which OpenVINO wraps in its OVAny."""
    return str(info[key].astype(str))


def _onnx_name(name: str, originals: str) -> str:
    """Return the ONNX name of an executed layer: that of the first fused node that OpenVINO did not name itself."""
    for original in originals.split(","):
        if original and not re.fullmatch(r"[A-Z][A-Za-z]*_\d+", original):
            return original.removesuffix("/WithoutBiases").removesuffix("_original")
    return name


def _free_name(name: str, taken: Collection[str]) -> str:
    """Return `name`, followed by a number if it is taken; OpenVINO may execute one ONNX node as several layers."""
    numbered = (f"{name} ({count})" for count in itertools.count(2))
    return name if name not in taken else next(other for other in numbered if other not in taken)


def _reason(error: RuntimeError) -> str:
    """Return the message without the C++ source positions that precede it."""
    position = r"^(Exception from|Check '.*' failed at) \S+:\d+:?$"
    return one_line(RuntimeError(re.sub(position, "", str(error), flags=re.MULTILINE)))
