"""The driver's bookkeeping over a fake: context, threads, leaks, blocks, capture, and which package is taken."""

from __future__ import annotations

import importlib.util
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cuda_fake import FakeApi

from edgepose.backends import cuda
from edgepose.backends.cuda import Driver
from edgepose.backends.cuda.failures import failure
from edgepose.errors import EngineError, MissingPackage, UsageError

A_KERNEL = "regress_to_image_f32"


def test_the_context_is_current_for_a_call_and_no_longer() -> None:
    api = FakeApi()
    driver = Driver(api)
    driver.free(driver.allocate(4))
    assert api.depth.value == 0
    with driver.current(), driver.current():
        assert api.depth.value == 1  # pushed once
        driver.make_stream()
        assert api.depth.value == 1
    assert api.depth.value == 0
    with pytest.raises(ZeroDivisionError), driver.current():
        raise ZeroDivisionError
    assert api.depth.value == 0


def test_threads_have_a_context_each() -> None:
    api = FakeApi()
    driver = Driver(api)
    barrier = threading.Barrier(3)

    def work() -> int:
        with driver.current():
            barrier.wait()
            return int(api.depth.value)

    with ThreadPoolExecutor(3) as pool:
        assert [done.result() for done in [pool.submit(work) for _ in range(3)]] == [1, 1, 1]


@pytest.mark.parametrize("integrated", [False, True])
def test_a_block_copies_only_where_there_are_two_memories(integrated: bool) -> None:
    api = FakeApi(integrated=integrated)
    with Driver(api) as driver:
        stream = driver.make_stream()
        block = driver.make_block((4, 3), np.float32)
        block.host[:] = np.arange(12).reshape(4, 3)
        block.send(stream, 2)
        driver.finish(stream)
        there = api.memory[block.there.address].view(np.float32).reshape(4, 3)
        np.testing.assert_array_equal(there[:2], block.host[:2])
        assert (api.calls.count("copy_in") == 0) == integrated
        assert (block.there.address == block.host.ctypes.data) == integrated
        there[:] = 70
        block.fetch(stream)
        assert integrated or not (block.host == 70).any()  # not before the stream is through
        driver.finish(stream)
        assert (block.host == 70).all()
        block.free()
        assert api.left() == {"streams": 1}
    assert api.left() == {} and api.released == 1


def fill(driver: Driver) -> None:
    driver.allocate(8)
    driver.make_block((2,), np.uint8)
    driver.make_event()
    driver.function(driver.load_module(b"fatbin"), A_KERNEL)
    stream = driver.make_stream()
    driver.capture(stream, lambda: None)


def test_closing_frees_all_newest_first_and_once() -> None:
    api = FakeApi()
    driver = Driver(api)
    fill(driver)
    assert set(api.left()) == {"memory", "streams", "events", "modules", "graphs"}
    driver.close()
    driver.close()
    assert api.left() == {} and api.released == 1
    drops = [call for call in api.calls if call.startswith(("drop", "free"))]
    assert drops[0] == "drop_graph" and drops[-1] == "free"
    with pytest.raises(EngineError, match="closed"):
        driver.allocate(1)


def test_an_error_while_closing_frees_the_rest_and_is_told() -> None:
    api = FakeApi()
    driver = Driver(api)
    fill(driver)
    api.fails = {"drop_event": "CUDA_ERROR_ILLEGAL_ADDRESS"}
    with pytest.raises(EngineError, match="a kernel failed, and the GPU cannot be used in this process"):
        driver.close()
    assert api.left() == {"events": 1} and api.released == 1


def test_half_a_block_is_given_back() -> None:
    api = FakeApi(limit=10)
    with Driver(api) as driver:
        with pytest.raises(EngineError, match="memory ran out"):
            driver.make_block((11,), np.uint8)
        assert api.left() == {}


def test_a_graph_runs_when_it_is_replayed() -> None:
    api = FakeApi()
    with Driver(api) as driver:
        stream, block = driver.make_stream(), driver.make_block((1,), np.int32)
        there = api.memory[block.there.address].view(np.int32)
        graph = driver.capture(stream, lambda: block.send(stream))
        driver.finish(stream)
        for value in (3, 4):
            block.host[0] = value
            assert there[0] != value
            driver.replay(graph, stream)
            driver.finish(stream)
            assert there[0] == value


