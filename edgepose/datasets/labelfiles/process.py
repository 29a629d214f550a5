"""The parent's side of the child process that reads label files: one child per process, started when needed."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from edgepose._optional import optional
from edgepose.errors import DataError

_LOCK = threading.Lock()
_child: subprocess.Popen[bytes] | None = None
_owner = 0  # the process that started the child; a forked copy must start its own
TIMEOUT_S = 300  # A reader that takes longer is stopped.


def read(kind: str, path: Path, *arguments: str) -> Any:
    """Read a label file in the child process.

    Args:
        kind: "mat" or "h5".
        path: The file.
        *arguments: For "mat", the variable's name.

    Returns:
        What `child.read_mat` or `child.read_h5` returns.

    Raises:
        DataError: The file cannot be read, is damaged, or crashed the reader.
        MissingPackage: scipy or h5py is not installed.
    """
    optional("scipy" if kind == "mat" else "h5py")
    try:
        path.open("rb").close()
    except OSError as error:
        raise DataError(f"cannot read labels {path}: {error.strerror or error}") from error
    with _LOCK:
        value, reason = _ask([kind, str(path.resolve()), *arguments])
    if reason:
        raise DataError(f"{path} is not a readable .{kind} file: {reason}")
    return value


def _ask(request: list[str]) -> tuple[Any, str]:
    child = _running()
    assert child.stdin is not None and child.stdout is not None
    timer = threading.Timer(TIMEOUT_S, child.kill)
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
        _stop()
        return None, "the reader crashed or was stuck; download it again"
    value, reason = pickle.loads(made)
    return value, reason


def _running() -> subprocess.Popen[bytes]:
    global _child, _owner
    if _child is None or _owner != os.getpid() or _child.poll() is not None:
        _child = subprocess.Popen(
            [sys.executable, "-m", "edgepose.datasets.labelfiles.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,  # Ctrl-C is for the parent, which closes stdin when it ends
        )
        _owner = os.getpid()
    return _child


def _stop() -> None:
    global _child
    if _child is not None and _owner == os.getpid():
        _child.kill()
        _child.communicate()
    _child = None
