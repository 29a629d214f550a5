"""A child process for work that may crash or never end: native readers of files that may be damaged.

The child is a module of this package that calls `serve` with its answer to a request. It is started with the first
request, answers one after another, and ends with the process that started it.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

MEMORY_BYTES = 4 << 30  # address space; a damaged file may claim any size


class Child:
    """The parent's side: one child process per process, started when needed.

    Args:
        module: The name of the module that serves.
        timeout_s: A child that takes longer for one request is stopped, in seconds.
    """

    def __init__(self, module: str, timeout_s: float) -> None:
        self.module, self.timeout_s = module, timeout_s
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0  # the process that started the child; a forked copy must start its own
        atexit.register(self._stop)

    def ask(self, request: list[Any]) -> tuple[Any] | None:
        """Return the answer to a request, in a tuple, or None if the child crashed or was stuck.

        Args:
            request: A JSON value.
        """
        with self._lock:
            return self._ask(request)

    def running(self) -> subprocess.Popen[bytes]:
        """Return the child process, and start it if there is none."""
        if self._process is not None and self._owner == os.getpid() and self._process.poll() is not None:
            self._stop()  # closes its pipes
        if self._process is None or self._owner != os.getpid():
            self._process = subprocess.Popen(
                [sys.executable, "-m", self.module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,  # Ctrl-C is for the parent, which closes stdin when it ends
            )
            self._owner = os.getpid()
        return self._process

    def _ask(self, request: list[Any]) -> tuple[Any] | None:
        child = self.running()
        assert child.stdin is not None and child.stdout is not None
        timer = threading.Timer(self.timeout_s, child.kill)
        timer.start()
        try:
            child.stdin.write(json.dumps(request).encode() + b"\n")
            child.stdin.flush()
            size = int.from_bytes(child.stdout.read(8), "big")
            made = child.stdout.read(size)
            whole = size > 0 and len(made) == size
        except OSError:  # The child ended during the write.
            whole, made = False, b""
        finally:
            timer.cancel()
        if not whole:
            self._stop()
            return None
        return (pickle.loads(made),)

    def _stop(self) -> None:
        if self._process is not None and self._owner == os.getpid():
            self._process.kill()
            self._process.communicate()
        self._process = None


def serve(answer: Callable[[list[Any]], Any], memory_bytes: int | None = MEMORY_BYTES) -> None:
    """Answer requests on stdin until it ends; the child's side.

    A request is one line of JSON. An answer is a pickled value, preceded by its length in eight bytes (big-endian).
    What libraries print does not reach the answers.

    Args:
        answer: Computes the answer to a request.
        memory_bytes: The limit of the address space of this process; None for no limit.
    """
    if memory_bytes is not None:
        import resource

        with contextlib.suppress(ValueError, OSError):  # a lower limit is set already
            resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin.buffer:
        made = pickle.dumps(answer(json.loads(line)))
        answers.write(len(made).to_bytes(8, "big") + made)
        answers.flush()
