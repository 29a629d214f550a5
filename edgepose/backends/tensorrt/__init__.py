"""TensorRT 8.6, 10 and 11: engines for the NVIDIA GPU of this machine.

The payload is `model.plan`, which trtexec can load too, and for a DLA the file `dla_core`. On a Jetson, TensorRT
comes with JetPack. Building measures kernels on the GPU, so it needs a GPU, and the engine runs on that GPU only.
`builder` lists the differences between versions.

Run only the tests of this file with `pytest tests/backends/test_tensorrt.py`.
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
from edgepose.backends.tensorrt import builder, machine, precision
from edgepose.backends.tensorrt.inspector import layers_of
from edgepose.backends.tensorrt.session import TrtSession, deserialize, open_session
from edgepose.errors import MissingPackage, one_line

NAME = "tensorrt"
DLA_CORE = "dla_core"  # name of the payload file that holds the core of the DLA


def problem() -> str | None:
    """Return why this backend cannot build engines on this machine and what to do, or None when it can."""
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
    """Return why engines cannot be opened on this machine, or None when they can be."""
    return driver_problem()


def version() -> str:
    """Return the version of the library."""
    return str(library().__version__)


def refuse(options: TensorRtOptions) -> None:
    """Refuse options that this version of TensorRT or this board cannot build with.

    Raises:
        BuildError: An option cannot be used; the message says why.
    """
    builder.refuse(library(), options)


def graph_for(options: TensorRtOptions) -> str:
    """Return the precision of the graph that is compiled for these options."""
    return precision.graph_for(precision.api_of(library()), options)


def build(onnx_path: Path, folder: Path, options: TensorRtOptions, track: Track = quiet) -> Built:
    """Write model.plan.

    Args:
        onnx_path: The graph.
        folder: An empty folder that exists.
        options: The options of the engine.
        track: Shows the progress.

    Raises:
        BuildError: TensorRT cannot compile the graph or apply an option; the message says which.
    """
    trt, device = library(), find_device()
    timings = machine.timing_file(options.timing_cache, f"{NAME} {version()}", device)
    plan = builder.compile_plan(trt, onnx_path, options, timings, track)
    (folder / builder.PLAN).write_bytes(plan.data)
    if options.dla_core is not None:
        (folder / DLA_CORE).write_text(str(options.dla_core))
    runtime, engine = deserialize(trt, plan.data, options.dla_core)
    layers = layers_of(trt, engine)
    del engine, runtime  # the library requires this order
    return machine.built_from(plan, options, device, layers)


def differs(manifest: Manifest) -> list[str]:
    """Return the differences between this machine and the one an engine was built for, one line each."""
    return machine.same_machine(manifest, version(), machine.device_here())


def open(folder: Path, options: OpenOptions) -> TrtSession:
    """Load an engine that `build` wrote.

    Raises:
        EngineError: TensorRT cannot load the engine, or there is no GPU.
    """
    core = int((folder / DLA_CORE).read_text()) if (folder / DLA_CORE).is_file() else None
    return open_session(library(), folder / builder.PLAN, core)


def library() -> ModuleType:
    """Import the library.

    Raises:
        MissingPackage: TensorRT is not installed; the message says how to install it on this machine.
    """
    return optional("tensorrt", DECLARATION.extra)
