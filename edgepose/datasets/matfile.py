"""Variables out of a MATLAB 5 file, as LSP, FLIC and MPII publish their labels: arrays, text, cells and structs.

The format is in MathWorks' "MAT-File Format" (Level 5): a header of 128 bytes, then elements, each a type,
a length and its bytes; a variable is an element that holds its flags, dimensions, name and content, often
inside a compressed one, and the content of a struct or cell array is more such elements. A label file is user
input: `scipy.io.loadmat` crashes the interpreter on some damaged files, so this reads the little that is needed
and checks every length. The tests hold it to scipy's reader.

Structs and cells are read when they are asked for: MPII's release is two million values deep.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepose._checks import Array
from edgepose.errors import DataError

NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
MATRIX, COMPRESSED = 14, 15
COMPLEX = 0x0800  # bit of the array flags
CELL, STRUCT, CHAR = 1, 2, 4  # mxCELL_CLASS, mxSTRUCT_CLASS, mxCHAR_CLASS
NUMERIC = range(6, 16)  # mxDOUBLE_CLASS to mxUINT64_CLASS
UNPACKED = 1 << 30  # bytes; no label file is so large


class _Damaged(Exception):
    """The bytes contradict the format."""


@dataclass(frozen=True)
class Cells:
    """A cell array, flat in MATLAB's order: `len(cells)`, `cells[i]`."""

    where: str
    _parts: list[memoryview]
    _order: str

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, index: int) -> Value | None:
        """The value, None where it is empty. DataError where it is damaged."""
        return _open(self._parts[index], self._order, lambda: f"{self.where}{{{index + 1}}}")


@dataclass(frozen=True)
class Struct:
    """A struct array, flat in MATLAB's order: `len(it)`, `it.fields`, `it.get(i, field)`."""

    where: str
    fields: tuple[str, ...]
    _parts: list[memoryview]  # element by element, each with all fields
    _order: str

    def __len__(self) -> int:
        return len(self._parts) // len(self.fields) if self.fields else 0

    def get(self, index: int, field: str) -> Value | None:
        """A field of an element; None where it is empty or there is no such field. DataError where damaged."""
        if field not in self.fields:
            return None
        part = self._parts[index * len(self.fields) + self.fields.index(field)]
        return _open(part, self._order, lambda: self.name(index, field))

    def name(self, index: int, field: str) -> str:
        """`FILE: variable(3).field`, as MATLAB counts."""
        return f"{self.where}({index + 1}).{field}"

    def number(self, index: int, field: str) -> float:
        """A field that holds one number; NaN where it is empty or not there. DataError where it is none."""
        value = self.get(index, field)
        if value is None:
            return math.nan
        if not isinstance(value, np.ndarray) or value.size != 1:
            raise DataError(f"{self.name(index, field)}: expected one number")
        return float(value.flat[0])

    def numbers(self, index: int, field: str, shape: tuple[int, ...]) -> Array:
        """A field that holds an array of numbers of this shape, float64. DataError where it holds none."""
        value = self.get(index, field)
        if not isinstance(value, np.ndarray) or value.shape != shape:
            got = list(value.shape) if isinstance(value, np.ndarray) else "no numbers"
            raise DataError(f"{self.name(index, field)}: expected an array {list(shape)}, got {got}")
        return value

    def text(self, index: int, field: str) -> str:
        """A field that holds text. DataError where it holds none."""
        value = self.get(index, field)
        if not isinstance(value, str):
            raise DataError(f"{self.name(index, field)}: expected text")
        return value

    def structs(self, index: int, field: str) -> Struct:
        """A field that holds a struct array; one of length 0 where it is empty or not there. DataError otherwise."""
        value = self.get(index, field)
        if value is None or (isinstance(value, np.ndarray) and not value.size):
            return Struct(self.name(index, field), (), [], self._order)
        if not isinstance(value, Struct):
            raise DataError(f"{self.name(index, field)}: expected a struct")
        return value


