"""The driver layer itself, on a GPU."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from edgepose.backends.cuda.bindings import Gpu
from edgepose.errors import EngineError
from edgepose.kernels.cuda import Launch

pytestmark = pytest.mark.gpu


def test_driver_says_what_it_is(gpu: Gpu) -> None:
    assert "sm_" in gpu.name and gpu.stream


def test_driver_memory_comes_back(gpu: Gpu) -> None:
    array, other = np.arange(1000, dtype=np.float32), np.empty(1000, np.float32)
    addresses = [gpu.allocate(array.nbytes) for _ in range(2)]
    gpu.upload(addresses[0], array)
    gpu.copy(addresses[1], addresses[0], array.nbytes)
    gpu.download(other, addresses[1])
    assert np.array_equal(array, other)
    assert gpu.milliseconds(lambda: gpu.copy(addresses[1], addresses[0], array.nbytes)) >= 0
    for address in addresses:
        gpu.free(address)


def test_driver_from_another_thread(gpu: Gpu) -> None:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(gpu.allocate(16)))
    thread.start()
    thread.join()
    gpu.free(found[0])


def test_driver_refuses(gpu: Gpu) -> None:
    with pytest.raises(EngineError, match=r"cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY: free memory"):
        gpu.allocate(1 << 60)
    with pytest.raises(EngineError, match=r"cuModuleGetFunction: CUDA_ERROR_NOT_FOUND"):
        gpu.launch(Launch(name="no_such_kernel", grid=(1, 1, 1), block=(1, 1, 1), args=b""))


def test_driver_closes_twice(gpu: Gpu) -> None:
    other = Gpu()
    other.close()
    other.close()
    gpu.free(gpu.allocate(16))  # the context is still there for who has it
