"""Files between stages: hashed, and written beside then renamed, so a half-written one never exists."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgepose.errors import EdgeposeError, UsageError


def sha256_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """The sha256 of a file's content, as 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_json(value: Any) -> str:
    """The sha256 of a JSON value in canonical form (sorted keys, no spaces)."""
    return sha256_bytes(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raise UsageError when `path` exists and nobody asked to replace it."""
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists; pass --overwrite to replace it, or choose another --out")


def _explain(path: Path, error: OSError) -> EdgeposeError:
    return EdgeposeError(
        f"cannot write {path}: {error.strerror or error}; nothing was changed there. "
        "Free some space or choose another place"
    )


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write a file to; rename it onto `path` when the block succeeds.

    On any error the file beside is removed and `path` is as it was. An OSError (full disk, no right to
    write) becomes an EdgeposeError that names the file.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise _explain(path, error) from error
    beside = Path(name)
    try:
        yield beside
        beside.chmod(0o644)
        beside.replace(path)
    except OSError as error:
        raise _explain(path, error) from error
    finally:
        beside.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """As `replacing`, for a folder: the old folder is there until the new one is whole."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    except OSError as error:
        raise _explain(path, error) from error
    old = beside.with_name(beside.name + "-old")
    try:
        yield beside
        beside.chmod(0o755)
        if path.exists():
            if not path.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, "a file of that name is there")
            path.replace(old)
        beside.replace(path)
    except OSError as error:
        raise _explain(path, error) from error
    finally:
        if old.exists() and not path.exists():  # whatever came between the two renames
            old.replace(path)
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def write_bytes(path: Path, data: bytes) -> None:
    with replacing(path) as beside:
        beside.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Write JSON, indented, ending in a newline; NaN is refused because JSON has none."""
    write_bytes(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def read_json(path: Path, what: str) -> Any:
    """Read JSON; `what` names the file's role in the error ("scales", "manifest")."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise EdgeposeError(f"no {what} file at {path}") from error
    except OSError as error:
        raise EdgeposeError(f"cannot read {what} file {path}: {error.strerror or error}") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise EdgeposeError(f"{path} is not a {what} file: it is no valid JSON ({error})") from error
