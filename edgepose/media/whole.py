"""Whether a video file is cut off: containers that state their own length are compared with the file.

Only the lengths of the outermost parts are read. What is in them is left to FFmpeg.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"
_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid", b"moof", b"styp", b"sidx")


def cut_off(path: Path) -> bool | None:
    """Return whether a file ends before the end that its container states; None where it states none.

    Args:
        path: The file. MP4, MOV and AVI files state their length, and most Matroska and WebM files.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(16)
        if head[4:8] in _BOXES:
            return _boxes_end(file, size) > size
        if head[:4] == b"RIFF":
            ends = _riff_ends(file, size)
            return None if ends is None else ends > size
        if head[:4] == _EBML:
            ends = _segment_ends(file)
            return None if ends is None else ends > size
    return None


def lacks_index(path: Path) -> bool:
    """Return whether a file is an MP4 or MOV file without the part that says where its frames are.

    A camera that loses power leaves such a file, and so does a copy that was stopped.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if file.read(8)[4:8] not in _BOXES:
            return False
        names: list[bytes] = []
        _boxes_end(file, size, names)
    return b"moov" not in names and b"moof" not in names


def whole_bytes(path: Path) -> int | None:
    """Return how many bytes of an MP4 or MOV file that is cut off are complete parts; None for other files.

    FFmpeg refuses a file that ends within the list of a fragment, also where the fragments before it are complete.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if file.read(8)[4:8] not in _BOXES:
            return None
        names: list[bytes] = []
        starts: list[int] = []
        if _boxes_end(file, size, names, starts) <= size or b"moof" not in names[:-1]:
            return None
        return starts[-1]


class Front:
    """The first bytes of a file, as a file for FFmpeg.

    Args:
        path: The file.
        size: How many bytes there are.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._file, self._size = path.open("rb"), size

    def read(self, count: int) -> bytes:
        """Read up to `count` bytes."""
        return self._file.read(max(0, min(count, self._size - self._file.tell())))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, in bytes."""
        if whence == os.SEEK_END:
            offset, whence = self._size + offset, os.SEEK_SET
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the place, in bytes."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _boxes_end(file: BinaryIO, size: int, names: list[bytes] | None = None, starts: list[int] | None = None) -> int:
    """Return where the last box of an MP4 file ends, in bytes; add the names and the places of the boxes to lists."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length, name = int.from_bytes(head[:4], "big"), head[4:8]
        if not name.isascii() or not all(32 <= letter < 127 or letter == 169 for letter in name):
            return at  # what follows the boxes is none of them, such as padding of a disk
        if names is not None:
            names.append(name)
        if starts is not None:
            starts.append(at)
        if length == 0:  # up to the end of the file
            return size
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:
            return at
        at += length
    return at


def _riff_ends(file: BinaryIO, size: int) -> int | None:
    """Return where the last RIFF chunk of an AVI file ends, of which large files have several; None where unknown."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(8)
        length = int.from_bytes(head[4:8], "little")
        if head[:4] != b"RIFF":  # padding
            return at
        if length in (0, 0xFFFFFFFF):  # a file that was never finished
            return None
        at += 8 + length + length % 2
    return min(at, size) if at == size + 1 else at  # some programs leave out the last byte of padding


def _segment_ends(file: BinaryIO) -> int | None:
    """Return where the segment of a Matroska file ends; None where the file does not say, as after a crash."""
    file.seek(4)
    header, known = _vint(file)
    if not known:
        return None
    file.seek(header, os.SEEK_CUR)
    while (name := file.read(4)) and name != _SEGMENT:
        if name[0] != 0xEC:  # only filling may stand before the segment
            return None
        file.seek(-3, os.SEEK_CUR)
        filling, _ = _vint(file)
        file.seek(filling, os.SEEK_CUR)
    length, known = _vint(file)
    return file.tell() + length if name and known else None


def _vint(file: BinaryIO) -> tuple[int, bool]:
    """Read a length of Matroska, whose leading zeros say how many bytes it has; False where it says "unknown"."""
    first = file.read(1)
    if not first or not first[0]:
        return 0, False
    extra = 8 - first[0].bit_length()
    value = int.from_bytes(bytes([first[0] & ((1 << (7 - extra)) - 1)]) + file.read(extra), "big")
    return value, value != (1 << 7 * (extra + 1)) - 1
