"""Backends by name: the libraries that compile a graph into an engine and run it.

`about` reads a backend's declaration, which needs no library; `load` imports the backend itself:

    backend = load(choose("auto"))
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

from edgepose.errors import MissingPackage, UsageError, nearest

if TYPE_CHECKING:
    from edgepose.backends.declaration import Declaration
    from edgepose.backends.session import Backend

# name -> the module whose DECLARATION describes the backend; `auto` tries them in this order
BACKENDS: dict[str, str] = {
    "tensorrt": "edgepose.backends.declared.tensorrt",
    "tensorrt_rtx": "edgepose.backends.declared.tensorrt_rtx",
    "openvino": "edgepose.backends.declared.openvino",
    "onnxruntime": "edgepose.backends.declared.onnxruntime",
}


def about(name: str) -> Declaration:
    """Return what a backend declares about itself, without importing its library.

    Args:
        name: A key of `BACKENDS`.

    Raises:
        UsageError: No backend has this name.
    """
    if name not in BACKENDS:
        raise UsageError(f"unknown backend {name!r}{nearest(name, ('auto', *BACKENDS))}")
    return cast("Declaration", importlib.import_module(BACKENDS[name]).DECLARATION)


def load(name: str) -> Backend:
    """Return a backend's module, whether or not its library is installed (`problem()` says so).

    Args:
        name: A key of `BACKENDS`.

    Raises:
        UsageError: No backend has this name.
    """
    return cast("Backend", importlib.import_module(about(name).module))


def choose(name: str = "auto") -> str:
    """Return the name of a backend that can be used on this machine.

    Args:
        name: A key of `BACKENDS`, or "auto" for the first backend that can both build and open engines here.

    Raises:
        MissingPackage: The backend cannot be used; the message says how to install it.
        UsageError: No backend has this name.
    """
    if name != "auto":
        problem = load(name).problem()
        if problem is not None:
            raise MissingPackage(problem)
        return name
    problems: list[str] = []
    for known in BACKENDS:  # stops at the first that can be used, so that the other libraries are not imported
        if not about(known).in_auto:
            continue
        problem = load(known).problem() or load(known).cannot_open()
        if problem is None:
            return known
        problems.append(problem)
    raise MissingPackage(f"no inference engine can be used here: {'; '.join(problems)}")


def extras() -> dict[str, str]:
    """Return the extra that installs each package which a backend imports, by import name."""
    return {package: found.extra for found in map(about, BACKENDS) for package in found.imports}


def packages() -> dict[str, tuple[str, ...]]:
    """Return the distributions that may provide the library of each backend, by the backend's name in reports."""
    return {report_name(name): about(name).packages for name in BACKENDS}


def report_name(name: str) -> str:
    """Return the name of a backend's library in reports, such as "tensorrt-rtx"."""
    return name.replace("_", "-")
