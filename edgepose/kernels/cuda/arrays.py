"""Arrays in device memory: their address, shape, type and strides. They do not own their memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import DTypeLike

from edgepose._checks import Array, check_array
from edgepose.kernels.cuda.dlpack import layout_of


@dataclass(frozen=True)
class DeviceArray:
    """An array on the device.

    Attributes:
        address: The address of the first element, in device memory or mapped host memory.
        shape: The length of each axis.
        dtype: The type of the elements.
        strides: Bytes from one element to the next on each axis; None where the array is C-contiguous.
    """

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    strides: tuple[int, ...] | None = None

    @classmethod
    def of(cls, array: Any) -> DeviceArray:
        """Wrap an array of pycuda, CuPy, torch or numba, without a copy.

        Args:
            array: An array with `__cuda_array_interface__` or `__dlpack__`. The caller waits for another stream that
                still writes into it.

        Raises:
            ValueError: If it has neither.
        """
        if isinstance(array, cls):
            return array
        if not hasattr(array, "__cuda_array_interface__") and hasattr(array, "__dlpack__"):
            return cls(*layout_of(array))
        if not hasattr(array, "__cuda_array_interface__"):
            raise ValueError(f"expected an array on the device (__cuda_array_interface__), got {type(array).__name__}")
        found = array.__cuda_array_interface__
        strides = found.get("strides")
        return cls(
            int(found["data"][0]),
            tuple(found["shape"]),
            np.dtype(found["typestr"]),
            None if strides is None else tuple(strides),
        )

    def rows(self, start: int, stop: int) -> DeviceArray:
        """Return the items from `start` to `stop` (excluded) along the first axis, without a copy."""
        return DeviceArray(
            self.address + start * self.steps[0], (stop - start, *self.shape[1:]), self.dtype, self.strides
        )

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "version": 3,
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.address, False),
            "strides": self.strides,
        }

    @property
    def steps(self) -> tuple[int, ...]:
        """Bytes from one element to the next on each axis, also for a C-contiguous array."""
        return contiguous(self.shape, self.dtype) if self.strides is None else self.strides

    @property
    def nbytes(self) -> int:
        """The number of bytes of the elements."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


def contiguous(shape: Sequence[int], dtype: np.dtype[Any]) -> tuple[int, ...]:
    """Return the strides of a C-contiguous array.

    Args:
        shape: The length of each axis.
        dtype: The type of the elements.

    Returns:
        Bytes from one element to the next on each axis.
    """
    steps = [dtype.itemsize]
    for size in shape[:0:-1]:
        steps.append(steps[-1] * size)
    return tuple(reversed(steps))


def check_device(
    name: str,
    array: DeviceArray,
    shape: Sequence[int | str | None],
    *dtypes: DTypeLike,
) -> dict[str, int]:
    """Check the shape, type and contiguity of an array on the device.

    Args:
        name: The name of the argument, for messages.
        array: The array.
        shape: The expected shape; a name stands for any length, see `check_array`.
        *dtypes: The allowed types.

    Returns:
        The length of each named axis.

    Raises:
        ValueError: The array has another shape or type, is not aligned, or is not C-contiguous.
    """
    sizes = check_shape(name, array, shape, *dtypes)
    if any(size > 1 and a != b for size, a, b in zip(array.shape, array.steps, _steps(array), strict=True)):
        raise ValueError(f"{name}: expected a C-contiguous array, got strides {array.steps}")
    return sizes


def check_shape(
    name: str,
    array: DeviceArray,
    shape: Sequence[int | str | None],
    *dtypes: DTypeLike,
) -> dict[str, int]:
    """Check the shape, type and alignment of an array on the device, with any strides.

    Args:
        name: The name of the argument, for messages.
        array: The array.
        shape: The expected shape; a name stands for any length, see `check_array`.
        *dtypes: The allowed types.

    Returns:
        The length of each named axis.

    Raises:
        ValueError: The array has another shape or type, or is not aligned.
    """
    sizes = check_array(name, cast(Array, array), shape)
    if array.dtype not in [np.dtype(dtype) for dtype in dtypes]:
        expected = " or ".join(str(np.dtype(dtype)) for dtype in dtypes)
        raise ValueError(f"{name}: expected dtype {expected}, got {array.dtype}")
    if array.address % array.dtype.alignment:
        raise ValueError(f"{name}: expected an address that is a multiple of {array.dtype.alignment}")
    return sizes


def _steps(array: DeviceArray) -> tuple[int, ...]:
    return contiguous(array.shape, array.dtype)
