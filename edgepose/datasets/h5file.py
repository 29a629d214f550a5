"""Datasets out of an HDF5 file, as the pose literature passes MPII's train.h5 and valid.h5 around.

The format is in The HDF Group's "HDF5 File Format Specification". A label file is user input, and the HDF5
library has crashed on damaged ones; and a user who evaluates on MPII should not need it for one file. So this
reads what such files hold and checks every length: superblock 0 and 1, groups as symbol tables, datasets of
numbers or text in the root group, in one piece or in chunks, plain, shuffled or deflated. That is what Torch's
HDF5 and h5py write unless told otherwise. Anything newer is refused with what to do. The tests hold it to h5py.
"""

from __future__ import annotations

import itertools
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepose._checks import Array
from edgepose.errors import DataError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
NOWHERE = 0xFFFFFFFFFFFFFFFF
LARGEST = 1 << 30  # bytes of one dataset; no label file is so large
STEPS = 100_000  # blocks followed before a file counts as running in a circle

# message types of an object header
SPACE, TYPE, LAYOUT, FILTERS, CONTINUED, TABLE = 0x01, 0x03, 0x08, 0x0B, 0x10, 0x11
DEFLATE, SHUFFLE, CHECKSUM = 1, 2, 3  # filters


class _Damaged(Exception):
    """The bytes contradict the format."""


class _Newer(Exception):
    """The file uses a part of the format that is not read here."""


def read_datasets(path: Path) -> dict[str, Array]:
    """The datasets of numbers (float64) and text (str, shape [N] or [N, ...]) in the root group, by name.

    Datasets of other kinds are left out. DataError names the file when it cannot be read or is damaged, and says
    what to do when it is of a newer kind.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read labels {path}: {error.strerror or error}") from error
    try:
        return _root(_Bytes(raw))
    except _Newer as error:
        raise DataError(f"{path}: {error} is not read; save it again with h5py.File(..., 'w')") from error
    except (_Damaged, struct.error, IndexError, zlib.error) as error:  # IndexError: a message of no length
        raise DataError(f"{path} is no readable HDF5 file ({error}); fetch it again") from error


class _Bytes:
    """The file's bytes; whatever is outside them is damage."""

    def __init__(self, raw: bytes) -> None:
        self.raw = memoryview(raw)
        self.steps = itertools.count()

    def part(self, at: int, size: int) -> memoryview:
        if at < 0 or size < 0 or at + size > len(self.raw):
            raise _Damaged("it is shorter than it says")
        if next(self.steps) > STEPS:
            raise _Damaged("its blocks run in a circle")
        return self.raw[at : at + size]

    def unpack(self, code: str, at: int) -> tuple[int, ...]:
        return struct.unpack("<" + code, self.part(at, struct.calcsize("<" + code)))


def _root(file: _Bytes) -> dict[str, Array]:
    if bytes(file.raw[:8]) != SIGNATURE:
        raise _Damaged("its signature is not HDF5's")
    version, offset_size, length_size = file.raw[8], *file.unpack("BB", 13)
    if version > 1:
        raise _Newer(f"superblock version {version}")
    if (offset_size, length_size) != (8, 8):
        raise _Newer(f"addresses of {offset_size} bytes")
    start = 24 if version == 0 else 28
    base, header = file.unpack("Q", start)[0], file.unpack("Q", start + 32 + 8)[0]
    if base:
        raise _Newer("a user block")
    messages = dict(_messages(file, header))
    if TABLE not in messages:
        raise _Newer("its kind of group")
    tree, heap = struct.unpack_from("<QQ", messages[TABLE])
    found = ((name, _dataset(file, address)) for name, address in _links(file, tree, heap))
    return {name: value for name, value in found if value is not None}


def _messages(file: _Bytes, header: int) -> Iterator[tuple[int, memoryview]]:
    """(type, content) of the messages of an object header, version 1."""
    version, _, count, _, size = file.unpack("BBHII", header)
    if version != 1:
        raise _Newer("an object header of a newer kind")
    blocks = [(header + 16, size)]
    while blocks and count:
        at, size = blocks.pop(0)
        end = at + size
        while at + 8 <= end and count:
            kind, length = file.unpack("HH", at)
            content = file.part(at + 8, length)
            at, count = at + 8 + length, count - 1
            if kind == CONTINUED:
                blocks.append(struct.unpack_from("<QQ", content))
            yield kind, content


