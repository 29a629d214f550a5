"""A GPU as the device tests want it. Without one they skip and say why; `make test-gpu` runs them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import DTypeLike

pytest.register_assert_rewrite("device_tests")

from device_tests import host_has_fma  # noqa: E402

from edgepose._checks import Array  # noqa: E402
from edgepose.backends.cuda.bindings import Gpu  # noqa: E402
from edgepose.errors import EngineError, MissingPackage  # noqa: E402
from edgepose.kernels import cuda  # noqa: E402
from edgepose.kernels.cuda import DeviceArray, Launch  # noqa: E402


class GpuDevice:
    """Memory of one test. It is not filled before use: compute-sanitizer sees reads of what nothing wrote."""

    fused = host_has_fma()

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu
        self._addresses: list[int] = []

    def upload(self, array: Array) -> DeviceArray:
        there = self.empty(array.shape, array.dtype)
        self.gpu.upload(there.address, np.ascontiguousarray(array))
        self.gpu.wait()  # before the copy made here is gone
        return there

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> DeviceArray:
        kind = np.dtype(dtype)
        self._addresses.append(self.gpu.allocate(int(np.prod(shape)) * kind.itemsize))
        return DeviceArray(self._addresses[-1], shape, kind)

    def download(self, array: DeviceArray) -> Array:
        here = np.empty(array.shape, array.dtype)
        self.gpu.download(here, array.address)
        return here

    def launch(self, launch: Launch) -> None:
        self.gpu.launch(launch)

    def free(self) -> None:
        for address in self._addresses:
            self.gpu.free(address)


@pytest.fixture(scope="session")
def gpu() -> Iterator[Gpu]:
    if cuda.fatbin() is None:
        pytest.skip(f"no CUDA kernels: {cuda.implementation()}")
    try:
        opened = Gpu()
    except (EngineError, MissingPackage) as error:
        pytest.skip(str(error))
    with opened:
        yield opened


@pytest.fixture
def device(gpu: Gpu) -> Iterator[GpuDevice]:
    made = GpuDevice(gpu)
    yield made
    made.free()
