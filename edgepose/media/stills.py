"""Image files as a source of frames."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from edgepose.errors import DataError, printable
from edgepose.media.canvas import canvas_of
from edgepose.media.images import read_image
from edgepose.media.sources import Frame
from edgepose.pose.geometry import Size

RATE = 10.0  # images per second


class ImageSource:
    """Image files as frames, ten in a second.

    Args:
        paths: The image files.
        folder: The folder that the names of the frames begin in; by default each name is that of its file.
        broken: Entries of the folder that cannot be images, each with the reason.
        strict: Whether a file that cannot be read raises the DataError of `read_image`. Otherwise it is left out and
            listed in `skipped`, and DataError is raised only where no file can be read.
        every: Take one file of so many.

    Attributes:
        skipped: The files that were left out, each with the reason, as far as the source was read.
    """

    live = False
    sound = None

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        folder: Path | None = None,
        broken: Sequence[tuple[Path, str]] = (),
        strict: bool = True,
        every: int = 1,
    ) -> None:
        self.paths, self.folder, self.strict, self.dropped = tuple(paths), folder, strict, 0
        self._every, self.fps = every, RATE / every
        self.count: int | None = len(self.paths[::every])
        self.size: Size | None = None
        self.skipped = [f"{self._name(path)} {reason}" for path, reason in broken]
        if strict and self.skipped:
            raise DataError(f"folder {folder}: {self.skipped[0]}; remove it, or leave out --strict")

    def __iter__(self) -> Iterator[Frame]:
        read = 0
        numbered = enumerate(zip(self.paths, _image_ids(self.paths), strict=True))
        for index, (path, image_id) in itertools.islice(numbered, None, None, self._every):
            try:
                image = read_image(path)
            except DataError as error:
                if self.strict:
                    raise
                self.skipped.append(str(error))
                continue
            read += 1
            yield Frame(index=index, name=self._name(path), image_id=image_id, time_s=index / RATE, image=image)
        if not read:
            others = f" (and {len(self.skipped) - 1} others)" if len(self.skipped) > 1 else ""
            raise DataError(f"no image can be read: {self.skipped[0]}{others}")

    def canvas(self) -> Size | None:
        """Return the (height, width) of a video of all pictures, see `canvas_of`; None leaves it to the first one."""
        return canvas_of(self.paths) if len(self.paths) > 1 else None

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def __enter__(self) -> ImageSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _name(self, path: Path) -> str:
        return printable(path.name if self.folder is None else path.relative_to(self.folder).as_posix())


def _image_ids(paths: Sequence[Path]) -> list[int]:
    """Return a different number for each file: its name where all names are numbers, else 0, 1, 2, ..."""
    stems = [path.stem for path in paths]
    if all(stem.isdecimal() for stem in stems) and len({int(stem) for stem in stems}) == len(stems):
        return [int(stem) for stem in stems]
    return list(range(len(paths)))