def _links(file: _Bytes, tree: int, heap: int) -> Iterator[tuple[str, int]]:
    """(name, address of the object header) of a group's members."""
    if bytes(file.part(heap, 4)) != b"HEAP":
        raise _Damaged("a heap is not where it should be")
    size, _, names = file.unpack("QQQ", heap + 8)
    text = bytes(file.part(names, size))
    for node in _leaves(file, tree, 0, key_size=8):
        if bytes(file.part(node, 4)) != b"SNOD":
            raise _Damaged("a symbol table is not where it should be")
        for i in range(file.unpack("H", node + 6)[0]):
            name, header = file.unpack("QQ", node + 8 + 40 * i)
            if name >= len(text):
                raise _Damaged("a name is outside its heap")
            yield text[name : text.index(b"\0", name) if b"\0" in text[name:] else None].decode("latin-1"), header


def _leaves(file: _Bytes, tree: int, kind: int, key_size: int, above: int | None = None) -> Iterator[int]:
    """Addresses in the leaves of a version-1 B-tree; of a tree of chunks, those of the keys before them."""
    signature, got, level, count = file.part(tree, 4), *file.unpack("BBH", tree + 4)
    if bytes(signature) != b"TREE" or got != kind or (above is not None and level != above - 1):
        raise _Damaged("a tree is not where it should be")
    for i in range(count):
        key = tree + 24 + i * (key_size + 8)
        child = file.unpack("Q", key + key_size)[0]
        if level:
            yield from _leaves(file, child, kind, key_size, level)
        else:
            yield key if kind else child


@dataclass(frozen=True)
class _Kind:
    """A datatype: numbers as `code`, or text of `size` bytes each."""

    code: str
    size: int


def _dataset(file: _Bytes, header: int) -> Array | None:
    """The values of a dataset; None for a group and a kind of value that labels do not have."""
    messages = dict(_messages(file, header))
    if not {SPACE, TYPE, LAYOUT} <= set(messages):
        return None
    kind, shape = _kind(messages[TYPE]), _shape(messages[SPACE])
    if kind is None:
        return None
    count = math.prod(shape)
    if count * kind.size > LARGEST:
        raise _Damaged(f"a dataset of shape {list(shape)} is larger than any label file's")
    values = _content(file, messages, shape, kind.size)
    if kind.code == "S":
        flat = [values[i * kind.size : (i + 1) * kind.size].split(b"\0")[0].decode("latin-1") for i in range(count)]
        return np.array(flat, dtype=np.str_).reshape(shape)
    return np.frombuffer(values, kind.code, count).astype(np.float64).reshape(shape)


def _kind(message: memoryview) -> _Kind | None:
    version_class, bits, size = message[0], message[1], struct.unpack_from("<I", message, 4)[0]
    order = ">" if bits & 1 else "<"
    kind = version_class & 0x0F
    if kind == 3:
        return _Kind("S", size) if size else None
    if kind == 0 and size in (1, 2, 4, 8):
        return _Kind(f"{order}{'i' if bits & 8 else 'u'}{size}", size)
    if kind == 1 and size in (2, 4, 8):
        return _Kind(f"{order}f{size}", size)
    return None


def _shape(message: memoryview) -> tuple[int, ...]:
    version, rank = message[0], message[1]
    if version not in (1, 2) or rank > 8:
        raise _Newer(f"a dataspace of version {version} and {rank} axes")
    shape = struct.unpack_from(f"<{rank}Q", message, 8 if version == 1 else 4)
    if max(shape, default=0) > LARGEST:
        raise _Damaged(f"a dataset of shape {list(shape)} is larger than any label file's")
    return shape


