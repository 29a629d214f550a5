"""OpenVINO: the default engine on a CPU. Payload: `model.xml` and `model.bin`.

The graph is compiled for fixed batch sizes, lazily, and N people run as chunks of these: with a dynamic
batch OpenVINO leaves quantized deconvolutions in float, so the engine would not be what the graph says,
and float convolutions are up to a tenth slower; a larger batch gains nothing on a CPU. Where the CPU's
INT8 kernels are not exact (`cpu.int8_saturates`), quantized layers are computed in float; `layers` tells.

Test alone: `pytest tests/backends/test_openvino.py`.
"""

from __future__ import annotations

import errno
import itertools
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from edgepose._checks import Array
from edgepose._optional import optional
from edgepose._progress import Track, quiet
from edgepose.artifacts.manifest import Manifest
from edgepose.backends.batches import Shape, batch_sizes, check_feed, chunks, store
from edgepose.backends.cpu import cpu_machine, int8_saturates, later_release
from edgepose.backends.declaration import BuildOptions
from edgepose.backends.declared.openvino import DECLARATION
from edgepose.backends.session import Built, OpenOptions
from edgepose.errors import BuildError, EngineError, MissingPackage, one_line

BATCHES = (1, 4)  # what a network with a free batch axis is compiled for; two compiled copies at most
PRECISIONS = {"f32": "fp32", "f16": "fp16", "bf16": "bf16", "u8": "int8", "i8": "int8"}
# Execution-graph nodes that only hold, move or convert data.
MOVES = ("Const", "Input", "Output", "Convert", "Reorder", "Reshape", "Concatenation", "Split", "Transpose")


def problem() -> str | None:
    try:
        optional("openvino", DECLARATION.extra)
    except MissingPackage as error:
        return str(error)
    except ImportError as error:
        return f"openvino is installed but cannot be imported ({one_line(error)}); install it again"
    return None


def cannot_open() -> str | None:
    return None


def version() -> str:
    """The library's version, e.g. 2026.4.1, build number left out."""
    return str(optional("openvino", DECLARATION.extra).__version__).partition("-")[0]


def refuse(options: BuildOptions) -> None:
    """Every option but the precision is of TensorRT."""


def graph_for(options: BuildOptions) -> str:
    return options.precision


def build(onnx_path: Path, folder: Path, options: BuildOptions, track: Track = quiet) -> Built:
    """Write model.xml and model.bin.

    Raises BuildError when OpenVINO cannot take the graph, OSError when it cannot write (a full disk).
    """
    ov = optional("openvino", DECLARATION.extra)
    try:
        # Not convert_model: read_model is the same front end and sends no telemetry.
        model = ov.Core().read_model(onnx_path)
    except RuntimeError as error:
        raise BuildError(f"OpenVINO cannot build {onnx_path}: {_reason(error)}") from error
    try:
        # Precision is in the graph: float weights stay as they are.
        ov.save_model(model, folder / "model.xml", compress_to_fp16=False)
    except RuntimeError as error:
        raise OSError(errno.EIO, _reason(error)) from error
    return Built(machine=cpu_machine())


def differs(manifest: Manifest) -> list[str]:
    return later_release(manifest, version())


def open(folder: Path, options: OpenOptions) -> OpenVinoSession:
    """Load and compile what `build` wrote. Raises EngineError when OpenVINO refuses it."""
    ov = optional("openvino", DECLARATION.extra)
    try:
        core = ov.Core()
        return OpenVinoSession(core, core.read_model(folder / "model.xml"), options)
    except RuntimeError as error:
        raise EngineError(f"OpenVINO cannot open {folder}: {_reason(error)}; rebuild the engine") from error


class OpenVinoSession:
    """A loaded OpenVINO engine; see `Session`. `core` and `model` are OpenVINO's own."""

    def __init__(self, core: Any, model: Any, options: OpenOptions) -> None:
        self._core, self._model, self._options = core, model, options
        self.inputs: tuple[str, ...] = tuple(port.any_name for port in model.inputs)
        self.outputs: tuple[str, ...] = tuple(port.any_name for port in model.outputs)
        shapes = [[_length(axis) for axis in port.get_partial_shape()] for port in model.inputs]
        self._shapes: dict[str, Shape] = dict(zip(self.inputs, (shape[1:] for shape in shapes), strict=True))
        self._batches = batch_sizes(shapes, free=BATCHES)
        self._requests: dict[int, Any] = {}
        self._request(1)  # compile now: a graph that cannot be compiled fails at opening

    def run(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        if self._model is None:
            raise EngineError("the session is closed; open the engine again")
        total = check_feed(feed, self._shapes)
        outputs: dict[str, Array] = {}
        for part in chunks(total, self._batches):
            found = self._infer({name: feed[name][part] for name in feed}, part.stop - part.start)
            for index, name in enumerate(self.outputs):
                store(outputs, name, found[index], part, total)
        return outputs

    def _infer(self, piece: dict[str, Array], batch: int) -> Any:
        try:
            # Both shared: inputs are read in place, outputs are the request's own memory until the next run.
            return self._request(batch).infer(piece, share_inputs=True, share_outputs=True)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO cannot run the network: {_reason(error)}") from error

    def layers(self) -> dict[str, str]:
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
        """Free the network and what was compiled of it."""
        self._requests.clear()
        self._model = None

    def __enter__(self) -> OpenVinoSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _request(self, batch: int) -> Any:
        """The inference request for a batch size, compiled at its first use."""
        if batch not in self._requests:
            self._requests[batch] = self._compile(batch).create_infer_request()
        return self._requests[batch]

    def _compile(self, batch: int) -> Any:
        model = self._model.clone()
        shapes = {name: [-1 if n is None else n for n in shape] for name, shape in self._shapes.items()}
        model.reshape({name: [batch, *shape] for name, shape in shapes.items()})
        return self._core.compile_model(model, "CPU", _properties(self._options))


def _properties(options: OpenOptions) -> dict[str, Any]:
    # f32 for every engine: without the hint OpenVINO computes an FP32 graph in bf16 where the CPU has it.
    # Quantized layers are int8 regardless, and an FP16 graph keeps its rounded weights; arithmetic in half
    # is something few CPUs have, and OpenVINO would take bf16 for it.
    made: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if int8_saturates():
        made["LP_TRANSFORMS_MODE"] = "NO"  # quantized values, exact float arithmetic
    if options.threads:
        made["INFERENCE_NUM_THREADS"] = options.threads
    return made


def _length(axis: Any) -> int | None:
    return int(axis.get_length()) if axis.is_static else None


def _fact(info: Any, key: str) -> str:
    """An entry of a node's runtime info, which OpenVINO wraps in its OVAny."""
    return str(info[key].astype(str))


def _onnx_name(name: str, originals: str) -> str:
    """The ONNX name of an executed layer: the first of those fused into it that OpenVINO did not name."""
    for original in originals.split(","):
        if original and not re.fullmatch(r"[A-Z][A-Za-z]*_\d+", original):
            return original.removesuffix("/WithoutBiases").removesuffix("_original")
    return name


def _free_name(name: str, taken: Collection[str]) -> str:
    """`name`, or with a number behind it: one ONNX node may be executed as several."""
    numbered = (f"{name} ({count})" for count in itertools.count(2))
    return name if name not in taken else next(other for other in numbered if other not in taken)


def _reason(error: RuntimeError) -> str:
    """The message without the C++ source positions in front of it."""
    position = r"^(Exception from|Check '.*' failed at) \S+:\d+:?$"
    return one_line(RuntimeError(re.sub(position, "", str(error), flags=re.MULTILINE)))
