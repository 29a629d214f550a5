"""Find the image files that `file_name` of a label file means.

Labeling tools write the name as the labeling machine saw it: with the folder `images/`, with backslashes, as an
absolute path, as a URL with escapes, or (Label Studio) as `upload/1/1a2b3c4d-name.jpg` with a digest before the name
of the uploaded file. `find_images` tries the name as it is first, and then less and less of it. Upper and lower
case and the two ways to write an accent count as the same. Two images never get the same file in this way.
"""

from __future__ import annotations

import contextlib
import functools
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

from edgepose.datasets.remarks import Kind, Remarks
from edgepose.errors import DataError, redact

FOUND = Kind("file_name does not lead to the image file, which was found under a similar name",
             "check that these are the right images, and correct file_name")  # fmt: skip
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://[^/]*/", re.IGNORECASE)
_DRIVE = re.compile(r"^[A-Za-z]:/")
_DIGEST = re.compile(r"^[0-9a-f]{6,40}[-_](?=.)", re.IGNORECASE)


def find_images(names: Sequence[tuple[str, str]], folders: Sequence[Path], remarks: Remarks) -> list[Path]:
    """Return the path of each image.

    Args:
        names: (where, file_name) of each image; `where` is its name in messages.
        folders: The folders of the images, the likeliest first.
        remarks: Receives the images that were found under another name.

    Returns:
        A path for each name. It does not exist if no file was found; reading the image then says so.

    Raises:
        DataError: Two images would get the same file, of which one has another name.
    """
    _same_but_spelling.cache_clear()  # files may have come since the last label file
    paths, users = [], dict[Path, tuple[str, str, bool]]()
    for where, name in names:
        path, exact = _find(name, folders)
        before = users.setdefault(path, (where, name, exact))
        if before[1] != name and not (exact and before[2]):
            raise DataError(
                f"{remarks.path}: {before[0]} ({before[1]!r}) and {where} ({name!r}) both lead to {path}; write the "
                "name of an existing file into file_name of each image"
            )
        if not exact:
            remarks.add(FOUND, where, f"{redact(name)} -> {path}")
        paths.append(path)
    return paths


def _find(name: str, folders: Sequence[Path]) -> tuple[Path, bool]:
    """Return the path of an image, and whether the name leads to it as it is (or to no file at all)."""
    for folder in folders:
        if _is_file(folder / name):
            return folder / name, True
    for tail in _tails(name):
        for folder in folders:
            if _is_file(folder / tail):
                return folder / tail, False
    last = name.replace("\\", "/").rpartition("/")[2]
    for folder in folders:
        same = _same_but_spelling(folder).get(_spelling(last), [])
        if len(same) == 1:
            return same[0], False
    return folders[0] / name, True


@functools.lru_cache(maxsize=4)
def _same_but_spelling(folder: Path) -> dict[str, list[Path]]:
    """Return the files of a folder by their name in one spelling; see `_spelling`."""
    found: dict[str, list[Path]] = {}
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            found.setdefault(_spelling(path.name), []).append(path)
    return found


def _spelling(name: str) -> str:
    """Return a name in lower case, since Windows does not distinguish FIG.JPG from fig.jpg, and with whole accents.

    macOS writes an accent as a character of its own behind the letter.
    """
    return unicodedata.normalize("NFC", name).lower()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or that holds a null byte
        return False


def _tails(name: str) -> Iterator[str]:
    """Yield shorter and shorter relative names that `name` may mean."""
    plain = [name.replace("\\", "/")]
    _, query, local = plain[0].partition("?d=")  # Label Studio: /data/local-files/?d=folder/name.jpg
    plain += [local] if query else []
    plain += [unquote(text) for text in plain]
    plain += [text.partition("?")[0] for text in plain if "?" in text]
    for text in dict.fromkeys(plain):
        parts = [part for part in _DRIVE.sub("", _SCHEME.sub("", text)).split("/") if part not in ("", ".", "..")]
        for start in range(len(parts)):
            yield "/".join(parts[start:])
    for text in dict.fromkeys(plain):
        last = text.rpartition("/")[2]
        if _DIGEST.match(last):
            yield _DIGEST.sub("", last)
