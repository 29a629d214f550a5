"""Arrays as the host extension takes them, and those that it writes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from edgepose._checks import Array, check_array

FLOATS = (np.dtype(np.float32), np.dtype(np.float16))


def packed(values: ArrayLike, dtype: DTypeLike) -> Array:
    """Contiguous, aligned and of this type: the array itself where it is all that, or a copy."""
    values = np.asarray(values)
    flags = values.flags
    if flags.c_contiguous and flags.aligned and values.dtype == dtype:
        return values
    made = np.ascontiguousarray(values, dtype)
    return made if made.flags.aligned else made.copy()


def floats(first: Array, *others: Array) -> list[Array]:
    """The arrays, packed, as float32 or float16 where all are that, else as float32."""
    kind = first.dtype
    if kind not in FLOATS:
        kind = FLOATS[0]
    elif not others and first.flags.c_contiguous and first.flags.aligned:
        return [first]
    for other in others:
        if other.dtype != kind:
            kind = FLOATS[0]
    return [packed(values, kind) for values in (first, *others)]


def output(shape: tuple[int, ...], dtype: DTypeLike, out: Array | None) -> Array:
    """`out`, or a new array. ValueError for one of another shape or type, or that cannot be written in place."""
    if out is None:
        return np.empty(shape, dtype)
    if out.shape != shape or out.dtype != dtype:
        check_array("out", out, shape, dtype)
    if not out.flags.carray:
        raise ValueError("out: expected a writeable, aligned, C-contiguous array")
    return out
