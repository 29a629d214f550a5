"""Read image files and list the images of a folder.

OpenCV decodes a truncated file without an error and fills the rest with gray. `read_image` therefore checks that
JPEG, PNG and WebP files are complete before it decodes them.
"""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np

from edgepose._checks import Array
from edgepose.errors import DataError

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


def read_image(path: Path) -> Array:
    """Read an image file.

    Args:
        path: The image file.

    Returns:
        The image, [H, W, 3] uint8 BGR.

    Raises:
        DataError: The file is missing, truncated, or not an image. The message names the file.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise DataError(f"cannot read image {path}: {error.strerror or error}") from error
    if truncated(data):
        raise DataError(f"image {path} is truncated; fetch or convert it again")
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error as error:  # the image has more pixels than OpenCV allows
        raise DataError(f"image {path} cannot be decoded ({error.err}); convert or scale it") from error
    if image is None:
        raise DataError(f"{path} is no image OpenCV can decode; convert it to JPEG or PNG")
    return image


def images_in(folder: Path) -> list[Path]:
    """List the images directly in a folder, in natural order.

    Args:
        folder: The folder. Its subfolders are not searched.

    Returns:
        The paths of the files whose suffix is one of `SUFFIXES`, sorted by `natural_key`.

    Raises:
        DataError: The folder cannot be read or holds no image.
    """
    try:
        paths = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()]
    except OSError as error:
        raise DataError(f"cannot read folder {folder}: {error.strerror or error}") from error
    if not paths:
        raise DataError(f"folder {folder} holds no image ({', '.join(SUFFIXES)}); choose another")
    return sorted(paths, key=lambda path: natural_key(path.name))


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return the sort key of natural order, in which `frame2` comes before `frame10`.

    Runs of digits are compared by their number. The name itself decides between names that are equal otherwise.
    """
    runs = re.findall(r"[0-9]+|[^0-9]+", name.lower())
    return (*((0, int(run), "") if run[0].isdecimal() else (1, 0, run) for run in runs), (2, 0, name))


def truncated(data: Array) -> bool:
    """Return whether the bytes of a JPEG, PNG or WebP file end before the image does.

    Args:
        data: The content of the file, [bytes] uint8.
    """
    raw = data.tobytes()
    if raw.startswith(b"\xff\xd8"):
        return not _jpeg_ends(raw)
    if raw.startswith(b"\x89PNG\r\n\x1a\n"):
        return not _png_ends(raw)
    return raw.startswith(b"RIFF") and len(raw) < 8 + int.from_bytes(raw[4:8], "little")


_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # excludes stuffed bytes, restart markers and fill bytes


def _jpeg_ends(raw: bytes) -> bool:
    """Walk the segments: an end marker inside a segment is that of a thumbnail, and data may follow the image."""
    at = 2
    while marker := _MARKER.search(raw, at):
        if raw[marker.end() - 1] == 0xD9:
            return True
        at = marker.end() + int.from_bytes(raw[marker.end() : marker.end() + 2], "big")
    return False


def _png_ends(raw: bytes) -> bool:
    at = 8
    while at + 12 <= len(raw):
        if raw[at + 4 : at + 8] == b"IEND":
            return True
        at += 12 + int.from_bytes(raw[at : at + 4], "big")
    return False
