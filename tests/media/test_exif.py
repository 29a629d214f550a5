"""The EXIF orientation of JPEG, PNG and WebP files, and files that are damaged."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgepose.media.exif import exif_orientation


def tiff(value: int, order: str) -> bytes:
    """An EXIF block with a make before the orientation."""
    mark = b"II" if order == "<" else b"MM"
    entries = struct.pack(f"{order}HHI4s", 0x010F, 2, 4, b"abc\0") + struct.pack(
        f"{order}HHIHH", 0x0112, 3, 1, value, 0
    )
    return mark + struct.pack(f"{order}HI", 42, 8) + struct.pack(f"{order}H", 2) + entries + bytes(4)


def encoded(suffix: str) -> bytes:
    return bytes(cv2.imencode(suffix, np.zeros((4, 6, 3), np.uint8))[1].tobytes())


def jpeg(block: bytes) -> bytes:
    plain, body = encoded(".jpg"), b"Exif\0\0" + block
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + plain[2:]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("value", range(1, 9))
def test_every_orientation_in_both_byte_orders(tmp_path: Path, order: str, value: int) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(tiff(value, order)))
    assert exif_orientation(path) == value
    height, width = cv2.imread(str(path)).shape[:2]
    assert ((height, width) == (6, 4)) == (value >= 5)


def test_files_without_a_tag(tmp_path: Path) -> None:
    path = tmp_path / "a"
    whole = jpeg(tiff(6, "<"))
    contents = [encoded(".jpg"), encoded(".png"), encoded(".webp"), b"", b"text", jpeg(tiff(9, "<")), jpeg(b"II"),
                jpeg(b"XX" + tiff(6, "<")[2:]), *(whole[:n] for n in range(2, 40, 3))]  # fmt: skip
    for content in contents:
        path.write_bytes(content)
        assert exif_orientation(path) == 1
    assert exif_orientation(tmp_path / "missing") == 1


def test_the_cases(cases: Path) -> None:
    folder = cases / "labels" / "exif" / "images"
    assert [exif_orientation(folder / name) for name in ("o6.jpg", "o3.jpg")] == [6, 3]
