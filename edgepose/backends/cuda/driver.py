"""`Driver`: the CUDA memory, streams, events, kernels and graphs of one owner. Closing the driver frees all of them.

Each session has a driver. All drivers share the GPU's primary context with each other and with torch. Every method
may be called in any thread: it makes the context current for the call and restores the previous context afterwards,
so that other CUDA code in the thread is not disturbed. `current()` does that once for several calls.

    with open_driver() as driver:
        stream, block = driver.make_stream(), driver.make_block((720, 1280, 3), np.uint8)
        block.host[:] = frame
        block.send(stream)              # does nothing where GPU and CPU share memory
        driver.finish(stream)

Run only the tests of this file with `pytest tests/backends/cuda/test_driver.py`.
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
    """The CUDA resources of one owner. Errors are raised as EngineError.

    Args:
        api: The CUDA calls.
        shared: Whether another driver owns the context, so that closing this one does not release it.

    Attributes:
        name: Name of the CUDA package.
        integrated: Whether the GPU shares its memory with the CPU.
    """

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
        self._live: dict[tuple[str, int], None] = {}  # in the order of creation
        self._lock = threading.Lock()
        self._depth = threading.local()

    def share(self) -> Driver:
        """Return a driver on the same context, which must be closed before this one.

        Closing it frees only the resources that were created with it.
        """
        return Driver(self._open_api(), shared=True)

    @contextmanager
    def current(self) -> Iterator[Api]:
        """Make the context current in this thread; a nested `current` has no effect."""
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
        """Allocate device memory and return its address."""
        with self.current() as api:
            return self._own("memory", api.allocate(nbytes))

    def free(self, address: int) -> None:
        """Free device memory."""
        self._drop("memory", address)

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> DeviceArray:
        """Allocate an array on the device; `free` takes its address.

        Args:
            shape: Shape of the array.
            dtype: Data type of its elements.
        """
        kind: np.dtype[np.generic] = np.dtype(dtype)
        return DeviceArray(self.allocate(int(np.prod(shape)) * kind.itemsize), shape, kind)

    def make_block(self, shape: tuple[int, ...], dtype: DTypeLike) -> Block:
        """Allocate an array that both the host and the device can access.

        Args:
            shape: Shape of the array.
            dtype: Data type of its elements.
        """
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
        """Free page-locked host memory."""
        self._drop("host", host)

    def memory_left(self) -> tuple[int, int]:
        """Return the free and the total device memory in bytes."""
        with self.current() as api:
            return api.memory_left()

    def make_stream(self) -> int:
        """Create a stream that does not wait for the default stream."""
        with self.current() as api:
            return self._own("stream", api.make_stream())

    def drop_stream(self, stream: int) -> None:
        """Destroy a stream."""
        self._drop("stream", stream)

    def finish(self, stream: int) -> None:
        """Wait until all work of the stream has finished."""
        with self.current() as api:
            api.finish(stream)

    def make_event(self) -> int:
        """Create an event."""
        with self.current() as api:
            return self._own("event", api.make_event())

    def drop_event(self, event: int) -> None:
        """Destroy an event."""
        self._drop("event", event)

    def record(self, event: int, stream: int) -> None:
        """Record an event after the work that the stream has so far."""
        with self.current() as api:
            api.record(event, stream)

    def finish_event(self, event: int) -> None:
        """Wait until the work before the event has finished."""
        with self.current() as api:
            api.finish_event(event)

    def follow(self, stream: int, event: int) -> None:
        """Make later work of the stream wait for the event."""
        with self.current() as api:
            api.follow(stream, event)

    def elapsed_ms(self, first: int, second: int) -> float:
        """Return the milliseconds between two events that have finished."""
        with self.current() as api:
            return api.elapsed_ms(first, second)

    def load_module(self, image: bytes) -> int:
        """Load kernels from the content of a fatbin."""
        with self.current() as api:
            return self._own("module", api.load_module(image))

    def function(self, module: int, name: str) -> int:
        """Return the handle of a kernel."""
        with self.current() as api:
            return api.function(module, name)

    def launch(self, function: int, launch: Launch, stream: int) -> None:
        """Enqueue a kernel."""
        with self.current() as api:
            api.launch(function, launch, stream)

    def copy_in(self, address: int, host: int, nbytes: int, stream: int) -> None:
        """Enqueue a copy from page-locked host memory to the device."""
        with self.current() as api:
            api.copy_in(address, host, nbytes, stream)

    def copy_out(self, host: int, address: int, nbytes: int, stream: int) -> None:
        """Enqueue a copy from the device to page-locked host memory."""
        with self.current() as api:
            api.copy_out(host, address, nbytes, stream)

    def copy(self, to: int, address: int, nbytes: int, stream: int) -> None:
        """Enqueue a copy within the device."""
        with self.current() as api:
            api.copy(to, address, nbytes, stream)

    def capture(self, stream: int, work: Callable[[], None]) -> int:
        """Record the work that a function enqueues, without running it.

        Args:
            stream: The stream that is recorded.
            work: Enqueues the work. If it raises an error, the recording is discarded.

        Returns:
            A graph for `replay`.
        """
        with self.current() as api:
            api.begin_capture(stream)
            try:
                work()
            except BaseException:
                api.abort_capture(stream)
                raise
            return self._own("graph", api.end_capture(stream))

    def replay(self, graph: int, stream: int) -> None:
        """Enqueue a graph."""
        with self.current() as api:
            api.replay(graph, stream)

    def drop_graph(self, graph: int) -> None:
        """Destroy a graph."""
        self._drop("graph", graph)

    def close(self) -> None:
        """Free all resources, the newest first, and release the context. A second call has no effect.

        Raises:
            EngineError: A resource could not be freed; the first such error is raised after all have been tried.
        """
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
    """An array that both the host and the device can access.

    On a GPU with its own memory there are two copies, and `send` and `fetch` copy between them. On a Jetson there is
    one copy, and they do nothing. `host` must not be read before the stream has finished, and must not be written
    while the stream still reads it.

    Attributes:
        host: The array in page-locked host memory.
        there: The array on the device.
    """

    def __init__(self, driver: Driver, host: int, there: DeviceArray) -> None:
        self._driver, self._host, self.there = driver, host, there
        memory = (ctypes.c_uint8 * there.nbytes).from_address(host)
        self.host: Array = np.ctypeslib.as_array(memory).view(there.dtype).reshape(there.shape)

    def send(self, stream: int, items: int | None = None) -> None:
        """Enqueue a copy of the first `items` along the first axis, by default all, from the host to the device."""
        if not self._driver.integrated:
            self._driver.copy_in(self.there.address, self._host, self._nbytes(items), stream)

    def fetch(self, stream: int, items: int | None = None) -> None:
        """Enqueue a copy of the first `items` along the first axis, by default all, from the device to the host."""
        if not self._driver.integrated:
            self._driver.copy_out(self._host, self.there.address, self._nbytes(items), stream)

    def free(self) -> None:
        """Free the memory; `host` must not be used afterwards."""
        if not self._driver.integrated:
            self._driver.free(self.there.address)
        self._driver.free_host(self._host)

    def _nbytes(self, items: int | None) -> int:
        return self.there.nbytes if items is None else self.there.nbytes // self.there.shape[0] * items
