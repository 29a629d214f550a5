"""`Api` with pycuda, which is common on Jetson.

pycuda binds each resource to its own `Context` object and cannot free the resource in a thread where that object is
not current. The process therefore has one such object, which is pushed in each thread that works. pycuda does not
support graphs, so these calls go to libcuda with the handles of pycuda's objects.

Run only the tests of this file with `pytest tests/backends/cuda/test_pycuda.py`.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from edgepose.backends.cuda.device import LIBRARY
from edgepose.backends.cuda.failures import failure
from edgepose.kernels.cuda import Launch

ORDINAL = 0
NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING
THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL


class PycudaApi:
    """See `Api`.

    Args:
        cu: The module pycuda.driver.
        load: Opens a shared library.
    """

    name = "pycuda"

    def __init__(self, cu: ModuleType, load: Callable[[str], Any] = ctypes.CDLL) -> None:
        self._cu, self._libcuda = cu, load(LIBRARY)
        self._kept: dict[int, Any] = {}  # pycuda's objects by address or handle
        self._functions: dict[int, list[int]] = {}  # of each module
        self._numbers = itertools.count(1)
        with self._told("init"):
            self._context = primary(cu)
            device = cu.Device(ORDINAL)
            self.integrated = bool(device.get_attribute(cu.device_attribute.INTEGRATED))

    def push(self) -> None:
        with self._told("Context.push"):
            self._context.push()

    def pop(self) -> None:
        with self._told("Context.pop"):
            self._cu.Context.pop()

    def release(self) -> None:
        """Do nothing: the context belongs to the process, and the driver has freed everything else."""

    def allocate(self, nbytes: int) -> int:
        with self._told("mem_alloc"):
            made = self._cu.mem_alloc(nbytes)
        self._kept[int(made)] = made
        return int(made)

    def free(self, address: int) -> None:
        with self._told("DeviceAllocation.free"):
            self._kept.pop(address).free()

    def allocate_host(self, nbytes: int) -> tuple[int, int]:
        flags = self._cu.host_alloc_flags
        with self._told("pagelocked_empty"):
            made = self._cu.pagelocked_empty(nbytes, np.uint8, mem_flags=flags.PORTABLE | flags.DEVICEMAP)
            host, address = int(made.ctypes.data), int(made.base.get_device_pointer())
        self._kept[host] = made
        return host, address

    def free_host(self, host: int) -> None:
        with self._told("HostAllocation.free"):
            self._kept.pop(host).base.free()

    def copy_in(self, address: int, host: int, nbytes: int, stream: int) -> None:
        with self._told("memcpy_htod_async"):
            self._cu.memcpy_htod_async(address, (ctypes.c_uint8 * nbytes).from_address(host), self._kept[stream])

    def copy_out(self, host: int, address: int, nbytes: int, stream: int) -> None:
        with self._told("memcpy_dtoh_async"):
            self._cu.memcpy_dtoh_async((ctypes.c_uint8 * nbytes).from_address(host), address, self._kept[stream])

    def copy(self, to: int, address: int, nbytes: int, stream: int) -> None:
        with self._told("memcpy_dtod_async"):
            self._cu.memcpy_dtod_async(to, address, nbytes, self._kept[stream])

    def memory_left(self) -> tuple[int, int]:
        with self._told("mem_get_info"):
            free, total = self._cu.mem_get_info()
        return int(free), int(total)

    def make_stream(self) -> int:
        with self._told("Stream"):
            made = self._cu.Stream(NON_BLOCKING)
        self._kept[made.handle] = made
        return int(made.handle)

    def drop_stream(self, stream: int) -> None:
        del self._kept[stream]  # pycuda destroys the stream with its object

    def finish(self, stream: int) -> None:
        with self._told("Stream.synchronize"):
            self._kept[stream].synchronize()

    def make_event(self) -> int:
        with self._told("Event"):
            return self._keep(self._cu.Event())

    def drop_event(self, event: int) -> None:
        del self._kept[event]

    def record(self, event: int, stream: int) -> None:
        with self._told("Event.record"):
            self._kept[event].record(self._kept[stream])

    def finish_event(self, event: int) -> None:
        with self._told("Event.synchronize"):
            self._kept[event].synchronize()

    def follow(self, stream: int, event: int) -> None:
        with self._told("Stream.wait_for_event"):
            self._kept[stream].wait_for_event(self._kept[event])

    def elapsed_ms(self, first: int, second: int) -> float:
        with self._told("Event.time_till"):
            return float(self._kept[first].time_till(self._kept[second]))

    def load_module(self, image: bytes) -> int:
        with self._told("module_from_buffer"):
            made = self._keep(self._cu.module_from_buffer(image))
        self._functions[made] = []
        return made

    def drop_module(self, module: int) -> None:
        for function in self._functions.pop(module):
            del self._kept[function]  # functions keep the module alive
        del self._kept[module]

    def function(self, module: int, name: str) -> int:
        with self._told("Module.get_function"):
            made = self._keep(self._kept[module].get_function(name))
        self._functions[module].append(made)
        return made

    def launch(self, function: int, launch: Launch, stream: int) -> None:
        with self._told(launch.name):
            self._kept[function](
                np.void(launch.args),
                grid=launch.grid, block=launch.block, shared=launch.shared_bytes, stream=self._kept[stream],
            )  # fmt: skip

    def begin_capture(self, stream: int) -> None:
        self._ask("cuStreamBeginCapture_v2", ctypes.c_void_p(stream), THREAD_LOCAL)

    def end_capture(self, stream: int) -> int:
        graph, ready = ctypes.c_void_p(), ctypes.c_void_p()
        self._ask("cuStreamEndCapture", ctypes.c_void_p(stream), ctypes.byref(graph))
        try:
            self._ask("cuGraphInstantiateWithFlags", ctypes.byref(ready), graph, ctypes.c_ulonglong(0))
        finally:
            self._ask("cuGraphDestroy", graph)
        return int(ready.value or 0)

    def abort_capture(self, stream: int) -> None:
        graph = ctypes.c_void_p()
        code = self._libcuda.cuStreamEndCapture(ctypes.c_void_p(stream), ctypes.byref(graph))
        if not code:  # fails if the capture failed
            self._ask("cuGraphDestroy", graph)

    def replay(self, graph: int, stream: int) -> None:
        self._ask("cuGraphLaunch", ctypes.c_void_p(graph), ctypes.c_void_p(stream))

    def drop_graph(self, graph: int) -> None:
        self._ask("cuGraphExecDestroy", ctypes.c_void_p(graph))

    def _keep(self, made: Any) -> int:
        """Return a number for an object without a handle; the number is odd, unlike every handle and address."""
        number = 2 * next(self._numbers) + 1
        self._kept[number] = made
        return number

    @contextmanager
    def _told(self, call: str) -> Iterator[None]:
        try:
            yield
        except self._cu.Error as error:
            raise failure(call, str(error)) from error

    def _ask(self, name: str, *given: Any) -> None:
        if not hasattr(self._libcuda, name):
            raise failure(name, f"Function {name} not found")
        code = getattr(self._libcuda, name)(*given)
        if code:
            text = ctypes.c_char_p()
            self._libcuda.cuGetErrorName(code, ctypes.byref(text))
            raise failure(name, (text.value or b"").decode() or f"CUresult {code}")


@functools.cache
def primary(cu: ModuleType) -> Any:
    """Return the object of the primary context, which is kept until the program ends."""
    cu.init()
    context = cu.Device(ORDINAL).retain_primary_context()
    atexit.register(_give_up, context)
    return context


def _give_up(context: Any) -> None:
    context.push()  # pycuda can release only the current context
    context.detach()
