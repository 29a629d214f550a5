"""A GPU as its tests want it, with each CUDA package. Without one they skip and say why; `make test-gpu` runs them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import DTypeLike

pytest.register_assert_rewrite("device_tests")

from device_tests import host_has_fma  # noqa: E402

from edgepose._checks import Array  # noqa: E402
from edgepose.backends import cuda as layer  # noqa: E402
from edgepose.backends.cuda import Driver, Kernels  # noqa: E402
from edgepose.errors import EngineError, MissingPackage  # noqa: E402
from edgepose.kernels import cuda  # noqa: E402
from edgepose.kernels.cuda import DeviceArray, Launch  # noqa: E402


@pytest.fixture(scope="session", params=layer.MODULES)
def gpu(request: pytest.FixtureRequest) -> Iterator[Driver]:
    """A driver over each package; it keeps the GPU's context between the tests."""
    try:
        opened = open_with(request.param)
    except (EngineError, MissingPackage) as error:
        pytest.skip(str(error))
    with opened:
        yield opened


def open_with(package: str) -> Driver:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(layer.SETTING, package)
        return layer.open_driver()


@pytest.fixture
def driver(gpu: Driver) -> Iterator[Driver]:
    """One of the test's own."""
    with open_with(gpu.name) as made:
        yield made


class GpuDevice:
    """The device of device_tests.py. Memory is not filled before use: compute-sanitizer sees reads of what nothing
    wrote."""

    fused = host_has_fma()

    def __init__(self, driver: Driver, kernels: Kernels) -> None:
        self._driver, self._kernels, self._stream = driver, kernels, driver.make_stream()

    def upload(self, array: Array) -> DeviceArray:
        block = self._driver.make_block(array.shape, array.dtype)
        block.host[...] = array
        block.send(self._stream)
        self._driver.finish(self._stream)
        return block.there

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> DeviceArray:
        return self._driver.empty(shape, dtype)

    def download(self, array: DeviceArray) -> Array:
        block = self._driver.make_block(array.shape, array.dtype)
        self._driver.copy_out(block.host.ctypes.data, array.address, array.nbytes, self._stream)
        self._driver.finish(self._stream)
        found = np.array(block.host)
        block.free()
        return found

    def launch(self, launch: Launch) -> None:
        self._kernels.launch(launch, self._stream)
        self._driver.finish(self._stream)


@pytest.fixture(scope="session")
def kernels(gpu: Driver) -> Kernels:
    if cuda.fatbin() is None:
        pytest.skip(f"no CUDA kernels: {cuda.implementation()}")
    return Kernels(gpu)


@pytest.fixture
def device(gpu: Driver, kernels: Kernels) -> Iterator[GpuDevice]:
    """Its memory is freed behind the test, the kernels stay loaded."""
    with gpu.share() as part:
        yield GpuDevice(part, kernels)
