"""A folder of images and films as one source of frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from edgepose._progress import Note, silent
from edgepose.errors import DataError, printable
from edgepose.media.canvas import canvas_of
from edgepose.media.film import open_film
from edgepose.media.images import read_image
from edgepose.media.selection import ALL, Selection
from edgepose.media.sources import VIDEO_SUFFIXES, Frame
from edgepose.media.stills import RATE
from edgepose.pose.geometry import Size


class CollectionSource:
    """The images and the films of a folder, one file after another.

    Frames are numbered through all files, and their times go on from file to file: an image lasts 1 / `RATE` seconds.
    The name of an image is that of its file in the folder, and that of a frame of a film is `<file>-000012`.

    Args:
        paths: The files.
        folder: The folder that the names begin in.
        broken: Entries of the folder that cannot be read, each with the reason.
        strict: Whether a file that cannot be read ends the frames. Otherwise it is left out and listed in `skipped`;
            of a film that is damaged, the frames before the damage are taken.
        selection: Which frames are taken of each film, and which of the images; times are not for folders.
        threads: Threads of the video decoder; 0 takes one for each CPU.
        note: Receives lines about what a film is.
    """

    live = False
    sound = None
    count: int | None = None
    size: Size | None = None

    def __init__(
        self,
        paths: Sequence[Path],
        folder: Path,
        *,
        broken: Sequence[tuple[Path, str]] = (),
        strict: bool = False,
        selection: Selection = ALL,
        threads: int = 0,
        note: Note = silent,
    ) -> None:
        self.paths, self.folder, self.strict, self.selection = tuple(paths), folder, strict, selection
        self.dropped, self.fps = 0, RATE / selection.every
        self._threads, self._note = threads, note
        self.skipped = [f"{self._name(path)} {reason}" for path, reason in broken]
        if strict and self.skipped:
            raise DataError(f"folder {folder}: {self.skipped[0]}; remove it, or leave out --strict")

    def __iter__(self) -> Iterator[Frame]:
        index, images, begin_s, end_s = 0, 0, 0.0, 0.0
        for path in self.paths:
            film = path.suffix.lower() in VIDEO_SUFFIXES
            taken = film or images % self.selection.every == 0
            images += not film
            try:
                for frame in self._frames(path, film) if taken else ():
                    end_s = begin_s + frame.time_s
                    yield replace(frame, index=index, image_id=index, time_s=end_s)
                    index += 1
            except DataError as error:
                if self.strict:
                    raise
                self.skipped.append(str(error))
            begin_s = end_s + 1 / RATE if index else 0.0
        if not index:
            raise DataError(f"folder {self.folder}: no image and no film can be read: {self.skipped[0]}")

    def _frames(self, path: Path, film: bool) -> Iterator[Frame]:
        name = self._name(path)
        if not film:
            yield Frame(index=0, name=name, image_id=0, time_s=0.0, image=read_image(path))
            return
        with open_film(path, selection=self.selection, threads=self._threads, note=self._note) as source:
            for frame in source:
                yield replace(frame, name=f"{name}-{frame.index:06d}")

    def canvas(self) -> Size | None:
        """Return the (height, width) of a video of all images, see `canvas_of`; None leaves it to the first frame."""
        return canvas_of([path for path in self.paths if path.suffix.lower() not in VIDEO_SUFFIXES])

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def __enter__(self) -> CollectionSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _name(self, path: Path) -> str:
        return printable(path.relative_to(self.folder).as_posix())