Value = Array | str | Cells | Struct


def read_array(path: Path, name: str) -> Array:
    """The real numeric array `name` of a .mat file (version 5 to 7), float64 in its own shape.

    DataError names the file when it cannot be read, is damaged or has no such array.
    """
    value = _read(path, name)
    if not isinstance(value, np.ndarray):
        raise DataError(f"{path} has no numeric array named {name!r}; is it the right file?")
    return value


def read_struct(path: Path, name: str) -> Struct:
    """The struct array `name` of a .mat file (version 5 to 7). DataError as `read_array`."""
    value = _read(path, name)
    if not isinstance(value, Struct):
        raise DataError(f"{path} has no struct named {name!r}; is it the right file?")
    return value


def _read(path: Path, name: str) -> Value | None:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read labels {path}: {error.strerror or error}") from error
    if raw.startswith(b"MATLAB 7.3"):
        raise DataError(f"{path} is a MATLAB 7.3 file; save it again with -v7")
    try:
        return _find(raw, name, f"{path}: {name}")
    except (_Damaged, zlib.error) as error:
        raise DataError(f"{path} is no readable .mat file ({error}); fetch it again") from error


def _find(raw: bytes, name: str, where: str) -> Value | None:
    order = {b"IM": "<", b"MI": ">"}.get(raw[126:128])
    if order is None:
        raise _Damaged("its header is not MATLAB's")
    for kind, content in _elements(memoryview(raw)[128:], order):
        if kind == COMPRESSED:
            kind, content = next(_elements(memoryview(_unpack(content)), order), (0, memoryview(b"")))
        if kind == MATRIX and _name_of(content, order) == name.encode():
            return _value(content, order, where)
    return None


def _unpack(content: memoryview) -> bytes:
    unpacking = zlib.decompressobj()
    unpacked = unpacking.decompress(content, UNPACKED)
    if not unpacking.eof:
        raise _Damaged("a compressed part is cut off" if len(unpacked) < UNPACKED else "it unpacks to over 1 GiB")
    return unpacked


