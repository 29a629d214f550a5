"""`Api` in host memory: streams that run nothing before somebody waits for them, so what does not wait is caught.

A stream is a list of things to do. They are done when it, or an event behind them, is waited for: results that are
read too early are the bytes 0xa5 that memory begins with, and page-locked memory that is written too early is seen
by the copy that should have been over. Memory ends at a forbidden page (guarded.py); all that is made is counted.
Kernels are those of csrc/cuda, compiled for the CPU (cuda_emulation.py).
"""

from __future__ import annotations

import ctypes
import itertools
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from guarded import Guarded

from edgepose.backends.cuda.api import Api
from edgepose.backends.cuda.failures import failure
from edgepose.kernels.cuda import KERNELS, Launch

Work = Callable[[], None]
FREED = 0x5A


class FakeApi:
    """See `edgepose.backends.cuda.api.Api`. memory: address -> bytes, of all that the device reaches.

    library: of cuda_emulation.py, to launch kernels with. limit: bytes of device memory. kernels: names in every
    module; none makes loading fail as on a GPU that nvcc was not told of.
    """

    name = "fake"

    def __init__(
        self,
        *,
        memory: dict[int, np.ndarray] | None = None,
        integrated: bool = False,
        library: ctypes.CDLL | None = None,
        limit: int = 2**30,
        kernels: tuple[str, ...] = tuple(KERNELS),
    ) -> None:
        self.memory: dict[int, np.ndarray] = {} if memory is None else memory
        self.integrated, self.library, self.limit, self.kernels = integrated, library, limit, kernels
        self.guards: dict[int, Guarded] = {}
        self.gone: list[Guarded] = []  # memory that was freed is kept, so that a late read finds FREED
        self.host: set[int] = set()
        self.streams: dict[int, list[Work]] = {}
        self.events: dict[int, list[Any]] = {}  # [stream or None, whether it is over]
        self.modules: set[int] = set()
        self.functions: dict[int, str] = {}
        self.graphs: dict[int, list[Work]] = {}
        self.capturing: dict[int, list[Work]] = {}
        self.depth = threading.local()
        self.released = 0
        self.fails: dict[str, str] = {}  # call -> the driver's error
        self.calls: list[str] = []
        self._numbers = itertools.count(101)
        self._lock = threading.RLock()

    # context

    def push(self) -> None:
        self.depth.value = getattr(self.depth, "value", 0) + 1

    def pop(self) -> None:
        self._check("pop")
        self.depth.value -= 1

    def release(self) -> None:
        assert not getattr(self.depth, "value", 0), "released while current"
        self.released += 1

    def _check(self, call: str) -> None:
        assert getattr(self.depth, "value", 0) > 0, f"{call} without a current context in this thread"
        self.calls.append(call)
        if call in self.fails:
            raise failure(call, self.fails[call])

    # memory

    def allocate(self, nbytes: int) -> int:
        self._check("allocate")
        if nbytes <= 0:
            raise failure("allocate", "CUDA_ERROR_INVALID_VALUE")
        if sum(len(self.memory[at]) for at in self.guards if at not in self.host) + nbytes > self.limit:
            raise failure("allocate", "CUDA_ERROR_OUT_OF_MEMORY")
        return self._make(nbytes)

    def _make(self, nbytes: int) -> int:
        made = Guarded(nbytes, 16)
        self.guards[made.address], self.memory[made.address] = made, made.bytes
        return made.address

    def free(self, address: int) -> None:
        self._check("free")
        assert address not in self.host
        self._unmake(address)

    def _unmake(self, address: int) -> None:
        guard = self.guards.pop(address)
        guard.bytes[:] = FREED
        del self.memory[address]
        self.gone.append(guard)

    def allocate_host(self, nbytes: int) -> tuple[int, int]:
        self._check("allocate_host")
        if nbytes <= 0:
            raise failure("allocate_host", "CUDA_ERROR_INVALID_VALUE")
        made = self._make(nbytes)
        self.host.add(made)
        return made, made

    def free_host(self, host: int) -> None:
        self._check("free_host")
        self.host.remove(host)
        self._unmake(host)

    def copy_in(self, address: int, host: int, nbytes: int, stream: int) -> None:
        self._check("copy_in")
        assert host in self.host and nbytes <= len(self.memory[host]), "not page-locked, or too long"
        self.give(stream, lambda: self._copy(address, host, nbytes))

    def copy_out(self, host: int, address: int, nbytes: int, stream: int) -> None:
        self._check("copy_out")
        assert host in self.host and nbytes <= len(self.memory[host]), "not page-locked, or too long"
        self.give(stream, lambda: self._copy(host, address, nbytes))

    def copy(self, to: int, address: int, nbytes: int, stream: int) -> None:
        self._check("copy")
        self.give(stream, lambda: self._copy(to, address, nbytes))

    def _copy(self, to: int, source: int, nbytes: int) -> None:
        self.memory[to][:nbytes] = self.memory[source][:nbytes]

    def memory_left(self) -> tuple[int, int]:
        self._check("memory_left")
        return self.limit, self.limit

    # streams and events

    def give(self, stream: int, work: Work) -> None:
        """What a kernel launch, a copy and TensorRT do."""
        with self._lock:
            (self.capturing if stream in self.capturing else self.streams)[stream].append(work)

    def make_stream(self) -> int:
        self._check("make_stream")
        made = next(self._numbers)
        self.streams[made] = []
        return made

    def drop_stream(self, stream: int) -> None:
        self._check("drop_stream")
        del self.streams[stream]

    def finish(self, stream: int) -> None:
        self._check("finish")
        if self.capturing:
            raise failure("finish", "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED")
        self._run(stream, lambda: False)

    def _run(self, stream: int, enough: Callable[[], bool]) -> None:
        with self._lock:
            while self.streams[stream] and not enough():
                self.streams[stream].pop(0)()

    def make_event(self) -> int:
        self._check("make_event")
        made = next(self._numbers)
        self.events[made] = [None, True]
        return made

    def drop_event(self, event: int) -> None:
        self._check("drop_event")
        del self.events[event]

    def record(self, event: int, stream: int) -> None:
        self._check("record")
        mark = [stream, False]
        self.events[event] = mark
        self.give(stream, lambda: mark.__setitem__(1, True))

    def finish_event(self, event: int) -> None:
        self._check("finish_event")
        mark = self.events[event]
        if not mark[1]:
            self._run(mark[0], lambda: mark[1])

    def follow(self, stream: int, event: int) -> None:
        self._check("follow")
        mark = self.events[event]
        self.give(stream, lambda: None if mark[1] else self._run(mark[0], lambda: mark[1]))

    def elapsed_ms(self, first: int, second: int) -> float:
        self._check("elapsed_ms")
        assert self.events[first][1] and self.events[second][1]
        return 1.0

    # kernels and graphs

    def load_module(self, image: bytes) -> int:
        self._check("load_module")
        if not self.kernels:
            raise failure("load_module", "CUDA_ERROR_NO_BINARY_FOR_GPU")
        made = next(self._numbers)
        self.modules.add(made)
        return made

    def drop_module(self, module: int) -> None:
        self._check("drop_module")
        self.modules.remove(module)

    def function(self, module: int, name: str) -> int:
        self._check("function")
        if module not in self.modules or name not in self.kernels:
            raise failure("function", "CUDA_ERROR_NOT_FOUND")
        made = next(self._numbers)
        self.functions[made] = name
        return made

    def launch(self, function: int, launch: Launch, stream: int) -> None:
        self._check("launch")
        assert self.functions[function] == launch.name
        self.give(stream, lambda: self._launch(launch))

    def _launch(self, launch: Launch) -> None:
        assert self.library is not None, "no emulated kernels"
        sizes = [(ctypes.c_uint * 3)(*size) for size in (launch.grid, launch.block)]
        error = self.library.cuda_host_launch(
            launch.name.encode(), *sizes, launch.args, ctypes.c_size_t(len(launch.args)), 0
        )
        assert error is None, error.decode()

    def begin_capture(self, stream: int) -> None:
        self._check("begin_capture")
        self.capturing[stream] = []

    def end_capture(self, stream: int) -> int:
        self._check("end_capture")
        made = next(self._numbers)
        self.graphs[made] = self.capturing.pop(stream)
        return made

    def abort_capture(self, stream: int) -> None:
        self._check("abort_capture")
        del self.capturing[stream]

    def replay(self, graph: int, stream: int) -> None:
        self._check("replay")
        for work in self.graphs[graph]:
            self.give(stream, work)

    def drop_graph(self, graph: int) -> None:
        self._check("drop_graph")
        del self.graphs[graph]

    def left(self) -> dict[str, int]:
        """What was made and is not gone, by kind."""
        kinds = {
            "memory": self.guards, "streams": self.streams, "events": self.events, "modules": self.modules,
            "graphs": self.graphs,
        }  # fmt: skip
        return {kind: len(live) for kind, live in kinds.items() if live}  # type: ignore[arg-type]


def use_all(api: Api) -> None:
    """Every call of the protocol."""
    api.push()
    address, (host, _) = api.allocate(16), api.allocate_host(16)
    stream, event = api.make_stream(), api.make_event()
    api.copy_in(address, host, 16, stream)
    api.copy_out(host, address, 16, stream)
    api.copy(address, address, 16, stream)
    api.record(event, stream)
    api.follow(stream, event)
    api.finish_event(event)
    api.finish(stream)
    api.elapsed_ms(event, event)
    api.memory_left()
    module = api.load_module(b"fatbin")
    launch = Launch(name="k", grid=(1, 2, 3), block=(4, 5, 6), args=b"\x01\x00\x02", shared_bytes=7)
    api.launch(api.function(module, "k"), launch, stream)
    api.begin_capture(stream)
    graph = api.end_capture(stream)
    api.replay(graph, stream)
    api.drop_graph(graph)
    api.begin_capture(stream)
    api.abort_capture(stream)
    api.drop_module(module)
    api.drop_event(event)
    api.drop_stream(stream)
    api.free_host(host)
    api.free(address)
    api.pop()
    api.release()
