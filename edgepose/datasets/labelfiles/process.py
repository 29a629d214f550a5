"""The parent's side of the child process that reads label files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgepose._child import Child
from edgepose._optional import optional
from edgepose.errors import DataError

READER = Child("edgepose.datasets.labelfiles.child", timeout_s=300)


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
    answer = READER.ask([kind, str(path.resolve()), *arguments])
    value, reason = answer[0] if answer else (None, "the reader crashed or was stuck; download it again")
    if reason:
        raise DataError(f"{path} is not a readable .{kind} file: {reason}")
    return value
