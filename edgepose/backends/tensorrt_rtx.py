"""TensorRT-RTX 1.4 and later: engines for RTX GPUs, which can be built without a GPU. The payload is `model.plan`.

An engine runs on GPUs of compute capability 8.0 and later, or on those that are named; its kernels are completed
on the GPU when it is opened. The compiler is that of TensorRT in strongly typed mode and accepts the graphs that
TensorRT 10 and 11 accept, so the tests compile every network with it. TensorRT-RTX does not support Jetson.

Run only the tests of this file with `pytest tests/backends/test_tensorrt_rtx.py`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

from edgepose._optional import available, optional
from edgepose._progress import Track, quiet
from edgepose.artifacts.manifest import Manifest
from edgepose.backends.cuda import driver_problem
from edgepose.backends.declared.tensorrt_rtx import DECLARATION, TensorRtRtxOptions
from edgepose.backends.session import Built, OpenOptions
from edgepose.backends.tensorrt import builder, machine, precision
from edgepose.backends.tensorrt.session import TrtSession, open_session
from edgepose.errors import BuildError, MissingPackage, nearest, one_line

NAMES = ("tensorrt_rtx", "tensorrt_rtx_bindings")  # import names of NVIDIA's installer and of the wheel
WITH_FP8 = ("SM89", "SM120", "SM121")  # GPU generations whose Tensor Cores have FP8, of those that RTX builds for
FP8_NOTE = (
    "fp8 is an experiment: the graph was compared with the float network on a CPU, and no GPU has run such an engine "
    "for edgepose, so speed and accuracy on a GPU are not known; what was tested about INT8 does not hold for it"
)
NO_TARGET = ("NONE", "CURRENT")  # members of ComputeCapability that name no GPU


def problem() -> str | None:
    """Return why this backend cannot build engines on this machine and what to do, or None when it can."""
    try:
        _library()
    except MissingPackage as error:
        return str(error)
    except ImportError as error:
        return f"TensorRT-RTX is installed but cannot be imported ({one_line(error)}); install it again"
    return None


def cannot_open() -> str | None:
    """Return why engines cannot be opened on this machine, or None when they can be."""
    return driver_problem()


def version() -> str:
    """Return the version of the library."""
    return str(_library().__version__)


def refuse(options: TensorRtRtxOptions) -> None:
    """Refuse a compute capability that the library does not know, and FP8 for GPUs without it.

    Raises:
        BuildError: The library does not know a compute capability, or a GPU of the engine has no FP8.
    """
    known = [name for name in dir(_library().ComputeCapability) if name.isupper() and name not in NO_TARGET]
    for name in options.capabilities:
        if name not in known:
            raise BuildError(f"TensorRT-RTX {version()} knows no compute capability {name!r}{nearest(name, known)}")
    unable = [name for name in options.capabilities or (machine.PORTABLE,) if name not in WITH_FP8]
    if options.precision == "fp8" and unable:
        what = (
            "a portable engine is for GPUs without FP8 too" if not options.capabilities else f"{unable[0]} has no FP8"
        )
        raise BuildError(f"{what}; give --capability {','.join(WITH_FP8)}, or some of them, with --precision fp8")


def graph_for(options: TensorRtRtxOptions) -> str:
    """Return the precision of the graph that is compiled for these options."""
    return precision.graph_for(precision.api_of(_library()), options)


def build(onnx_path: Path, folder: Path, options: TensorRtRtxOptions, track: Track = quiet) -> Built:
    """Write model.plan, which is portable or made for `options.capabilities`.

    Args:
        onnx_path: The graph.
        folder: An empty folder that exists.
        options: The options of the engine.
        track: Shows the progress.

    Raises:
        BuildError: TensorRT-RTX cannot compile the graph.
    """
    trt = _library()
    plan = builder.compile_plan(trt, onnx_path, options, None, track)
    (folder / builder.PLAN).write_bytes(plan.data)
    built = machine.built_from(plan, options, machine.device_here(), {})
    built.build["capabilities"] = " ".join(options.capabilities) or machine.PORTABLE
    return replace(built, notes=(*built.notes, FP8_NOTE)) if options.precision == "fp8" else built


def differs(manifest: Manifest) -> list[str]:
    """Return the differences between this machine and those an engine was built for, one line each."""
    return machine.fits_capabilities(manifest, version(), machine.device_here())


def open(folder: Path, options: OpenOptions) -> TrtSession:
    """Load an engine that `build` wrote.

    Raises:
        EngineError: TensorRT-RTX cannot load the engine, or there is no GPU.
    """
    return open_session(_library(), folder / builder.PLAN)


def _library() -> ModuleType:
    return optional(next((name for name in NAMES if available(name)), NAMES[-1]), DECLARATION.extra)
