"""What needs an NVIDIA GPU: `make test-gpu`. Nothing in this folder has run yet: no machine here has one.

All tests here are marked `gpu` and skip, saying why, where there is no driver, no CUDA package or no fatbin.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import DTypeLike

pytest.register_assert_rewrite("device_tests")

from edgepose._checks import Array  # noqa: E402
from edgepose.backends import cuda as layer  # noqa: E402
from edgepose.backends.cuda import Driver  # noqa: E402
from edgepose.kernels import choice, cuda  # noqa: E402
from edgepose.kernels.cuda import DeviceArray, Launch  # noqa: E402

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    problem = layer.driver_problem()
    for item in items:
        if HERE not in item.path.parents:
            continue
        item.add_marker(pytest.mark.gpu)
        if problem is not None:
            item.add_marker(pytest.mark.skip(reason=problem))


@pytest.fixture(params=layer.MODULES)
def driver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Driver]:
    """Each CUDA package that is installed."""
    if not layer._installed(request.param):
        pytest.skip(f"{request.param} is not installed")
    monkeypatch.setenv(layer.SETTING, request.param)
    with layer.open_driver() as made:
        yield made


class GpuDevice:
    """The device of device_tests.py."""

    fused = choice.native is not None and choice.native.instruction_set() not in ("sse2", "generic")

    def __init__(self, driver: Driver, fatbin: Path) -> None:
        self._driver, self._stream = driver, driver.make_stream()
        self._module = driver.load_module(fatbin.read_bytes())

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
        host = block.host.ctypes.data
        with self._driver.current() as api:
            api.copy_out(host, array.address, array.nbytes, self._stream)
        self._driver.finish(self._stream)
        found = np.array(block.host)
        block.free()
        return found

    def launch(self, launch: Launch) -> None:
        self._driver.launch(self._driver.function(self._module, launch.name), launch, self._stream)
        self._driver.finish(self._stream)


@pytest.fixture
def device(driver: Driver) -> Any:
    path = cuda.fatbin()
    if path is None:
        pytest.skip(f"no CUDA kernels: {cuda.implementation()}")
    return GpuDevice(driver, path)
