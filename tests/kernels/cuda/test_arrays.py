"""Arrays on the device: what other libraries hold is taken as it is, and what a kernel cannot take is refused."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from edgepose.kernels.cuda import DeviceArray
from edgepose.kernels.cuda.arrays import check_device, check_shape

FLOAT = np.dtype(np.float32)


def test_arrays_of_other_libraries() -> None:
    interface = {"shape": (3, 4), "typestr": "<f2", "data": (4096, False), "version": 3, "strides": None}
    found = DeviceArray.of(SimpleNamespace(__cuda_array_interface__=interface))
    assert found == DeviceArray(4096, (3, 4), np.dtype(np.float16))
    assert found.__cuda_array_interface__ == interface
    assert DeviceArray.of(found) is found
    assert found.steps == (8, 2) and found.nbytes == 24
    pitched = DeviceArray.of(SimpleNamespace(__cuda_array_interface__={**interface, "strides": (64, 2)}))
    assert pitched.steps == pitched.strides == (64, 2)


def test_host_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match="expected an array on the device"):
        DeviceArray.of(np.zeros(3))


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (DeviceArray(0, (2, 3), FLOAT), r"expected shape \[N, 4\]"),
        (DeviceArray(0, (2, 4), np.dtype(np.float64)), "expected dtype float32 or float16, got float64"),
        (DeviceArray(2, (2, 4), FLOAT), "a multiple of 4"),
        (DeviceArray(0, (2, 4), FLOAT, (32, 4)), "C-contiguous"),
        (DeviceArray(0, (2, 4), FLOAT, (4, 8)), "C-contiguous"),
    ],
)
def test_misfits_are_named(array: DeviceArray, why: str) -> None:
    with pytest.raises(ValueError, match=f"maps: .*{why}"):
        check_device("maps", array, ("N", 4), np.float32, np.float16)


def test_strides_of_one_element_do_not_matter() -> None:
    array = DeviceArray(0, (1, 4), FLOAT, (999, 4))
    assert check_device("maps", array, ("N", 4), np.float32) == {"N": 1}
    assert check_shape("maps", DeviceArray(0, (2, 4), FLOAT, (32, 4)), ("N", 4), np.float32) == {"N": 2}
