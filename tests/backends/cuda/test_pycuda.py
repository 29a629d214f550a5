"""`PycudaApi` against a double with the names and signatures of pycuda 2026.1 (src/wrapper/wrap_cudadrv.cpp).

The double also has pycuda's rule about contexts: what is freed in a thread must find its own Context object current.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from cuda_fake import use_all

from edgepose.backends.cuda import Driver, _pycuda
from edgepose.backends.cuda._pycuda import PycudaApi
from edgepose.errors import EngineError


class Pycuda:
    """The module pycuda.driver, with what edgepose uses of it and nothing more."""

    class Error(Exception):
        pass

    class device_attribute:
        INTEGRATED = "INTEGRATED"

    class host_alloc_flags:
        PORTABLE, DEVICEMAP, WRITECOMBINED = 1, 2, 4

    def __init__(self) -> None:
        numbers = itertools.count(0x7000, 256)
        self.stack: list[Any] = []
        self.live: list[str] = []
        self.initialized = 0
        self.launched: list[Any] = []
        outer = self

        class Owned:
            def __init__(self, kind: str) -> None:
                assert outer.stack, "explicit_context_dependent: no currently active context"
                self.kind, self.context, self.at = kind, outer.stack[-1], next(numbers)
                self.freed = False
                outer.live.append(kind)

            def free(self) -> None:
                assert not self.freed
                assert outer.stack and outer.stack[-1] is self.context, "cannot activate out-of-thread context"
                self.freed = True
                outer.live.remove(self.kind)

            def __int__(self) -> int:
                return self.at

            def get_device_pointer(self) -> int:
                return self.at

            def __del__(self) -> None:
                if not self.freed and outer.stack:
                    self.free()

        class Context:
            def push(self) -> None:
                outer.stack.append(self)

            @staticmethod
            def pop() -> None:
                outer.stack.pop()

            def detach(self) -> None:
                outer.stack.remove(self)

        class Device:
            def __init__(self, number: int) -> None:
                assert outer.initialized

            def get_attribute(self, attr: str) -> int:
                return 1

            def retain_primary_context(self) -> Any:
                return Context()

        class Stream(Owned):
            def __init__(self, flags: int = 0) -> None:
                super().__init__("stream")
                self.handle = self.at

            def synchronize(self) -> None: ...

            def wait_for_event(self, evt: Any) -> None:
                assert isinstance(evt, Event)

        class Event(Owned):
            def __init__(self, flags: int = 0) -> None:
                super().__init__("event")

            def record(self, stream: Any = None) -> Any:
                assert isinstance(stream, Stream)
                return self

            def synchronize(self) -> Any:
                return self

            def time_till(self, other: Any) -> float:
                return 2.0

        class Function:
            def __call__(self, *args: Any, **kwargs: Any) -> None:
                assert set(kwargs) == {"grid", "block", "shared", "stream"} and isinstance(kwargs["stream"], Stream)
                outer.launched.append((args, kwargs["grid"], kwargs["block"], kwargs["shared"]))

        class Module(Owned):
            def get_function(self, name: str) -> Any:
                return Function()

        self.Context, self.Device, self.Stream, self.Event = Context, Device, Stream, Event
        self._owned, self._module = Owned, Module

    def init(self, flags: int = 0) -> None:
        self.initialized += 1

    def mem_alloc(self, nbytes: int) -> Any:
        if nbytes > 1000:
            raise self.Error("cuMemAlloc failed: out of memory")
        return self._owned("memory")

    def pagelocked_empty(self, shape: int, dtype: Any, order: str = "C", mem_flags: int = 0) -> Any:
        assert mem_flags == 3

        class Array:
            base, _memory = self._owned("host"), np.zeros(shape, dtype)
            ctypes = _memory.ctypes

        return Array()

    def mem_get_info(self) -> tuple[int, int]:
        return 5, 6

    def memcpy_htod_async(self, dest: int, src: Any, stream: Any = None) -> None:
        assert isinstance(stream, self.Stream) and len(memoryview(src)) == 16

    def memcpy_dtoh_async(self, dest: Any, src: int, stream: Any = None) -> None:
        assert isinstance(stream, self.Stream) and not memoryview(dest).readonly

    def memcpy_dtod_async(self, dest: int, src: int, size: int, stream: Any = None) -> None:
        assert isinstance(stream, self.Stream) and size == 16

    def module_from_buffer(self, buffer: bytes, options: Any = (), message_handler: Any = None) -> Any:
        return self._module("module")


class LibCuda:
    """libcuda's graph calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.code = 0

    def __getattr__(self, name: str) -> Any:
        if name not in (
            "cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags", "cuGraphDestroy",
            "cuGraphLaunch", "cuGraphExecDestroy", "cuGetErrorName",
        ):  # fmt: skip
            raise AttributeError(name)

        def call(*given: Any) -> int:
            self.calls.append(name)
            for item in given:
                if type(item).__name__ == "CArgObject":
                    item._obj.value = b"CUDA_ERROR_OUT_OF_MEMORY" if name == "cuGetErrorName" else 0x99
            return 0 if name == "cuGetErrorName" else self.code

        return call


@pytest.fixture
def cu() -> Pycuda:
    return Pycuda()


def opened(cu: Pycuda, libcuda: LibCuda | None = None) -> PycudaApi:
    return PycudaApi(cu, lambda name: libcuda or LibCuda())  # type: ignore[arg-type]


def test_every_call_is_pycudas(cu: Pycuda) -> None:
    libcuda = LibCuda()
    api = opened(cu, libcuda)
    use_all(api)
    assert api.integrated and cu.live == [] and cu.stack == [] and api._kept == {}
    args, grid, block, shared = cu.launched[0]
    assert (grid, block, shared) == ((1, 2, 3), (4, 5, 6), 7)
    assert isinstance(args[0], np.void) and bytes(args[0]) == b"\x01\x00\x02"
    assert libcuda.calls == [
        "cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags", "cuGraphDestroy",
        "cuGraphLaunch", "cuGraphExecDestroy", "cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphDestroy",
    ]  # fmt: skip


def test_a_driver_frees_all_with_the_right_context(cu: Pycuda) -> None:
    first, second = Driver(opened(cu)), Driver(opened(cu))
    assert cu.initialized == 1  # one Context object, and one only
    for driver in (first, second):
        driver.allocate(8)
        driver.make_block((8,), np.uint8) if not driver.integrated else driver.make_stream()
        driver.make_event()
        driver.load_module(b"fatbin")
    first.close()
    assert len(cu.live) == 4
    second.close()
    assert cu.live == [] and cu.stack == []


def test_numbers_of_objects_are_no_addresses(cu: Pycuda) -> None:
    api = opened(cu)
    api.push()
    made = [api.make_event() for _ in range(3)]
    assert len(set(made)) == 3 and all(number % 2 for number in made)
    for number in made:
        api.drop_event(number)


def test_errors(cu: Pycuda) -> None:
    libcuda = LibCuda()
    api = opened(cu, libcuda)
    api.push()
    with pytest.raises(EngineError, match="memory ran out"):
        api.allocate(2000)
    libcuda.code = 2
    with pytest.raises(EngineError, match="memory ran out"):
        api.replay(1, 2)
    with pytest.raises(EngineError, match="older than the CUDA package"):
        api._ask("cuNewerThanTheDriver")


def test_the_context_is_given_up_at_the_end(cu: Pycuda, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []
    monkeypatch.setattr(_pycuda.atexit, "register", lambda call, *given: kept.append((call, given)))
    opened(cu)
    ((call, given),) = kept
    call(*given)
    assert cu.stack == []
