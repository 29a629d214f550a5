"""Checks of array arguments: an array of the wrong shape or type is reported by its name."""

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
    """Check the shape and the dtype of an array.

    Args:
        name: Name of the array in the message.
        value: The array.
        shape: One entry per axis: an int is the size, a str names the axis (axes of one name must have one size),
            and None allows any size.
        dtype: The dtype; None allows any.

    Returns:
        The sizes of the named axes.

    Raises:
        ValueError: The array does not fit, which is an error of the calling code and not of the user's data.
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
