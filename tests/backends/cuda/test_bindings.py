"""`BindingsApi` against the real cuda.bindings.driver: its names, enumerations and argument counts, answers of ours.

Without a driver the package imports, and every call says so: so a double answers, and each call of it is held to the
signature in the real function's docstring. cuda-bindings 12.9.10 and 13.5.0 have the same ones.
"""

from __future__ import annotations

import ctypes
import inspect
import re
from typing import Any

import pytest
from cuda_fake import use_all

from edgepose.backends.cuda._bindings import BindingsApi
from edgepose.errors import EngineError
from edgepose.kernels.cuda import Launch

driver = pytest.importorskip("cuda.bindings.driver")

# function -> how many values it gives behind the CUresult; None: takes the arguments of that many
VALUES = {
    "cuDeviceGet": 1, "cuDeviceGetAttribute": 1, "cuDevicePrimaryCtxRetain": 1, "cuCtxPopCurrent": 1,
    "cuMemAlloc": 1, "cuMemHostAlloc": 1, "cuMemHostGetDevicePointer": 1, "cuMemGetInfo": 2, "cuStreamCreate": 1,
    "cuEventCreate": 1, "cuEventElapsedTime": 1, "cuModuleLoadData": 1, "cuModuleGetFunction": 1,
    "cuStreamEndCapture": 1, "cuGraphInstantiate": 1,
}  # fmt: skip


class Double:
    """cuda.bindings.driver without a GPU: real enumerations; functions by the real signatures."""

    CUresult, CUdevice_attribute = driver.CUresult, driver.CUdevice_attribute
    CUstreamCaptureMode = driver.CUstreamCaptureMode

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.fails: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        real = getattr(driver, name)  # AttributeError for a name that the package has not

        def call(*given: Any) -> Any:
            assert len(given) == len(parameters(real)), f"{name}{given}: the real one takes {parameters(real)}"
            self.calls.append((name, *given))
            code = self.fails.get(name, driver.CUresult.CUDA_SUCCESS)
            if isinstance(code, Exception):
                raise code
            return (code, *[64 + i for i in range(VALUES.get(name, 0))])

        return call


def parameters(real: Any) -> list[str]:
    """The parameters in the first line of a docstring: `cuMemAlloc(size_t bytesize)`."""
    found = re.match(r"\w+\((.*)\)", real.__doc__.strip().splitlines()[0])
    assert found is not None
    return [part for part in found[1].split(", ") if part]


@pytest.fixture
def cu() -> Double:
    return Double()


def test_every_call_is_one_of_the_package(cu: Double) -> None:
    api = BindingsApi(cu)  # type: ignore[arg-type]
    use_all(api)
    named = set(re.findall(r'"(cu[A-Z]\w+)"', inspect.getsource(BindingsApi)))
    assert named <= {call[0] for call in cu.calls}
    assert api.integrated


def test_the_package_takes_the_arguments(cu: Double) -> None:
    """Without a driver every real function ends in RuntimeError, behind the conversion of what it was given."""
    try:
        driver.cuInit(0)
    except RuntimeError:
        pass
    else:
        pytest.skip("there is a driver here, and calls with made-up handles would crash it")
    use_all(BindingsApi(cu))  # type: ignore[arg-type]
    for name, *given in cu.calls:
        if name == "cuLaunchKernel":
            given[8] = 0  # the job is gone
        with pytest.raises(RuntimeError):
            getattr(driver, name)(*given)
    kinds = "CUdeviceptr CUstream CUevent CUmodule CUfunction CUgraphExec CUcontext CUgraph"
    assert [int(getattr(driver, kind)(64)) for kind in kinds.split()] == [64] * 8  # as _bindings makes integers of them


def test_a_launch_points_at_the_job(monkeypatch: pytest.MonkeyPatch, cu: Double) -> None:
    seen: list[Any] = []

    def launch_kernel(function: Any, *given: Any) -> Any:
        first = ctypes.c_void_p.from_address(given[8]).value
        assert first is not None
        seen.append((given[:8], ctypes.string_at(first, 3), given[9]))
        return (driver.CUresult.CUDA_SUCCESS,)

    api = BindingsApi(cu)  # type: ignore[arg-type]
    monkeypatch.setattr(Double, "cuLaunchKernel", staticmethod(launch_kernel), raising=False)
    api.launch(9, Launch(name="k", grid=(1, 2, 3), block=(4, 5, 6), args=b"\x01\x00\x02", shared_bytes=7), 8)
    assert seen == [((1, 2, 3, 4, 5, 6, 7, 8), b"\x01\x00\x02", 0)]


def test_a_capture_leaves_other_threads_alone_and_drops_the_raw_graph(cu: Double) -> None:
    api = BindingsApi(cu)  # type: ignore[arg-type]
    cu.fails = {"cuGraphInstantiate": driver.CUresult.CUDA_ERROR_OUT_OF_MEMORY}
    api.begin_capture(5)
    assert cu.calls[-1] == ("cuStreamBeginCapture", 5, driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
    with pytest.raises(EngineError, match="memory ran out"):
        api.end_capture(5)
    assert cu.calls[-1] == ("cuGraphDestroy", 64)


def test_memory_is_page_locked_for_all_contexts_and_mapped(cu: Double) -> None:
    BindingsApi(cu).allocate_host(3)  # type: ignore[arg-type]
    portable, mapped = driver.CU_MEMHOSTALLOC_PORTABLE, driver.CU_MEMHOSTALLOC_DEVICEMAP
    assert ("cuMemHostAlloc", 3, portable | mapped) in cu.calls


def test_the_numbers_written_here_are_the_packages() -> None:
    from edgepose.backends.cuda import _bindings, _pycuda

    assert driver.CUstream_flags.CU_STREAM_NON_BLOCKING.value == _bindings.NON_BLOCKING == _pycuda.NON_BLOCKING
    assert driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL.value == _pycuda.THREAD_LOCAL


@pytest.mark.parametrize(
    ("call", "code", "says"),
    [
        ("cuInit", "CUDA_ERROR_NO_DEVICE", "sees no GPU"),
        ("cuInit", "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "older than the CUDA package"),
        ("cuDevicePrimaryCtxRetain", "CUDA_ERROR_OUT_OF_MEMORY", "memory ran out"),
    ],
)
def test_errors_while_opening(cu: Double, call: str, code: str, says: str) -> None:
    cu.fails = {call: getattr(driver.CUresult, code)}
    with pytest.raises(EngineError, match=says):
        BindingsApi(cu)  # type: ignore[arg-type]


def test_a_function_that_the_driver_lacks(cu: Double) -> None:
    api = BindingsApi(cu)  # type: ignore[arg-type]
    cu.fails = {"cuGraphLaunch": RuntimeError('Function "cuGraphLaunch" not found')}
    with pytest.raises(EngineError, match="older than the CUDA package"):
        api.replay(1, 2)


def test_the_real_package_without_a_driver() -> None:
    try:
        driver.cuInit(0)
    except RuntimeError:
        with pytest.raises(EngineError, match="cuInit"):
            BindingsApi(driver)
    else:
        pytest.skip("there is a driver here")
