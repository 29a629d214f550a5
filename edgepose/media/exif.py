"""The EXIF tag that says how an image is turned. OpenCV turns the image by it, most label editors do, some do not."""

from __future__ import annotations

import struct
from pathlib import Path

_TAG = 0x0112
_HEAD = 1 << 18  # bytes that are searched; cameras write the tag into the first segment


def exif_orientation(path: Path) -> int:
    """Return the orientation tag of an image file.

    Args:
        path: The image file (JPEG, PNG or WebP).

    Returns:
        1 to 8, of which 5 to 8 exchange width and height; 1, upright, also where there is no tag or no file.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except (OSError, ValueError):
        return 1
    return _orientation(_exif(head))


def _exif(head: bytes) -> bytes:
    """Return the EXIF block, a small TIFF file, or nothing."""
    if head.startswith(b"\xff\xd8"):
        return _jpeg_exif(head)
    if head.startswith(b"\x89PNG") and b"eXIf" in head:
        return head.partition(b"eXIf")[2]
    if head.startswith(b"RIFF") and b"EXIF" in head:
        return head.partition(b"EXIF")[2][4:].removeprefix(b"Exif\0\0")
    return b""


def _jpeg_exif(head: bytes) -> bytes:
    at = 2
    while at + 10 <= len(head) and head[at] == 0xFF and head[at + 1] != 0xDA:
        if head[at + 1] == 0xFF:  # a fill byte
            at += 1
            continue
        if head[at + 1] == 0xE1 and head[at + 4 : at + 10] == b"Exif\0\0":
            return head[at + 10 :]
        at += 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return b""


def _orientation(tiff: bytes) -> int:
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2], "")
    try:
        if order:
            (at,) = struct.unpack_from(f"{order}I", tiff, 4)
            (count,) = struct.unpack_from(f"{order}H", tiff, at)
            for i in range(count):
                tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, at + 2 + 12 * i)
                if tag == _TAG and 1 <= value <= 8:
                    return int(value)
    except struct.error:  # the block is cut off
        pass
    return 1
