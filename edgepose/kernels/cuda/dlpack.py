"""The memory layout of other libraries' device arrays, read from DLPack's C structures (dlpack.h, DLManagedTensor).

Only the layout is read: the capsule is not consumed, and the owner of the array keeps its memory.
"""

from __future__ import annotations

import ctypes
from ctypes import c_int32, c_int64, c_uint8, c_uint16, c_uint64, c_void_p
from typing import Any

import numpy as np

CUDA, CUDA_HOST, CUDA_MANAGED = 2, 3, 13  # DLDeviceType values of memory that a kernel can read
KINDS = {0: "i", 1: "u", 2: "f"}  # DLDataTypeCode


class Tensor(ctypes.Structure):
    """DLTensor, the first field of a DLManagedTensor."""

    _fields_ = (
        ("data", c_void_p),
        ("device_type", c_int32),
        ("device_id", c_int32),
        ("ndim", c_int32),
        ("code", c_uint8),
        ("bits", c_uint8),
        ("lanes", c_uint16),
        ("shape", ctypes.POINTER(c_int64)),
        ("strides", ctypes.POINTER(c_int64)),
        ("byte_offset", c_uint64),
    )


def layout_of(array: Any) -> tuple[int, tuple[int, ...], np.dtype[Any], tuple[int, ...] | None]:
    """Return the layout of an array with `__dlpack__`.

    Args:
        array: The array, on a GPU or in memory that a GPU can read.

    Returns:
        Address, shape, dtype, and strides in bytes or None for a C-contiguous array.

    Raises:
        ValueError: The array is not on a GPU, or numpy has no such type.
    """
    kind = int(array.__dlpack_device__()[0])
    if kind not in (CUDA, CUDA_HOST, CUDA_MANAGED):
        raise ValueError(f"expected an array on the device, got DLPack device type {kind}")
    capsule = array.__dlpack__(stream=-1) if kind == CUDA else array.__dlpack__()  # -1: no synchronization
    tensor = Tensor.from_address(_pointer(capsule))
    if tensor.lanes != 1 or tensor.code not in KINDS:
        raise ValueError(f"expected numbers, got DLPack type {tensor.code} of {tensor.lanes} lanes")
    dtype = np.dtype(f"{KINDS[tensor.code]}{tensor.bits // 8}")
    shape = tuple(tensor.shape[: tensor.ndim])
    strides = tuple(step * dtype.itemsize for step in tensor.strides[: tensor.ndim]) if tensor.strides else None
    return int(tensor.data or 0) + int(tensor.byte_offset), shape, dtype, strides


def _pointer(capsule: Any) -> int:
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = c_void_p, (ctypes.py_object, ctypes.c_char_p)
    return int(get(capsule, b"dltensor"))
