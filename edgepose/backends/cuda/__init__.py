"""The driver layer: which GPU is here, and the CUDA calls through which sessions use it.

`find_device` asks libcuda itself, through ctypes: manifests and error messages need the GPU's name, and they need
it before any CUDA package is installed. Everything else goes through a `Driver` over cuda-bindings or pycuda,
whichever is installed; EDGEPOSE_CUDA_DRIVER=pycuda or cuda-bindings forces one. No part of it has run on a GPU.
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
MODULES = {"cuda-bindings": "cuda.bindings.driver", "pycuda": "pycuda.driver"}  # the first that is installed

__all__ = ["MODULES", "SETTING", "Api", "Block", "Driver", "Kernels", "driver_name", "driver_problem", "open_driver"]


def open_driver() -> Driver:
    """A driver for the first GPU. EngineError says why there is none, MissingPackage what to install,
    UsageError that the setting forces an unknown one."""
    find_device()
    return Driver(_api(driver_name()))


def driver_problem() -> str | None:
    """Why no session can use the GPU here, or None when it can."""
    try:
        find_device()
        driver_name()
    except (EngineError, MissingPackage) as error:
        return str(error)
    return None


def driver_name() -> str:
    """The package that is used here. MissingPackage, UsageError as `open_driver`."""
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
    """Found, not imported: pycuda cannot be imported without libcuda."""
    parents, _, _ = MODULES[name].rpartition(".")
    try:
        return importlib.util.find_spec(parents) is not None
    except ModuleNotFoundError:
        return False
