"""Host memory that ends, or begins, at a page nobody may touch: a read or write beyond an array is a crash."""

from __future__ import annotations

import ctypes
import mmap

import numpy as np

PAGE = mmap.PAGESIZE
PROT_NONE = 0


class Guarded:
    """`nbytes` of writeable memory with a forbidden page on either side, flush with the one behind it (or before it).

    Its bytes are 0xa5 at first. They begin at a multiple of `alignment`, so up to alignment - 1 bytes may lie
    between the end and the page.
    """

    def __init__(self, nbytes: int, alignment: int = 1, *, flush_with_start: bool = False) -> None:
        inner = max(1, -(-nbytes // PAGE)) * PAGE
        self._pages = mmap.mmap(-1, inner + 2 * PAGE)
        first = ctypes.addressof(ctypes.c_char.from_buffer(self._pages)) + PAGE
        libc = ctypes.CDLL(None, use_errno=True)
        for page in (first - PAGE, first + inner):
            if libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(PAGE), PROT_NONE):
                raise OSError(ctypes.get_errno(), "mprotect")
        offset = 0 if flush_with_start else (inner - nbytes) // alignment * alignment
        self.address = first + offset
        self.bytes = np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_buffer(self._pages, PAGE + offset))
        self.bytes[:] = 0xA5
