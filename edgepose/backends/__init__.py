"""Backends by name: what compiles a graph into an engine and runs it.

Each is a module with the four functions of `edgepose.backends.session`, imported when it is asked for:

    backend = load(choose("auto"))
"""

from __future__ import annotations

import importlib
from typing import cast

from edgepose.backends.session import Backend
from edgepose.errors import BuildError, MissingPackage, UsageError, nearest

# name -> module; `auto` takes the first that can be used here
BACKENDS: dict[str, str] = {
    "openvino": "edgepose.backends.openvino",
    "onnxruntime": "edgepose.backends.onnxruntime",
}
PLANNED = ("tensorrt", "tensorrt_rtx")


def load(name: str) -> Backend:
    """The backend module `name`, whether or not its library is installed (`problem()` tells).

    Raises BuildError for a backend this version does not have yet, UsageError for an unknown name.
    """
    if name in PLANNED:
        raise BuildError(
            f"this version of edgepose cannot build or open {name} engines; choose --backend {' or '.join(BACKENDS)}"
        )
    if name not in BACKENDS:
        raise UsageError(f"unknown backend {name!r}{nearest(name, ('auto', *BACKENDS))}")
    return cast(Backend, importlib.import_module(BACKENDS[name]))


def choose(name: str = "auto") -> str:
    """The name of a backend that can be used here; `auto` is OpenVINO, else ONNX Runtime.

    Raises MissingPackage with the line that installs it, BuildError and UsageError as `load`.
    """
    if name != "auto":
        problem = load(name).problem()
        if problem is not None:
            raise MissingPackage(problem)
        return name
    problems = {known: load(known).problem() for known in BACKENDS}
    usable = [known for known, problem in problems.items() if problem is None]
    if not usable:
        reasons = "; ".join(str(problem) for problem in problems.values())
        raise MissingPackage(f"no inference engine can be used here: {reasons}")
    return usable[0]