def _elements(raw: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """(type, content) of the elements that stand one after another."""
    at, end, tag = 0, len(raw), _TAGS[order]
    while at < end:
        if end - at < 8:
            raise _Damaged("it ends inside an element")
        kind, size = tag.unpack_from(raw, at)
        start, after = at + 8, 8 + size + (0 if kind == COMPRESSED else -size % 8)
        if kind >> 16:  # the small form: length and type share a word, the content is the next four bytes
            kind, size, start, after = kind & 0xFFFF, kind >> 16, at + 4, 8
        if start + size > end or (after == 8 and size > 4):
            raise _Damaged("it is shorter than it says")
        yield kind, raw[start : start + size]
        at += after


_NOTHING = (0, memoryview(b""))


def _name_of(content: memoryview, order: str) -> bytes:
    parts = _elements(content, order)
    next(parts, None), next(parts, None)
    return bytes(next(parts, _NOTHING)[1])


def _open(content: memoryview, order: str, where: Callable[[], str]) -> Value | None:
    """A part of a struct or cell; None where it is empty. `where` names it, which costs as much as reading it."""
    try:
        value = _single(content, order)
        if value is None and content:
            value = _value(content, order, where())
    except _Damaged as error:
        raise DataError(f"{where()} is damaged ({error}); fetch the file again") from error
    return None if isinstance(value, np.ndarray) and not value.size else value


def _value(content: memoryview, order: str, where: str) -> Value | None:
    """What an array element holds; None for a kind that labels do not use (complex, sparse, function)."""
    parts = _elements(content, order)
    (_, flags), (_, dims), _ = (next(parts, _NOTHING) for _ in range(3))
    if len(flags) < 4:
        raise _Damaged("an array has no flags")
    (word,) = struct.unpack_from(order + "I", flags)
    shape = struct.unpack(f"{order}{len(dims) // 4}i", dims[: len(dims) // 4 * 4])
    kind = word & 0xFF
    if min(shape, default=-1) < 0:
        raise _Damaged("an array has no shape")
    if kind in NUMERIC and not word & COMPLEX:
        return _numbers(*next(parts, _NOTHING), shape, order)
    if kind == CHAR:
        return _text(*next(parts, _NOTHING), order)
    if kind == CELL:
        return Cells(where, _matrices(parts, math.prod(shape)), order)
    if kind == STRUCT:
        fields = _field_names(next(parts, _NOTHING)[1], next(parts, _NOTHING)[1], order)
        return Struct(where, fields, _matrices(parts, math.prod(shape) * len(fields)), order)
    return None


def _numbers(kind: int, values: memoryview, shape: tuple[int, ...], order: str) -> Array:
    code = NUMBERS.get(kind)
    if code is None:
        raise _Damaged("an array has no values")
    if len(values) != math.prod(shape) * np.dtype(code).itemsize:
        raise _Damaged(f"an array of shape {list(shape)} has {len(values)} bytes of values")
    return np.frombuffer(values, order + code).astype(np.float64).reshape(shape, order="F")


def _text(kind: int, values: memoryview, order: str) -> str:
    if kind not in TEXTS:
        raise _Damaged("a text has no characters")
    encoding = TEXTS[kind]
    if encoding in ("utf-16", "utf-32"):
        encoding += "-le" if order == "<" else "-be"
    try:
        return bytes(values).decode(encoding)
    except UnicodeDecodeError as error:
        raise _Damaged("a text is not in its encoding") from error


def _field_names(length: memoryview, names: memoryview, order: str) -> tuple[str, ...]:
    size = struct.unpack(order + "i", length)[0] if len(length) == 4 else 0
    if size < 1 or len(names) % size:
        raise _Damaged("a struct has no field names")
    each = (bytes(names[at : at + size]).split(b"\0")[0] for at in range(0, len(names), size))
    return tuple(name.decode("latin-1") for name in each)


def _matrices(parts: Iterator[tuple[int, memoryview]], count: int) -> list[memoryview]:
    """The contents of `count` array elements: what is left in `parts`."""
    found = list(parts)
    if len(found) != count or any(kind != MATRIX for kind, _ in found):
        raise _Damaged(f"a struct or cell array has {len(found)} parts for {count}")
    return [content for _, content in found]


# How a file holds most of its values: no name, 1 x 1, flags aside; then the value, in the small form or the long.
_HEADS = {
    order: (
        struct.pack(order + "II", 6, 8),
        struct.pack(order + "IIii", 5, 8, 1, 1) + struct.pack(order + "II", 1, 0),
    )
    for order in "<>"
}
_TAGS = {"<": struct.Struct("<II"), ">": struct.Struct(">II")}
_SMALL = {(1, 1): "b", (2, 1): "B", (3, 2): "h", (4, 2): "H", (5, 4): "i", (6, 4): "I", (7, 4): "f"}
_LONG = {(9, 8): "d", (12, 8): "q", (13, 8): "Q"}


def _single(content: memoryview, order: str) -> Value | None:
    """`_value` of the commonest layouts of one real number or letter, several times as fast; None for any other."""
    flags, shape = _HEADS[order]
    size = len(content)
    if size not in (48, 56) or content[:8] != flags or content[16:40] != shape:
        return None
    (word, _), tag = _TAGS[order].unpack_from(content, 8), _TAGS[order].unpack_from(content, 40)
    if size == 48:
        tag = (tag[0] & 0xFFFF, tag[0] >> 16)
    if word & 0xFF == CHAR and size == 48 and (tag in _SMALL or tag == (16, 1)):
        return _text(tag[0], content[44 : 44 + tag[1]], order)
    code = _SMALL.get(tag) if size == 48 else _LONG.get(tag)
    if code is None or word & 0xFF not in NUMERIC or word & COMPLEX:
        return None
    return np.array([[float(struct.unpack_from(order + code, content, 44 if size == 48 else 48)[0])]])