def test_an_error_ends_a_capture() -> None:
    api = FakeApi()
    with Driver(api) as driver:
        stream = driver.make_stream()
        with pytest.raises(EngineError, match="while a graph was captured"):
            driver.capture(stream, lambda: driver.finish(stream))
        assert api.capturing == {}
        driver.finish(stream)


def test_events_order_streams() -> None:
    api = FakeApi()
    with Driver(api) as driver:
        first, second = driver.make_stream(), driver.make_stream()
        done: list[str] = []
        api.give(first, lambda: done.append("a"))
        event = driver.make_event()
        driver.record(event, first)
        api.give(first, lambda: done.append("c"))
        driver.follow(second, event)
        api.give(second, lambda: done.append("b"))
        driver.finish(second)
        assert done == ["a", "b"]
        driver.finish_event(event)
        assert driver.elapsed_ms(event, event) == 1.0
        assert driver.memory_left() == (2**30, 2**30)


def test_several_drivers_share_the_context() -> None:
    api = FakeApi()
    first, second = Driver(api), Driver(api)
    with first.current(), second.current():
        second.allocate(4)
    first.close()
    assert api.left() == {"memory": 1}
    second.close()
    assert api.left() == {} and api.released == 2


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("CUDA_ERROR_OUT_OF_MEMORY", "memory ran out"),
        ("cuMemAlloc failed: out of memory", "memory ran out"),
        ("CUDA_ERROR_NO_BINARY_FOR_GPU", "compiled for other GPUs; reinstall edgepose here"),
        ("cuModuleLoadDataEx failed: no kernel image is available for execution on the device", "for other GPUs"),
        ("CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the driver is older than the CUDA that compiled"),
        ("CUDA_ERROR_NO_DEVICE", "sees no GPU"),
        ("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "older than the CUDA package"),
        ('Function "cuGraphInstantiateWithFlags" not found', "older than the CUDA package"),
        ("CUDA_ERROR_LAUNCH_FAILED", "start it again"),
        ("CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "while a graph was captured"),
        ("CUDA_ERROR_DEINITIALIZED", "context is gone"),
        ("CUDA_ERROR_NOT_PERMITTED", "the NVIDIA driver fails in cuAny: CUDA_ERROR_NOT_PERMITTED"),
    ],
)
def test_errors_say_what_to_do(said: str, means: str) -> None:
    text = str(failure("cuAny", said))
    assert means in text and said in text and "\n" not in text


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A machine with a GPU and the packages that are named."""
    monkeypatch.delenv(cuda.SETTING, raising=False)
    monkeypatch.setattr(cuda, "find_device", lambda: SimpleNamespace(cuda="12.6"))

    def install(*names: str) -> None:
        monkeypatch.setattr(cuda, "_installed", lambda name: name in names)

    return install


def test_which_package(packages: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    packages("pycuda", "cuda-bindings")
    assert cuda.driver_name() == "cuda-bindings" and cuda.driver_problem() is None
    packages("pycuda")
    assert cuda.driver_name() == "pycuda"
    monkeypatch.setenv(cuda.SETTING, "cuda-bindings")
    with pytest.raises(MissingPackage, match=r"EDGEPOSE_CUDA_DRIVER=cuda-bindings, .* pip install 'edgepose\[cuda\]'"):
        cuda.driver_name()
    monkeypatch.setenv(cuda.SETTING, "pycud")
    with pytest.raises(UsageError, match="did you mean 'pycuda'"):
        cuda.driver_name()
    monkeypatch.delenv(cuda.SETTING)
    packages()
    problem = cuda.driver_problem()
    assert problem is not None and "'cuda-bindings==12.*'" in problem and "edgepose[pycuda]" in problem


def test_what_is_installed_is_found_and_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name == "pycuda" else None)
    assert cuda._installed("pycuda") and not cuda._installed("cuda-bindings")

    def no_parent(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib.util, "find_spec", no_parent)
    assert not cuda._installed("cuda-bindings")


def test_a_package_that_does_not_import(packages: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    packages("pycuda")

    def broken(name: str) -> ModuleType:
        raise ImportError("libcuda.so.1: cannot open shared object file")

    monkeypatch.setattr(cuda, "optional", broken)
    with pytest.raises(EngineError, match=r"pycuda is installed but cannot be imported \(libcuda"):
        cuda.open_driver()


def test_no_cuda_package_is_imported_with_the_layer() -> None:
    assert "pycuda" not in sys.modules
