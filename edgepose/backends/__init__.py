"""Backends by name: what compiles a graph into an engine and runs it.

Each is a module with the functions of `edgepose.backends.session`, imported when it is asked for:

    backend = load(choose("auto"))
"""

from __future__ import annotations

import importlib
from typing import cast

from edgepose.backends.session import Backend
from edgepose.errors import MissingPackage, UsageError, nearest

BACKENDS: dict[str, str] = {
    "tensorrt": "edgepose.backends.tensorrt",
    "tensorrt_rtx": "edgepose.backends.tensorrt_rtx",
    "openvino": "edgepose.backends.openvino",
    "onnxruntime": "edgepose.backends.onnxruntime",
}
AUTO = ("tensorrt", "openvino", "onnxruntime")  # `auto` takes the first that can be used here


def load(name: str) -> Backend:
    """The backend module `name`, whether or not its library is installed (`problem()` tells).

    Raises UsageError for an unknown name.
    """
    if name not in BACKENDS:
        raise UsageError(f"unknown backend {name!r}{nearest(name, ('auto', *BACKENDS))}")
    return cast(Backend, importlib.import_module(BACKENDS[name]))


def choose(name: str = "auto") -> str:
    """The name of a backend that can be used here; `auto` is TensorRT, else OpenVINO, else ONNX Runtime.

    Raises MissingPackage with the line that installs it, UsageError as `load`.
    """
    if name != "auto":
        problem = load(name).problem()
        if problem is not None:
            raise MissingPackage(problem)
        return name
    problems: list[str] = []
    for known in AUTO:  # the first that can be used: a look at the others would import their libraries
        problem = load(known).problem() or load(known).cannot_open()
        if problem is None:
            return known
        problems.append(problem)
    raise MissingPackage(f"no inference engine can be used here: {'; '.join(problems)}")
