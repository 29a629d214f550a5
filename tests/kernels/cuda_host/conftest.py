"""The kernels of csrc/cuda compiled for the CPU, and memory that catches reads and writes beyond an array."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import DTypeLike

pytest.register_assert_rewrite("device_tests")

from cuda_emulation import CUDA_HOST, compile_emulation  # noqa: E402
from device_tests import host_has_fma  # noqa: E402
from guarded import Guarded  # noqa: E402

from edgepose._checks import Array  # noqa: E402
from edgepose.kernels.cuda import DeviceArray, Launch  # noqa: E402


@pytest.fixture(scope="session")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The library of launch.cpp."""
    made = tmp_path_factory.mktemp("cuda_host") / "cuda_host.so"
    compile_emulation(CUDA_HOST / "launch.cpp", made)
    library = ctypes.CDLL(str(made))
    library.cuda_host_launch.restype = ctypes.c_char_p
    return library


class HostDevice:
    """A device in this process. Arrays lie flush with a forbidden page, and threads run in the order of `seed`."""

    fused = host_has_fma()

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._memory: dict[int, Guarded] = {}
        self.seed = 0
        library.cuda_host_array(None, ctypes.c_size_t(0))

    def upload(self, array: Array) -> DeviceArray:
        there = self.empty(array.shape, array.dtype)
        self._memory[there.address].bytes[:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        return there

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> DeviceArray:
        kind: np.dtype[Any] = np.dtype(dtype)
        nbytes = int(np.prod(shape)) * kind.itemsize
        memory = Guarded(nbytes, kind.alignment, flush_with_start=self.seed % 2 == 1)
        self._memory[memory.address] = memory
        self._library.cuda_host_array(ctypes.c_void_p(memory.address), ctypes.c_size_t(nbytes))
        return DeviceArray(memory.address, shape, kind)

    def download(self, array: DeviceArray) -> Array:
        return np.asarray(self._memory[array.address].bytes.view(array.dtype).reshape(array.shape))

    def launch(self, launch: Launch) -> None:
        sizes = [(ctypes.c_uint * 3)(*size) for size in (launch.grid, launch.block)]
        assert launch.shared_bytes == 0
        error = self._library.cuda_host_launch(
            launch.name.encode(), *sizes, launch.args, ctypes.c_size_t(len(launch.args)), self.seed
        )
        assert error is None, error.decode()


@pytest.fixture(params=[0, 1, 2], ids=["in-order", "reversed", "shuffled"])
def device(request: pytest.FixtureRequest, emulated: ctypes.CDLL) -> Iterator[HostDevice]:
    made = HostDevice(emulated)
    made.seed = request.param
    yield made
