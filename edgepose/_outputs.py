"""Where a result may be written: never over an input, a device or a folder of somebody else."""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from edgepose.errors import EdgeposeError, UsageError

# Files in a folder of inputs that may be replaced; JSON files too, where they begin as results do.
RESULTS = (".avi", ".csv", ".html", ".jsonl", ".mkv", ".mp4", ".parquet")
_RESULT_JSON = re.compile(rb'\s*(\[|\{\s*"format")')
_DESCRIPTOR = re.compile(r"^(/dev/fd/|/proc/self/fd/)(\d+)$")
_STANDARD = {"/dev/stdout": 1, "/dev/stderr": 2}

Input = str | Path | None


def refuse_existing(path: Path, overwrite: bool, inputs: Iterable[Input] = ()) -> None:
    """Refuse a place where a file cannot be written, or where something would be lost.

    Args:
        path: The file to write. A pipe, a terminal and /dev/null may be written to without `overwrite`.
        overwrite: Whether a file that exists may be replaced.
        inputs: What the command reads: files, folders, and data as KIND:PATH[:SPLIT]. No file that is one of them,
            under whatever name, and no file in one of these folders may be replaced, except earlier results.

    Raises:
        UsageError: The file exists and `overwrite` is not set, is an input, or is a device or a folder.
        EdgeposeError: The folder cannot be written to.
    """
    try:
        if is_stream(path):
            return
        mode = path.stat().st_mode if path.exists() else None
    except OSError as error:
        raise EdgeposeError(f"cannot write {path}: {error.strerror or error}; choose another place") from error
    except RuntimeError as error:  # links in a circle, before Python 3.13
        raise EdgeposeError(f"cannot write {path}: {error}; choose another place") from error
    if mode is None:
        _refuse_place(path)
        return
    if stat.S_ISDIR(mode):
        raise UsageError(f"{path} is a folder; name a file to write")
    if not stat.S_ISREG(mode):
        raise UsageError(f"{path} is a device, which is not written to; name a file")
    for given in inputs:
        _refuse_input(path, given)
    if not overwrite:
        raise UsageError(f"{path} exists; pass --overwrite to replace it, or write somewhere else")
    if not os.access(path, os.W_OK):
        raise EdgeposeError(f"cannot write {path}: it is write-protected; write somewhere else")
    _refuse_place(path)


def refuse_existing_folder(path: Path, overwrite: bool, marker: str, inputs: Iterable[Input] = ()) -> None:
    """Refuse to replace a folder that edgepose did not make, or that holds an input.

    Args:
        path: The folder to write.
        overwrite: Whether a folder that exists may be replaced.
        marker: The file that a folder of this kind holds. An empty folder may be replaced too.
        inputs: What the command reads; see `refuse_existing`.

    Raises:
        UsageError: The folder exists and `overwrite` is not set, holds an input, or is no folder of this kind.
        EdgeposeError: The folder cannot be written to.
    """
    try:
        exists = path.exists()
        if exists and not overwrite:
            raise UsageError(f"{path} exists; pass --overwrite to replace it, or write somewhere else")
        if exists and not path.is_dir():
            raise UsageError(f"{path} is a file, and a folder of that name is to be written; move it")
        if exists and not (path / marker).is_file() and any(path.iterdir()):
            raise UsageError(f"{path} holds no {marker}, so edgepose did not write it; move the folder")
    except OSError as error:
        raise EdgeposeError(f"cannot write {path}: {error.strerror or error}; choose another place") from error
    for given in existing_paths(inputs):
        if exists and given.resolve().is_relative_to(path.resolve()):
            raise UsageError(f"{path} would be replaced, and {given} in it is an input; write somewhere else")
    _refuse_place(path)


def is_stream(path: Path) -> bool:
    """Return whether a path is written to and never replaced: a pipe, a terminal, /dev/null, an open descriptor."""
    if _descriptor(path) is not None:
        return True
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        mode = path.stat().st_mode
        real = os.path.realpath(path)
        return stat.S_ISFIFO(mode) or (
            stat.S_ISCHR(mode) and (real in ("/dev/null", "/dev/tty") or real.startswith("/dev/pts/"))
        )
    return False


def open_stream(path: Path) -> int:
    """Open a path of `is_stream` for writing; a pipe that nobody reads raises OSError instead of waiting."""
    number = _descriptor(path)
    if number is not None:
        return os.dup(number)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if stat.S_ISFIFO(path.stat().st_mode):
            raise OSError(error.errno, "nobody reads from this pipe") from error
        raise
    os.set_blocking(handle, True)
    return handle


def real_path(path: Path) -> Path:
    """Return the file or folder that a link leads to, and any other path as it is.

    Raises:
        OSError: The name is too long, or links lead in a circle.
    """
    with contextlib.suppress(FileNotFoundError):
        path.stat()
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _descriptor(path: Path) -> int | None:
    text = str(path)
    named = _DESCRIPTOR.match(text)
    return int(named[2]) if named else _STANDARD.get(text)


def _refuse_place(path: Path) -> None:
    """Refuse a folder that cannot be written to, before the work and not after it."""
    try:
        folder = real_path(path).absolute().parent
        while not folder.exists():
            folder = folder.parent
    except OSError as error:
        raise EdgeposeError(f"cannot write {path}: {error.strerror or error}; choose another place") from error
    if not folder.is_dir():
        raise EdgeposeError(f"cannot write {path}: {folder} is a file and no folder; choose another place")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise EdgeposeError(f"cannot write {path}: the folder {folder} is read-only for you; choose another place")


def _refuse_input(path: Path, given: Input) -> None:
    for source in existing_paths([given]):
        if source.is_file() and source.samefile(path):
            raise UsageError(f"{path} is an input of this command ({source}); write somewhere else")
        if source.is_file() and source.suffix.lower() == ".json" and _names(source, path):
            raise UsageError(f"{path} is an image of {source}, which is an input; write somewhere else")
        inside = source.is_dir() and path.resolve().is_relative_to(source.resolve())
        if inside and not _is_result(path):
            raise UsageError(f"{path} is a file of {source}, which is an input of this command; write somewhere else")


def _names(labels: Path, path: Path) -> bool:
    """Whether a file beside a label file is one that it names, such as an image in `images/`."""
    folder = labels.resolve().parent
    near = path.resolve().is_relative_to(folder.parent if folder.name == "annotations" else folder)
    if not near or path.suffix.lower() in (*RESULTS, ".json"):
        return False
    content = labels.read_bytes()
    return any(json.dumps(path.name, ensure_ascii=ascii)[1:-1].encode() in content for ascii in (True, False))


def existing_paths(inputs: Iterable[Input]) -> Iterator[Path]:
    """Yield the paths that exist among the inputs, of KIND:PATH[:SPLIT] those of PATH and SPLIT."""
    for given in inputs:
        text = str(given or "")
        _, _, rest = text.partition(":")
        front, _, end = rest.rpartition(":")
        for part in filter(None, (text, rest, front, end)):
            with contextlib.suppress(OSError, ValueError):
                path = Path(part).expanduser()
                if path.exists():
                    yield path


def _is_result(path: Path) -> bool:
    """Whether a file in a folder of inputs looks like the result of an earlier command."""
    if path.suffix.lower() in RESULTS:
        return True
    if path.suffix.lower() != ".json" or path.name in ("manifest.json", "scales.json"):
        return False
    with path.open("rb") as file:
        return _RESULT_JSON.match(file.read(100)) is not None
