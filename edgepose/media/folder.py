"""List the images of a folder.

Hidden files and folders are left out; among them are the `._*` files that macOS writes beside photographs on other
file systems, and the thumbnails of network drives.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgepose.errors import DataError
from edgepose.media.images import SUFFIXES

# Folders of thumbnails, of attributes and of deleted files, made by other programs, in lower case.
_NOT_PHOTOGRAPHS = (
    *("@eadir", "__macosx", "#recycle", "@recycle", "$recycle.bin", "recycler", "#snapshot"),
    *("system volume information", "lost+found"),
)
LISTED = 5  # suffixes that a line about other files names


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a folder holds.

    Attributes:
        folder: The folder.
        paths: The image files, in natural order.
        broken: Entries with the name of an image that are no file, with what they are: links to nothing, pipes.
        others: How many files have another suffix, by suffix.
        deeper: Whether a sub-folder that was not searched holds images.
    """

    folder: Path
    paths: tuple[Path, ...]
    broken: tuple[tuple[Path, str], ...]
    others: Counter[str]
    deeper: bool

    def notes(self) -> list[str]:
        """Return one line about the other files and one about sub-folders, where there are any."""
        lines = []
        if self.others:
            count, common = sum(self.others.values()), self.others.most_common(LISTED)
            kinds = ", ".join(f"{number} {suffix or 'without a suffix'}" for suffix, number in common)
            kinds += ", ..." if len(self.others) > LISTED else ""
            lines.append(f"{self.folder}: left out {count} file{'s' * (count != 1)} that are no images ({kinds})")
        if self.deeper:
            lines.append(f"{self.folder}: left out the images in sub-folders; --recursive takes them too")
        return lines


def list_images(
    folder: Path,
    *,
    recursive: bool = False,
    also: Sequence[str] = (),
    remedy: str = "pass --recursive",
    films: Sequence[str] = (),
) -> Listing:
    """List the images of a folder.

    Args:
        folder: The folder.
        recursive: Whether to search its sub-folders too. Links to folders are followed, each folder once.
        also: Suffixes of other files that are taken, in lower case.
        remedy: What the message about images that are all in sub-folders proposes.
        films: Suffixes of videos that `remedy` would take, in lower case.

    Returns:
        The files whose suffix is one of `SUFFIXES`, in natural order, and what was left out.

    Raises:
        DataError: The folder cannot be read, or holds no image.
    """
    paths: list[Path] = []
    broken: list[tuple[Path, str]] = []
    others: Counter[str] = Counter()
    seen: set[tuple[int, int]] = set()
    waiting, deeper = [folder], False
    while waiting:
        here = waiting.pop()
        for path in _entries(here, top=here == folder, seen=seen):
            image = path.suffix.lower() in (*SUFFIXES, *also)
            if path.is_dir():
                if recursive:
                    waiting.append(path)
                else:
                    deeper = deeper or _holds_image(path)
            elif not image:
                others[path.suffix.lower()] += 1
            elif path.is_file():
                paths.append(path)
            else:
                broken.append((path, "is a link to nothing" if path.is_symlink() else "is no file"))
    found = Listing(
        folder=folder,
        paths=tuple(sorted(paths, key=lambda path: _order(path, folder))),
        broken=tuple(sorted(broken)),
        others=others,
        deeper=deeper,
    )
    if not paths:
        raise DataError(_nothing(found, remedy, sum(others[suffix] for suffix in films)))
    return found


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return the sort key of natural order, in which `frame2` comes before `frame10`.

    Runs of digits are compared by their number. The name itself decides between names that are equal otherwise.
    """
    runs = re.findall(r"[0-9]+|[^0-9]+", name.lower())
    return (*((0, int(run), "") if run[0].isdecimal() else (1, 0, run) for run in runs), (2, 0, name))


def _order(path: Path, folder: Path) -> tuple[tuple[tuple[int, int, str], ...], ...]:
    return tuple(natural_key(part) for part in path.relative_to(folder).parts)


def _entries(folder: Path, *, top: bool, seen: set[tuple[int, int]]) -> list[Path]:
    """Return what a folder holds and is not hidden; nothing where the folder was seen before, through a link."""
    try:
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen:
            return []
        seen.add((status.st_dev, status.st_ino))
        return sorted(path for path in folder.iterdir() if _is_users(path.name))
    except OSError as error:
        inside = "" if top else "; remove it or make it readable"
        raise DataError(f"cannot read folder {folder}: {error.strerror or error}{inside}") from error


def _is_users(name: str) -> bool:
    """Whether a file or folder is the user's: not hidden, no lock file of an office program, no system folder."""
    return not name.startswith((".", "~$")) and name.lower() not in _NOT_PHOTOGRAPHS


def _holds_image(folder: Path) -> bool:
    """Whether a folder holds an image, at any depth; a folder that cannot be read holds none."""
    for _, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if _is_users(name)]
        if any(_is_users(name) and Path(name).suffix.lower() in SUFFIXES for name in names):
            return True
    return False


def _nothing(found: Listing, remedy: str, films: int) -> str:
    """Return the message about a folder in which no image can be used."""
    start = f"folder {found.folder} holds no image"
    if films:
        return f"{start}, but {films} video{'s' * (films > 1)}; {remedy}, or name one of them"
    if found.deeper:
        return f"{start}, but its sub-folders do; {remedy}, or name one of them"
    if found.broken:
        path, reason = found.broken[0]
        return f"{start} that can be read: {path.name} {reason}"
    held = f"; it holds {sum(found.others.values())} other files" if found.others else ""
    return f"{start} ({', '.join(SUFFIXES)}){held}; choose another"
