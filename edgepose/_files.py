"""Files between stages: hashed, and written to a temporary file that is renamed, so that no file is ever incomplete."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgepose._leftovers import OLD, locked, remove_leftovers, temporary_file, temporary_folder
from edgepose._outputs import is_stream, open_stream, real_path, refuse_existing
from edgepose._stop import held
from edgepose.errors import EdgeposeError, one_line


def sha256_bytes(data: bytes) -> str:
    """Return the sha256 of bytes as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the sha256 of a file's content as 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_json(value: Any) -> str:
    """Return the sha256 of a JSON value in canonical form (sorted keys, no spaces)."""
    return sha256_bytes(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


# Errors of writing. Other errors of the block, such as a missing source file, are raised unchanged.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EIO)  # only where the error names no other file


def _explain(path: Path, error: OSError) -> EdgeposeError:
    remedy = "Free some space or choose" if error.errno in _FULL else "Choose"
    return EdgeposeError(
        f"cannot write {path}: {error.strerror or error}; nothing was changed there. {remedy} another place"
    )


@contextlib.contextmanager
def _explaining(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Raise an OSError of the block as an EdgeposeError about `path`; with `temporary`, only an error of writing it."""
    try:
        yield
    except OSError as error:
        if temporary is None or _about(error, temporary):
            raise _explain(path, error) from error
        raise


def _about(error: OSError, temporary: Path) -> bool:
    named = [Path(os.fsdecode(name)) for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))]
    inside = any(name.is_relative_to(temporary) for name in named)
    return inside or error.errno in _FULL or (error.errno in _REFUSED and not named)


def _sync(path: Path) -> None:
    """Wait until the content of a file is on the disk: a rename that is stored first would leave an empty file."""
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_names(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system supports it. Errors are ignored."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _mode(wanted: int) -> int:
    """Return the permissions of a normally created file, because temporary files are private."""
    mask = os.umask(0o077)  # the only way to read the mask is to set it
    os.umask(mask)
    return wanted & ~mask


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; rename it to `path` when the block succeeds.

    After an error the temporary file is removed and `path` is unchanged. An OSError of writing (the disk is full,
    the permission is missing) becomes an EdgeposeError that names the file. Other errors are raised unchanged.
    Where `path` is a link, the file that it leads to is replaced. A pipe, a terminal and /dev/null receive the content.
    Temporary files that killed processes left in the folder are removed.
    """
    with contextlib.ExitStack() as stack:
        with _explaining(path):
            if is_stream(path):
                handle = open_stream(path)
                stack.callback(os.close, handle)
                stream: int | None = handle
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgepose-")))
            else:
                stream, target = None, real_path(path)
                folder = target.parent
                if not path.is_symlink():
                    folder.mkdir(parents=True, exist_ok=True)
                remove_leftovers(folder)
            temporary = stack.enter_context(temporary_file(folder, path.name))
        with _explaining(path, temporary):
            yield temporary
        with _explaining(path):
            if stream is not None:
                with temporary.open("rb") as content, os.fdopen(os.dup(stream), "wb") as out:
                    shutil.copyfileobj(content, out)
                return
            _sync(temporary)
            temporary.chmod(stat.S_IMODE(target.stat().st_mode) if target.exists() else _mode(0o666))
            temporary.replace(target)
        _sync_names(folder)


@contextlib.contextmanager
def placing(path: Path, overwrite: bool) -> Iterator[Path]:
    """Do as `replacing`, but keep a file that has the same content.

    Raises:
        UsageError: `path` has other content and `overwrite` is not set. The file is unchanged.
    """
    with contextlib.suppress(_Unchanged), replacing(path) as temporary:
        yield temporary
        if path.exists() and not is_stream(path):
            if sha256_file(path) == sha256_file(temporary):
                raise _Unchanged
            refuse_existing(path, overwrite)


class _Unchanged(Exception):
    """Leaves `replacing` without a rename."""


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Do as `replacing`, for a folder: the old folder stays until the new one is complete."""
    with contextlib.ExitStack() as stack:
        with _explaining(path):
            target = real_path(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            remove_leftovers(target.parent)
            temporary = stack.enter_context(temporary_folder(target.parent, target.name))
        with _explaining(path, temporary):
            yield temporary
        with _explaining(path):
            _sync_folder(temporary)
            temporary.chmod(_mode(0o777))
            _swap(temporary, target)
        _sync_names(target.parent)


def _swap(temporary: Path, target: Path) -> None:
    """Put a folder in the place of another, which is removed; after an error the old one is in its place."""
    old = temporary.with_name(temporary.name + OLD)
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "a file of that name is there")
    lock = locked(target)
    try:
        with held():
            if target.exists():
                target.replace(old)
            temporary.replace(target)
    finally:
        if old.exists() and not target.exists():  # an error between the two renames
            old.replace(target)
        shutil.rmtree(old, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _sync_folder(folder: Path) -> None:
    for item in sorted(folder.rglob("*")):
        if item.is_file():
            _sync(item)
        else:
            _sync_names(item)
    _sync_names(folder)


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes to a file; see `replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON that ends in a newline. NaN raises ValueError, because JSON has no NaN."""
    write_bytes(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file.

    Args:
        path: The file.
        what: Role of the file in error messages, such as "scales" or "manifest".

    Raises:
        EdgeposeError: The file is missing, cannot be read or is not JSON.
    """
    try:
        return json.loads(path.read_bytes())  # UTF-8 with or without a byte order mark, UTF-16 or UTF-32
    except FileNotFoundError as error:
        raise EdgeposeError(f"no {what} file at {path}") from error
    except OSError as error:
        raise EdgeposeError(f"cannot read {what} file {path}: {error.strerror or error}") from error
    except ValueError as error:  # no JSON, no UTF-8, or a number of more digits than Python reads
        raise EdgeposeError(f"{path} is not a {what} file: it is no valid JSON ({one_line(error)})") from error
    except RecursionError as error:
        raise EdgeposeError(f"{path} is not a {what} file: its JSON is nested too deep") from error
