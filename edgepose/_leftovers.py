"""Temporary files and folders that are locked while their process lives, so that those of killed ones can be removed.

The system releases a lock (`flock`) when the process that holds it ends, however it ends. A process number in the name
would not do: numbers are used again, and each container counts its own.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edgepose._stop import held
from edgepose.errors import EdgeposeError

_OURS = re.compile(r"^\.(?P<name>.*)-edgepose-[a-z0-9_]{8}(?P<suffix>.*)$", re.DOTALL)
OLD = "-old"  # ends the name of a folder that gives way to a new one of the same name
_NAME_BYTES = 120  # of the name of the output in the name of its temporary file; names have at most 255 bytes


@contextlib.contextmanager
def temporary_file(folder: Path, name: str) -> Iterator[Path]:
    """Make an empty, locked file, and remove it at the end of the block if it is still there.

    Args:
        folder: Where to make the file.
        name: The name of the output, which begins and ends the name of the temporary file.
    """
    stem, suffix = Path(name).stem, Path(name).suffix
    with contextlib.ExitStack() as stack:
        while True:
            with held():
                handle, text = tempfile.mkstemp(prefix=f".{_short(stem)}-edgepose-", suffix=suffix, dir=folder)
                made = Path(text)
                stack.callback(os.close, handle)
                stack.callback(made.unlink, missing_ok=True)
            if _lock(handle) and _is_at(handle, made):
                break  # else a process that removes leftovers was faster
        yield made


@contextlib.contextmanager
def temporary_folder(folder: Path, name: str) -> Iterator[Path]:
    """Make an empty, locked folder, and remove it at the end of the block; see `temporary_file`."""
    with contextlib.ExitStack() as stack:
        while True:
            with held():
                made = Path(tempfile.mkdtemp(prefix=f".{name}-edgepose-", dir=folder))
                stack.callback(shutil.rmtree, made, ignore_errors=True)
            handle = locked(made)
            if handle is not None:
                stack.callback(os.close, handle)
                if _is_at(handle, made):
                    break
        yield made


def locked(path: Path, *, needed: bool = False) -> int | None:
    """Lock a file or folder; return the handle that holds the lock, or None where another process holds it.

    With `needed`, a file system that has no locks raises OSError.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    try:
        if _lock(handle, needed=needed):
            return handle
    except OSError:
        os.close(handle)
        raise
    os.close(handle)
    return None


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files and folders of processes that were killed; errors are ignored.

    A folder that was to give way comes back where its process was killed before the new one took its place.
    """
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if ours := _OURS.match(path.name):
                with contextlib.suppress(OSError):
                    _remove(path, folder / ours["name"] if ours["suffix"] == OLD else None)


def _remove(path: Path, place: Path | None) -> None:
    handle = locked(path, needed=True)
    if handle is None:
        return
    try:
        if place is not None and not place.exists():
            path.rename(place)
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    finally:
        os.close(handle)


@contextlib.contextmanager
def only_one(folder: Path, what: str) -> Iterator[None]:
    """Make a folder and hold its lock; a folder that was made and stayed empty is removed at the end.

    Args:
        folder: The folder that the block writes into.
        what: What writes, in the message for another process.

    Raises:
        EdgeposeError: Another process holds the lock, or the folder cannot be made.
    """
    while True:
        try:
            made = [path for path in (folder, *folder.parents) if not path.exists()]
            folder.mkdir(parents=True, exist_ok=True)
            handle = locked(folder.resolve())
        except OSError as error:
            raise EdgeposeError(f"cannot write {folder}: {error.strerror or error}; choose another folder") from error
        if handle is None and folder.exists():
            raise EdgeposeError(
                f"another {what} is writing into {folder}; wait until it has ended, or choose another folder"
            )
        if handle is not None and _is_at(handle, folder):
            break
        if handle is not None:
            os.close(handle)
    try:
        remove_leftovers(folder)
        yield
    finally:
        with contextlib.suppress(OSError):
            for path in made:
                path.rmdir()  # only an empty folder can be removed so
        os.close(handle)


def _short(stem: str) -> str:
    """Return the beginning of a name in plain letters, because encoders of videos take `%` for a number."""
    return re.sub(r"[^A-Za-z0-9._+ -]", "_", stem)[:_NAME_BYTES]


def _lock(handle: int, *, needed: bool = False) -> bool:
    """Try to lock and return whether no other process holds the lock.

    Where the file system has no locks, nobody is locked out; with `needed`, OSError is raised there.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
            return False
        if needed:
            raise
    return True


def _is_at(handle: int, path: Path) -> bool:
    """Whether a path still leads to the file of a handle."""
    try:
        there = path.stat()
    except OSError:
        return False
    held = os.fstat(handle)
    return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)
