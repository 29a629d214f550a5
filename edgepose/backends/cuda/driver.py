"""`Driver`: CUDA memory, streams, events, kernels and graphs of one owner, who closes it and with it all of them.

A session has a driver; any number of them share the GPU's primary context with torch and with each other. Every
call may be made in any thread: the context is made current for the call and is gone from the thread behind it, so
that other CUDA code there finds its own. `current()` spares a stretch of calls that.

    with open_driver() as driver:
        stream, block = driver.make_stream(), driver.make_block((720, 1280, 3), np.uint8)
        block.host[:] = frame
        block.send(stream)              # nothing where GPU and CPU share their memory
        driver.finish(stream)

Test alone: `pytest tests/backends/cuda/test_driver.py`.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

import numpy as np
from numpy.typing import DTypeLike

from edgepose._checks import Array
from edgepose.backends.cuda.api import Api
from edgepose.errors import EngineError
from edgepose.kernels.cuda import DeviceArray, Launch


class Driver:
    """See the module docstring. Errors are EngineError; `close` may be called twice."""

    def __init__(self, api: Api, *, shared: bool = False) -> None:
        self._api: Api | None = api
        self._shared = shared
        self.name, self.integrated = api.name, api.integrated
        self._drops: dict[str, Callable[[int], None]] = {
            "memory": api.free,
            "host": api.free_host,
            "stream": api.drop_stream,
            "event": api.drop_event,
            "module": api.drop_module,
            "graph": api.drop_graph,
        }
        self._live: dict[tuple[str, int], None] = {}  # in the order of making
        self._lock = threading.Lock()
        self._depth = threading.local()

    def share(self) -> Driver:
        """A driver for a part of this one's owner: closing it frees what the part made, and nothing else.

        It must be closed before this one is.
        """
        return Driver(self._open_api(), shared=True)

    @contextmanager
    def current(self) -> Iterator[Api]:
        """Make the context current in this thread; inside of another `current` nothing is to be done."""
        api = self._open_api()
        depth = getattr(self._depth, "value", 0)
        if not depth:
            api.push()
        self._depth.value = depth + 1
        try:
            yield api
        finally:
            self._depth.value = depth
            if not depth:
                api.pop()

    def allocate(self, nbytes: int) -> int:
        """The address of new device memory."""
        with self.current() as api:
            return self._own("memory", api.allocate(nbytes))

    def free(self, address: int) -> None:
        self._drop("memory", address)

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> DeviceArray:
        """A new array on the device; `free` its address."""
        kind: np.dtype[np.generic] = np.dtype(dtype)
        return DeviceArray(self.allocate(int(np.prod(shape)) * kind.itemsize), shape, kind)

    def make_block(self, shape: tuple[int, ...], dtype: DTypeLike) -> Block:
        """Memory that host and device both reach."""
        kind: np.dtype[np.generic] = np.dtype(dtype)
        nbytes = int(np.prod(shape)) * kind.itemsize
        with self.current() as api:
            host, mapped = api.allocate_host(nbytes)
            self._own("host", host)
            try:
                address = mapped if self.integrated else self.allocate(nbytes)
            except EngineError:
                self._drop("host", host)
                raise
        return Block(self, host, DeviceArray(address, shape, kind))

    def free_host(self, host: int) -> None:
        self._drop("host", host)

    def memory_left(self) -> tuple[int, int]:
        """Bytes of device memory free and in all."""
        with self.current() as api:
            return api.memory_left()

    def make_stream(self) -> int:
        with self.current() as api:
            return self._own("stream", api.make_stream())

    def drop_stream(self, stream: int) -> None:
        self._drop("stream", stream)

    def finish(self, stream: int) -> None:
        """Return when all that was given to the stream is done."""
        with self.current() as api:
            api.finish(stream)

    def make_event(self) -> int:
        with self.current() as api:
            return self._own("event", api.make_event())

    def drop_event(self, event: int) -> None:
        self._drop("event", event)

    def record(self, event: int, stream: int) -> None:
        with self.current() as api:
            api.record(event, stream)

    def finish_event(self, event: int) -> None:
        """Return when what was given to the stream before `record` is done."""
        with self.current() as api:
            api.finish_event(event)

    def follow(self, stream: int, event: int) -> None:
        """What is given to the stream from now on begins after the event."""
        with self.current() as api:
            api.follow(stream, event)

    def elapsed_ms(self, first: int, second: int) -> float:
        """Between two events that are over."""
        with self.current() as api:
            return api.elapsed_ms(first, second)

    def load_module(self, image: bytes) -> int:
        """Kernels of a fatbin. EngineError where it holds none for this GPU."""
        with self.current() as api:
            return self._own("module", api.load_module(image))

    def function(self, module: int, name: str) -> int:
        with self.current() as api:
            return api.function(module, name)

    def launch(self, function: int, launch: Launch, stream: int) -> None:
        with self.current() as api:
            api.launch(function, launch, stream)

    def copy_in(self, address: int, host: int, nbytes: int, stream: int) -> None:
        """Page-locked host memory -> the device; it must not change until the stream is through."""
        with self.current() as api:
            api.copy_in(address, host, nbytes, stream)

    def copy_out(self, host: int, address: int, nbytes: int, stream: int) -> None:
        with self.current() as api:
            api.copy_out(host, address, nbytes, stream)

    def copy(self, to: int, address: int, nbytes: int, stream: int) -> None:
        """Within the device."""
        with self.current() as api:
            api.copy(to, address, nbytes, stream)

    def capture(self, stream: int, work: Callable[[], None]) -> int:
        """A graph of what `work` gives to the stream; nothing of it is run. An error in `work` ends the capture."""
        with self.current() as api:
            api.begin_capture(stream)
            try:
                work()
            except BaseException:
                api.abort_capture(stream)
                raise
            return self._own("graph", api.end_capture(stream))

    def replay(self, graph: int, stream: int) -> None:
        with self.current() as api:
            api.replay(graph, stream)

    def drop_graph(self, graph: int) -> None:
        self._drop("graph", graph)

    def close(self) -> None:
        """Free all that is left, the newest first, and give the context up; the first error is raised behind that."""
        if self._api is None:
            return
        errors: list[EngineError] = []
        with self.current() as api:
            while self._live:
                kind, handle = next(reversed(self._live))
                try:
                    self._drop(kind, handle)
                except EngineError as error:
                    errors.append(error)
        self._api = None
        if not self._shared:
            api.release()
        if errors:
            raise errors[0]

    def __enter__(self) -> Driver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open_api(self) -> Api:
        if self._api is None:
            raise EngineError("the session is closed; open the engine again")
        return self._api

    def _own(self, kind: str, handle: int) -> int:
        with self._lock:
            self._live[kind, handle] = None
        return handle

    def _drop(self, kind: str, handle: int) -> None:
        with self._lock:
            del self._live[kind, handle]
        with self.current():
            self._drops[kind](handle)


class Block:
    """An array that host and device both reach. host: page-locked, as numpy. there: the same on the device.

    On a GPU with memory of its own these are two, and `send` and `fetch` copy; on a Jetson they are one, and those
    do nothing. Nothing may be read in `host` before the stream is through, and nothing written that it still reads.
    """

    def __init__(self, driver: Driver, host: int, there: DeviceArray) -> None:
        self._driver, self._host, self.there = driver, host, there
        memory = (ctypes.c_uint8 * there.nbytes).from_address(host)
        self.host: Array = np.ctypeslib.as_array(memory).view(there.dtype).reshape(there.shape)

    def send(self, stream: int, items: int | None = None) -> None:
        """Host -> device, the first `items` along the first axis; all of them by default."""
        if not self._driver.integrated:
            self._driver.copy_in(self.there.address, self._host, self._nbytes(items), stream)

    def fetch(self, stream: int, items: int | None = None) -> None:
        """Device -> host, likewise."""
        if not self._driver.integrated:
            self._driver.copy_out(self._host, self.there.address, self._nbytes(items), stream)

    def free(self) -> None:
        """`host` must not be touched behind this."""
        if not self._driver.integrated:
            self._driver.free(self.there.address)
        self._driver.free_host(self._host)

    def _nbytes(self, items: int | None) -> int:
        return self.there.nbytes if items is None else self.there.nbytes // self.there.shape[0] * items
