"""Read image files.

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
from edgepose.media import heif
from edgepose.media.quiet import opencv_quiet

SUFFIXES = (
    *(".bmp", ".dib", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm"),
    *(".tif", ".tiff", ".webp"),
    *heif.SUFFIXES,
)
# Camera raw files are TIFF files whose first picture is a thumbnail, which a reader of TIFF takes for the photograph.
RAW = (".arw", ".cr2", ".cr3", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".srw")
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0", b"MM\0*")


def read_image(path: Path) -> Array:
    """Read an image file; of a file with several pictures, the first.

    The picture is turned as its EXIF data says. 16-bit pictures are scaled to 8 bits, and transparency is ignored.

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
    if not data.size:
        raise DataError(f"image {path} is empty; fetch it again")
    if heif.format_of(data[:256].tobytes()):
        return heif.decode(data.tobytes(), str(path))
    if truncated(data):
        raise DataError(f"image {path} is truncated; fetch or convert it again")
    try:
        with opencv_quiet():
            image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error as error:  # the image has more pixels than OpenCV allows
        raise DataError(f"image {path} cannot be decoded ({error.err}); convert or scale it") from error
    if image is None:
        raise DataError(f"{path} is no image OpenCV can decode; convert it to JPEG or PNG")
    return image


def is_image(path: Path) -> bool:
    """Return whether a file is an image: by its suffix, or by its first bytes where the suffix says nothing.

    Raises:
        DataError: The file is a camera raw file, or cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix in RAW:
        raise DataError(f"{path} is a camera raw file; convert it to JPEG")
    if suffix in SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            head = file.read(256)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    stream = suffix in (".mjpg", ".mjpeg")  # pictures one after another
    return not stream and (webp or head.startswith(_SIGNATURES) or heif.format_of(head) is not None)


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
