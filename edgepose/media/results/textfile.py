"""A text file that appears under its name when it is complete."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from edgepose._files import replacing
from edgepose.errors import EdgeposeError
from edgepose.media.results.sink import worth_keeping
from edgepose.pose.poses import Poses


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise an OSError of the block as an EdgeposeError about the output `path`."""
    try:
        yield
    except OSError as error:
        hint = "its reader has gone" if isinstance(error, BrokenPipeError) else "free some space, or write elsewhere"
        raise EdgeposeError(f"cannot write {path}: {error.strerror or error}; {hint}") from error


class TextFile:
    """A text file that is written under a temporary name; `end` renames it to `path`, unless a write failed.

    Memory does not grow with the length of the run, and an interrupted run leaves a valid file with the frames so far.
    A run that fails before it found anybody, or is stopped before its first frame, leaves no file, and the file of an
    earlier run stays.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.frames, self.people = path, 0, 0
        self._failed: OSError | None = None
        self._stack = ExitStack()
        temporary = self._stack.enter_context(replacing(path))
        self._folder = temporary.parent
        self._file = self._stack.enter_context(temporary.open("w", encoding="utf-8", newline=""))

    def write(self, text: str) -> None:
        """Append text. Raises EdgeposeError when the disk is full."""
        self.write_to(self._file, text)

    def write_to(self, file: IO[str], text: str) -> None:
        """Append text to a part of the file that `part` returned."""
        try:
            with writing(self.path):
                file.write(text)
        except EdgeposeError as error:
            self._failed = error.__cause__ if isinstance(error.__cause__, OSError) else None
            raise

    def part(self) -> IO[str]:
        """Return a nameless file on the same disk, for a part that follows later; `append` copies it."""
        with writing(self.path):
            return self._stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8", dir=self._folder))

    def append(self, part: IO[str]) -> None:
        """Copy a nameless file to the end of this one. Errors of the disk are raised by `end`."""
        try:
            part.seek(0)
            shutil.copyfileobj(part, self._file)
        except OSError as error:
            self._failed = error

    def count(self, poses: Poses) -> None:
        """Count a frame and its people."""
        self.frames += 1
        self.people += len(poses)

    def is_kept(self, error: BaseException | None) -> bool:
        """Return whether a run that `error` ended left something worth a file."""
        return worth_keeping(error, self.frames, self.people)

    def end(self, error: BaseException | None, tail: str = "") -> None:
        """Finish and rename the file, or remove it where `error` ended the run before the file was worth keeping."""
        if not self.is_kept(error):
            assert error is not None
            self._stack.__exit__(type(error), error, error.__traceback__)
            return
        with self._stack:  # an OSError in here becomes an EdgeposeError, and the temporary file is removed
            if self._failed is not None:
                raise self._failed
            self._file.write(tail)
