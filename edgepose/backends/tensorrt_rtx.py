"""TensorRT-RTX 1.4 and later: engines for RTX GPUs, built without one. Payload: `model.plan`.

The engine is portable over GPUs of compute capability 8.0 and later, or made for those that are named; kernels
are finished on the GPU when it is opened. The compiler is TensorRT's, strongly typed: what it takes is what
TensorRT 10 and 11 take, which is why every network is compiled with it in the tests. It knows no Jetson.

Test alone: `pytest tests/backends/test_tensorrt_rtx.py`.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from edgepose._optional import available, optional
from edgepose._progress import Track, quiet
from edgepose.artifacts.manifest import Manifest
from edgepose.backends.cuda import driver_problem
from edgepose.backends.declared.tensorrt_rtx import DECLARATION, TensorRtRtxOptions
from edgepose.backends.session import Built, OpenOptions
from edgepose.backends.tensorrt import builder, machine
from edgepose.backends.tensorrt.session import TrtSession, open_session
from edgepose.errors import BuildError, MissingPackage, nearest, one_line

NAMES = ("tensorrt_rtx", "tensorrt_rtx_bindings")  # as NVIDIA's installer has it, and as the wheel has it
NO_TARGET = ("NONE", "CURRENT")  # of ComputeCapability: no GPU's name


def problem() -> str | None:
    try:
        _library()
    except MissingPackage as error:
        return str(error)
    except ImportError as error:
        return f"TensorRT-RTX is installed but cannot be imported ({one_line(error)}); install it again"
    return None


def cannot_open() -> str | None:
    return driver_problem()


def version() -> str:
    return str(_library().__version__)


def refuse(options: TensorRtRtxOptions) -> None:
    """Refuse a compute capability that the library does not know."""
    known = [name for name in dir(_library().ComputeCapability) if name.isupper() and name not in NO_TARGET]
    for name in options.capabilities:
        if name not in known:
            raise BuildError(f"TensorRT-RTX {version()} knows no compute capability {name!r}{nearest(name, known)}")


def graph_for(options: TensorRtRtxOptions) -> str:
    return builder.graph_for(builder.api_of(_library()), options)


def build(onnx_path: Path, folder: Path, options: TensorRtRtxOptions, track: Track = quiet) -> Built:
    """Write model.plan, for `options.capabilities` or portable. BuildError when TensorRT-RTX cannot take the graph."""
    trt = _library()
    plan = builder.compile_plan(trt, onnx_path, options, None, track)
    (folder / builder.PLAN).write_bytes(plan.data)
    built = machine.built_from(plan, options, machine.device_here(), {})
    built.build["capabilities"] = " ".join(options.capabilities) or machine.PORTABLE
    return built


def differs(manifest: Manifest) -> list[str]:
    return machine.fits_capabilities(manifest, version(), machine.device_here())


def open(folder: Path, options: OpenOptions) -> TrtSession:
    """Load what `build` wrote. EngineError when TensorRT-RTX refuses it, or without a GPU."""
    return open_session(_library(), folder / builder.PLAN)


def _library() -> ModuleType:
    return optional(next((name for name in NAMES if available(name)), NAMES[-1]), DECLARATION.extra)
