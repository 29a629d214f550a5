"""The child process that tries graphs: `python -m edgepose.graph.trial_child`.

It answers the request `[PATH, INPUT, SHAPE, DTYPE]` with "" if the graph runs with and without optimizations, else with
the error. A graph that crashes ONNX Runtime ends this process, which the parent notices.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from edgepose._child import serve
from edgepose.errors import ModelError, one_line
from edgepose.graph.evaluate import plain_session, run_limited, runtime_failures

LEAST = 8 << 30  # libraries reserve addresses that they do not use


def answer(request: list[Any]) -> str:
    """Load and run a graph, with optimizations and without; return the error of ONNX Runtime."""
    path, name, shape, dtype = request
    failures: tuple[type[BaseException], ...] = (ModelError, MemoryError, *runtime_failures())
    try:
        for optimized in (True, False):
            run_limited(plain_session(Path(path), optimized=optimized), None, {name: np.ones(shape, dtype)})
    except failures as error:
        return one_line(error) or type(error).__name__
    return ""


def memory_of_machine() -> int:
    """Return how many bytes of addresses a network may take: those of the machine, as more cannot run on it."""
    return max(LEAST, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


if __name__ == "__main__":
    serve(answer, memory_bytes=memory_of_machine())
