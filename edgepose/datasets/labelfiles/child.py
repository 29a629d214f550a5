"""The child process that reads label files: `python -m edgepose.datasets.labelfiles.child`.

It answers the requests `["mat", PATH, VARIABLE]` and `["h5", PATH]` with (content, ""), or with (None, REASON) where
the reader refused the file. A file that crashes the reader ends this process, which the parent notices.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepose._child import serve


def read_mat(path: str, name: str) -> Any:
    """Read one variable of a MATLAB file.

    Returns:
        A float64 array, a text, {"fields": [...], "rows": [{field: value}]} for a struct array, a list for a cell
        array, or None where the variable does not exist or holds something else (complex numbers, a sparse matrix).
    """
    from scipy.io import loadmat

    return _plain(loadmat(path, variable_names=[name]).get(name))


def _plain(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return None
    if value.dtype.names is not None:
        fields = list(value.dtype.names)
        rows = [{field: _plain(row[field]) for field in fields} for row in value.ravel(order="F")]
        return {"fields": fields, "rows": rows}
    if value.dtype.kind == "U":
        return "".join(value.ravel().tolist())
    if value.dtype.kind == "O":
        return [_plain(part) for part in value.ravel(order="F")]
    return value.astype(np.float64) if value.dtype.kind in "fiub" else None


def read_h5(path: str) -> dict[str, Any]:
    """Read the datasets of numbers (as float64) and of fixed-length text in the root group of an HDF5 file."""
    import h5py

    found: dict[str, Any] = {}
    with h5py.File(path) as file:
        for name, item in file.items():
            if isinstance(item, h5py.Dataset) and item.dtype.kind in "fiub":
                found[name] = np.asarray(item[()], np.float64)
            elif isinstance(item, h5py.Dataset) and item.dtype.kind == "S":
                found[name] = np.asarray(item[()]).astype(str)
    return found


def answer(request: list[str]) -> tuple[Any, str]:
    """Return the content of the file that a request names, or the reason why it could not be read."""
    try:
        return (read_mat(*request[1:]) if request[0] == "mat" else read_h5(*request[1:])), ""
    except NotImplementedError:  # scipy's answer to MATLAB 7.3, which is HDF5 inside
        return None, "it is a MATLAB 7.3 file; save it again with -v7"
    except Exception as error:  # whatever a damaged file makes the readers raise; the next request is answered too
        return (
            None,
            f"it seems damaged ({type(error).__name__}: {' '.join(str(error).split())[:120]}); download it again",
        )


if __name__ == "__main__":
    serve(answer)
