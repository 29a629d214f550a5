"""Find the GPU, and make the CUDA calls that sessions need.

`find_device` calls libcuda through ctypes, because manifests and error messages need the name of the GPU before any
CUDA package is installed. All other calls go through a `Driver`, which uses cuda-bindings or pycuda, whichever is
installed. The environment variable EDGEPOSE_CUDA_DRIVER selects one: "cuda-bindings" or "pycuda".
"""

from __future__ import annotations

import importlib.util
import os

from edgepose._optional import optional, remedy
from edgepose.backends.cuda.api import Api
from edgepose.backends.cuda.device import find_device
from edgepose.backends.cuda.driver import Block, Driver
from edgepose.backends.cuda.loaded import Kernels
from edgepose.errors import EngineError, MissingPackage, UsageError, nearest, one_line

SETTING = "EDGEPOSE_CUDA_DRIVER"
MODULES = {
    "cuda-bindings": "cuda.bindings.driver",
    "pycuda": "pycuda.driver",
}  # the first one that is installed is used

__all__ = ["MODULES", "SETTING", "Api", "Block", "Driver", "Kernels", "driver_name", "driver_problem", "open_driver"]


def open_driver() -> Driver:
    """Return a driver for the first GPU. The caller must close it.

    Raises:
        EngineError: No GPU can be used; the message says why.
        MissingPackage: Neither cuda-bindings nor pycuda is installed.
        UsageError: EDGEPOSE_CUDA_DRIVER names an unknown package.
    """
    find_device()
    return Driver(_api(driver_name()))


def driver_problem() -> str | None:
    """Return why sessions cannot use a GPU on this machine, or None when they can."""
    try:
        find_device()
        driver_name()
    except (EngineError, MissingPackage) as error:
        return str(error)
    return None


def driver_name() -> str:
    """Return the name of the CUDA package that is used.

    Raises:
        MissingPackage: Neither package is installed, or the selected one is not.
        UsageError: EDGEPOSE_CUDA_DRIVER names an unknown package.
    """
    forced = os.environ.get(SETTING)
    if forced:
        if forced not in MODULES:
            raise UsageError(f"{SETTING}={forced}{nearest(forced, MODULES)}")
        if not _installed(forced):
            raise MissingPackage(f"{SETTING}={forced}, which is not installed: {remedy(_package(forced))}")
        return forced
    found = next((name for name in MODULES if _installed(name)), None)
    if found is None:
        major = find_device().cuda.partition(".")[0]  # the bindings of a newer CUDA do not work with this driver
        raise MissingPackage(
            "running an engine on the GPU needs cuda-bindings or pycuda: "
            f"pip install 'cuda-bindings=={major}.*', or {remedy('pycuda')}"
        )
    return found


def _api(name: str) -> Api:
    try:
        module = optional(MODULES[name])
    except MissingPackage:
        raise
    except ImportError as error:
        raise EngineError(
            f"{name} is installed but cannot be imported ({one_line(error)}); install it again"
        ) from error
    if name == "pycuda":
        from edgepose.backends.cuda._pycuda import PycudaApi

        return PycudaApi(module)
    from edgepose.backends.cuda._bindings import BindingsApi

    return BindingsApi(module)


def _package(name: str) -> str:
    return MODULES[name].partition(".")[0]


def _installed(name: str) -> bool:
    """Return whether a package is found; it is not imported, because pycuda cannot be imported without libcuda."""
    parents, _, _ = MODULES[name].rpartition(".")
    try:
        return importlib.util.find_spec(parents) is not None
    except ModuleNotFoundError:
        return False
