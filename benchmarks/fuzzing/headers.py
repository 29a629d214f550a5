"""Damage to the numbers in the headers of images and videos: sizes, counts, times."""

from __future__ import annotations

import re
import struct
import zlib

from fuzzing.damage import Random, pick

NUMBERS = (0, 1, 2, 3, 255, 8191, 8192, 32768, 65535, 100_000, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
BOXES = rb"mvhd|tkhd|mdhd|stts|stsz|stsc|stco|elst|stsd|avih|strh|strf|idx1"


def damaged_header(suffix: str, raw: bytes, random: Random) -> tuple[bytes, str]:
    """Return a file with one or two other numbers in its header, and the name of the damage.

    Args:
        suffix: The format: png, jpg, bmp, ppm, pgm, or that of a video.
        raw: The content of the file.
        random: Decides which number is damaged, and how.
    """
    for _ in range(int(pick(random, [1, 1, 2]))):
        raw = _damaged(suffix, raw, random)
    return raw, "header"


def _damaged(suffix: str, raw: bytes, random: Random) -> bytes:
    number = pick(random, NUMBERS)
    if suffix == "png":
        at = 16 + 4 * int(random.integers(2))
        raw = raw[:at] + struct.pack(">I", number) + raw[at + 4 :]
        return raw[:29] + struct.pack(">I", zlib.crc32(raw[12:29])) + raw[33:]
    if suffix == "jpg":
        found = re.search(rb"\xff[\xc0\xc2]\x00.", raw)
        at = (found.end() + 1 if found else 0) + 2 * int(random.integers(2))
        return raw[:at] + struct.pack(">H", number % 65536) + raw[at + 2 :]
    if suffix == "bmp":
        at = 10 + 4 * int(random.integers(10))
        return raw[:at] + struct.pack("<I", number) + raw[at + 4 :]
    if suffix in ("ppm", "pgm"):
        words = raw.split(maxsplit=4) if raw[:2] in (b"P5", b"P6") else [raw]
        words[1 + int(random.integers(3)) if len(words) == 5 else 0] = str(number).encode()
        return b"\n".join(words)
    found_boxes = [match.end() for match in re.finditer(BOXES, raw)]
    at = (pick(random, found_boxes) if found_boxes else 0) + 4 * int(random.integers(1, 12))
    order = ">I" if suffix in ("mp4", "mov") else "<I"
    return raw[:at] + struct.pack(order, number) + raw[at + 4 :]
