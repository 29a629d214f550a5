"""Checks on entry: an array of the wrong shape or type is named before it does harm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]


def check_array(
    name: str,
    value: Array,
    shape: Sequence[int | str | None],
    dtype: DTypeLike | None = None,
) -> dict[str, int]:
    """Check shape and dtype; return the sizes of the named axes.

    `shape` holds an int (must be equal), a str (an axis name; the same name must have the same size) or
    None (anything). Raises ValueError: a wrong array is the caller's bug, not bad input.
    """
    got = value.shape if isinstance(value, np.ndarray) else np.shape(value)
    sizes: dict[str, int] = {}
    fits = len(got) == len(shape)
    for size, want in zip(got, shape, strict=False):
        if isinstance(want, str):
            fits = fits and sizes.setdefault(want, size) == size
        elif want is not None:
            fits = fits and size == want
    if not fits:
        expected = ", ".join("any" if s is None else str(s) for s in shape)
        raise ValueError(f"{name}: expected shape [{expected}], got {list(got)}")
    if dtype is not None and value.dtype != dtype:
        raise ValueError(f"{name}: expected dtype {np.dtype(dtype)}, got {value.dtype}")
    return sizes
