"""One numeric array out of a MATLAB 5 file, as LSP publishes its labels.

The format is in MathWorks' "MAT-File Format" (Level 5): a header of 128 bytes, then elements, each a type,
a length and its bytes; an array is an element that holds its flags, dimensions, name and values, often
inside a compressed one. A label file is user input: `scipy.io.loadmat` crashes the interpreter on some
damaged files, so this reads the little that is needed and checks every length. The tests hold it to
scipy's reader.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edgepose._checks import Array
from edgepose.errors import DataError

NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
MATRIX, COMPRESSED = 14, 15
COMPLEX = 0x0800  # bit of the array flags
NUMERIC_CLASSES = range(6, 16)  # mxDOUBLE_CLASS to mxUINT64_CLASS


class _Damaged(Exception):
    """The bytes contradict the format."""


def read_array(path: Path, name: str) -> Array:
    """The real numeric array `name` of a .mat file (version 5 to 7), float64 in its own shape.

    DataError names the file when it cannot be read, is damaged or has no such array.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read labels {path}: {error.strerror or error}") from error
    if raw.startswith(b"MATLAB 7.3"):
        raise DataError(f"{path} is a MATLAB 7.3 file; save it again with -v7")
    try:
        found = _find(raw, name.encode())
    except (_Damaged, zlib.error) as error:
        raise DataError(f"{path} is no readable .mat file ({error}); fetch it again") from error
    if found is None:
        raise DataError(f"{path} has no numeric array named {name!r}; is it the right file?")
    return found


def _find(raw: bytes, name: bytes) -> Array | None:
    order = {b"IM": "<", b"MI": ">"}.get(raw[126:128])
    if order is None:
        raise _Damaged("its header is not MATLAB's")
    for kind, content in _elements(raw[128:], order):
        if kind == COMPRESSED:
            kind, content = next(_elements(zlib.decompress(content), order), (0, b""))
        if kind == MATRIX and (array := _matrix(content, name, order)) is not None:
            return array
    return None


def _elements(raw: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """(type, content) of the elements that stand one after another."""
    at = 0
    while at < len(raw):
        if len(raw) - at < 8:
            raise _Damaged("it ends inside an element")
        kind, size = struct.unpack_from(order + "II", raw, at)
        start, after = at + 8, 8 + size + (0 if kind == COMPRESSED else -size % 8)
        if kind >> 16:  # the small form: length and type share a word, the content is the next four bytes
            kind, size, start, after = kind & 0xFFFF, kind >> 16, at + 4, 8
        if start + size > len(raw) or (after == 8 and size > 4):
            raise _Damaged("it is shorter than it says")
        yield kind, raw[start : start + size]
        at += after


def _matrix(content: bytes, name: bytes, order: str) -> Array | None:
    """The values of an array element when it has this name and is real and numeric."""
    parts = _elements(content, order)
    (_, flags), (_, dims), (_, label) = (next(parts, (0, b"")) for _ in range(3))
    if label != name or len(flags) < 4:
        return None
    (word,) = struct.unpack_from(order + "I", flags)
    if word & 0xFF not in NUMERIC_CLASSES or word & COMPLEX:
        return None
    kind, values = next(parts, (0, b""))
    shape = struct.unpack(f"{order}{len(dims) // 4}i", dims[: len(dims) // 4 * 4])
    type_code = NUMBERS.get(kind)
    if type_code is None or min(shape, default=-1) < 0:
        raise _Damaged("an array has no shape or no values")
    if len(values) != math.prod(shape) * np.dtype(type_code).itemsize:
        raise _Damaged(f"an array of shape {list(shape)} has {len(values)} bytes of values")
    return np.frombuffer(values, order + type_code).astype(np.float64).reshape(shape, order="F")
