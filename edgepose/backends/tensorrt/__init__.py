"""TensorRT 8.6, 10 and 11: engines for the NVIDIA GPU of this machine.

Payload: `model.plan`, as trtexec loads it; for a DLA its core beside. On a Jetson it is JetPack's own package.
Building times kernels on the GPU, so it needs one, and the engine is bound to it. See `builder` for what differs
between versions.

Test alone: `pytest tests/backends/test_tensorrt.py`.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from edgepose._optional import optional
from edgepose._progress import Track, quiet
from edgepose.artifacts.manifest import Manifest
from edgepose.backends.cuda import driver_problem
from edgepose.backends.cuda.device import find_device
from edgepose.backends.declared.tensorrt import DECLARATION, TensorRtOptions
from edgepose.backends.session import Built, OpenOptions
from edgepose.backends.tensorrt import builder, machine
from edgepose.backends.tensorrt.inspector import layers_of
from edgepose.backends.tensorrt.session import TrtSession, deserialize, open_session
from edgepose.errors import MissingPackage, one_line

NAME = "tensorrt"
DLA_CORE = "dla_core"  # file of the payload: the core that an engine for one runs on


def problem() -> str | None:
    try:
        library()
    except MissingPackage as error:
        return str(error)
    except ImportError as error:
        return f"tensorrt is installed but cannot be imported ({one_line(error)}); install it again"
    missing = machine.no_device()
    if missing is None:
        return None
    return f"TensorRT {version()} is installed, but {missing}. --backend tensorrt_rtx builds without a GPU"


def cannot_open() -> str | None:
    return driver_problem()


def version() -> str:
    return str(library().__version__)


def refuse(options: TensorRtOptions) -> None:
    builder.refuse(library(), options)


def graph_for(options: TensorRtOptions) -> str:
    return builder.graph_for(builder.api_of(library()), options)


def build(onnx_path: Path, folder: Path, options: TensorRtOptions, track: Track = quiet) -> Built:
    """Write model.plan. BuildError when TensorRT cannot take the graph or a setting, saying which."""
    trt, device = library(), find_device()
    timings = machine.timing_file(options.timing_cache, f"{NAME} {version()}", device)
    plan = builder.compile_plan(trt, onnx_path, options, timings, track)
    (folder / builder.PLAN).write_bytes(plan.data)
    if options.dla_core is not None:
        (folder / DLA_CORE).write_text(str(options.dla_core))
    runtime, engine = deserialize(trt, plan.data, options.dla_core)
    layers = layers_of(trt, engine)
    del engine, runtime  # in this order the library wants them gone
    return machine.built_from(plan, options, device, layers)


def differs(manifest: Manifest) -> list[str]:
    return machine.same_machine(manifest, version(), machine.device_here())


def open(folder: Path, options: OpenOptions) -> TrtSession:
    """Load what `build` wrote. EngineError when TensorRT refuses it, or without a GPU."""
    core = int((folder / DLA_CORE).read_text()) if (folder / DLA_CORE).is_file() else None
    return open_session(library(), folder / builder.PLAN, core)


def library() -> ModuleType:
    """The imported package. MissingPackage says what installs it on this machine."""
    return optional("tensorrt", DECLARATION.extra)