def _content(file: _Bytes, messages: dict[int, memoryview], shape: tuple[int, ...], item: int) -> bytes:
    """The bytes of a dataset in C order, as many as its shape wants; zeros where nothing was written."""
    layout, wanted = messages[LAYOUT], math.prod(shape) * item
    if layout[0] != 3:
        raise _Newer(f"a layout of version {layout[0]}")
    kind = layout[1]
    if kind == 0:
        size = struct.unpack_from("<H", layout, 2)[0]
        return _exactly(bytes(layout[4 : 4 + size]), wanted)
    if kind == 1:
        address, size = struct.unpack_from("<QQ", layout, 2)
        return bytes(wanted) if address == NOWHERE else _exactly(bytes(file.part(address, size)), wanted)
    if kind == 2:
        rank = layout[2] - 1
        address, *sizes = struct.unpack_from(f"<Q{rank + 1}I", layout, 3)
        if rank != len(shape) or sizes[-1] != item or not all(sizes):
            raise _Damaged("the chunks of a dataset do not fit its shape")
        return _chunked(file, address, shape, tuple(sizes[:-1]), item, _filters(messages.get(FILTERS)))
    raise _Newer(f"a layout of class {kind}")


def _exactly(content: bytes, wanted: int) -> bytes:
    if len(content) < wanted:
        raise _Damaged(f"a dataset of {wanted} bytes has {len(content)}")
    return content[:wanted]


def _filters(message: memoryview | None) -> list[int]:
    """The filters that were applied, in order."""
    if message is None:
        return []
    version, count = message[0], message[1]
    if version not in (1, 2):
        raise _Newer(f"filters of version {version}")
    at, found = 8 if version == 1 else 2, []
    for _ in range(count):
        number = struct.unpack_from("<H", message, at)[0]
        named = version == 1 or number >= 256
        name_size, _, values = struct.unpack_from("<HHH", message, at + 2) if named else (
            0, *struct.unpack_from("<HH", message, at + 2))  # fmt: skip
        at += (8 if named else 6) + name_size + (-name_size % 8 if version == 1 else 0)
        at += 4 * values + (4 * (values % 2) if version == 1 else 0)
        if number not in (DEFLATE, SHUFFLE, CHECKSUM):
            raise _Newer(f"filter {number}")
        found.append(number)
    return found


def _chunked(
    file: _Bytes, tree: int, shape: tuple[int, ...], chunk: tuple[int, ...], item: int, filters: list[int]
) -> bytes:
    """The content of a dataset that stands in chunks."""
    whole = np.zeros((*shape, item), np.uint8)
    size = math.prod(chunk) * item
    if size > LARGEST:
        raise _Damaged("a chunk is larger than any label file")
    if tree == NOWHERE:
        return whole.tobytes()
    rank = len(shape)
    for key in _leaves(file, tree, 1, key_size=8 + 8 * (rank + 1)):
        stored, skipped = file.unpack("II", key)
        corner = file.unpack(f"{rank}Q", key + 8)
        address = file.unpack("Q", key + 8 + 8 * (rank + 1))[0]
        content = _unfiltered(bytes(file.part(address, stored)), filters, skipped, size, item)
        part = np.frombuffer(content, np.uint8).reshape(*chunk, item)
        if any(at >= end for at, end in zip(corner, shape, strict=True)):
            raise _Damaged("a chunk is outside its dataset")
        ends = [min(at + width, end) for at, width, end in zip(corner, chunk, shape, strict=True)]
        inside = tuple(slice(0, end - at) for at, end in zip(corner, ends, strict=True))
        whole[tuple(slice(at, end) for at, end in zip(corner, ends, strict=True))] = part[inside]
    return whole.tobytes()


def _unfiltered(content: bytes, filters: list[int], skipped: int, size: int, item: int) -> bytes:
    """A chunk's bytes with its filters undone, last first; bit i of `skipped`: filter i was left out."""
    for i, number in reversed(list(enumerate(filters))):
        if skipped >> i & 1:
            continue
        if number == DEFLATE:
            content = zlib.decompressobj().decompress(content, size + 4)
        elif number == SHUFFLE:
            content = _unshuffled(content, item)
        else:
            content = content[:-4]  # a checksum, which the values are not checked against
    if len(content) != size:
        raise _Damaged(f"a chunk of {size} bytes has {len(content)}")
    return content


def _unshuffled(content: bytes, item: int) -> bytes:
    count = len(content) // item
    body = np.frombuffer(content, np.uint8, count * item).reshape(item, count).T.tobytes()
    return body + content[count * item :]
