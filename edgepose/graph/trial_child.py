"""The child process that tries graphs: `python -m edgepose.graph.trial_child`.

It answers the request `[PATH, INPUT, SHAPE, DTYPE]` with "" if the graph runs with and without optimizations, else with
the error. A graph that crashes ONNX Runtime ends this process, which the parent notices.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgepose._child import serve
from edgepose.errors import ModelError, one_line
from edgepose.graph.evaluate import plain_session, run_limited, runtime_failures


def answer(request: list[Any]) -> str:
    """Load and run a graph, with optimizations and without; return the error of ONNX Runtime."""
    path, name, shape, dtype = request
    failures: tuple[type[BaseException], ...] = (ModelError, *runtime_failures())
    try:
        for optimized in (True, False):
            run_limited(plain_session(Path(path), optimized=optimized), None, {name: np.ones(shape, dtype)})
    except failures as error:
        return one_line(error)
    return ""


if __name__ == "__main__":
    serve(answer, memory_bytes=None)  # networks may be large
