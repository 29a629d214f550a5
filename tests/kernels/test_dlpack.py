"""Where an array lies, by DLPack, read from real capsules: numpy's and torch's, their device type set to CUDA's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgepose.kernels.cuda import DeviceArray


class Pretends:
    """An array whose capsule says that it is on a GPU. Its owner is asked not to wait."""

    def __init__(self, array: Any, kind: int = 2) -> None:
        self.array, self.kind = array, kind

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.kind, 0

    def __dlpack__(self, *, stream: int | None = None) -> Any:
        assert stream == (-1 if self.kind == 2 else None)
        return self.array.__dlpack__()


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int64"])
def test_an_array(dtype: str) -> None:
    array = np.arange(24, dtype=dtype).reshape(2, 3, 4)
    found = DeviceArray.of(Pretends(array))
    assert (found.address, found.shape, found.dtype) == (array.ctypes.data, (2, 3, 4), array.dtype)
    assert found.steps == array.strides


def test_a_view_and_memory_that_the_host_shares() -> None:
    array = np.arange(24, dtype=np.float32).reshape(4, 6)[1:, ::2]
    found = DeviceArray.of(Pretends(array, kind=3))
    assert (found.address, found.shape, found.steps) == (array.ctypes.data, array.shape, array.strides)


def test_torch() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.arange(12, dtype=torch.float16).reshape(3, 4).T
    found = DeviceArray.of(Pretends(tensor))
    assert (found.address, found.shape, found.steps) == (tensor.data_ptr(), (4, 3), (2, 8))


def test_the_host_is_refused_and_so_is_what_numpy_has_not() -> None:
    with pytest.raises(ValueError, match="on the device, got DLPack device type 1"):
        DeviceArray.of(np.zeros(3))
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match="expected numbers"):
        DeviceArray.of(Pretends(torch.zeros(2, dtype=torch.bfloat16)))
    with pytest.raises(ValueError, match="got list"):
        DeviceArray.of([1.0])
