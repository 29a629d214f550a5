"""Arrays in the form that the host extension reads and writes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from edgepose._checks import Array, check_array

FLOATS = (np.dtype(np.float32), np.dtype(np.float16))


def packed(values: ArrayLike, dtype: DTypeLike) -> Array:
    """Return an array that is contiguous, aligned and of a type: the array itself where it is all that, or a copy.

    Args:
        values: The array, or what numpy makes an array of.
        dtype: The type.
    """
    values = np.asarray(values)
    flags = values.flags
    if flags.c_contiguous and flags.aligned and values.dtype == dtype:
        return values
    made = np.ascontiguousarray(values, dtype)
    return made if made.flags.aligned else made.copy()


def floats(first: Array, *others: Array) -> list[Array]:
    """Return arrays contiguous and aligned, as float16 where all are float16, as float32 otherwise.

    Args:
        first: An array.
        *others: More arrays.
    """
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
    """Return the array to write into.

    Args:
        shape: The shape that is written.
        dtype: The type that is written.
        out: The caller's array; None makes a new one.

    Raises:
        ValueError: If `out` has another shape or type, or cannot be written in place.
    """
    if out is None:
        return np.empty(shape, dtype)
    if out.shape != shape or out.dtype != dtype:
        check_array("out", out, shape, dtype)
    if not out.flags.carray:
        raise ValueError("out: expected a writeable, aligned, C-contiguous array")
    return out
