"""`Api` with NVIDIA's cuda-bindings (12.9, 13.x), whose calls return (CUresult, values...).

Run only the tests of this file with `pytest tests/backends/cuda/test_bindings.py`.
"""

from __future__ import annotations

import ctypes
from types import ModuleType
from typing import Any

from edgepose.backends.cuda.failures import failure
from edgepose.kernels.cuda import Launch

ORDINAL = 0
PORTABLE, MAPPED = 1, 2  # CU_MEMHOSTALLOC_PORTABLE, CU_MEMHOSTALLOC_DEVICEMAP
NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING


class BindingsApi:
    """See `Api`.

    Args:
        cu: The module cuda.bindings.driver.
    """

    name = "cuda-bindings"

    def __init__(self, cu: ModuleType) -> None:
        self._cu = cu
        self._call("cuInit", 0)
        self._device = self._call("cuDeviceGet", ORDINAL)
        attribute = cu.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_INTEGRATED
        self.integrated = bool(self._call("cuDeviceGetAttribute", attribute, self._device))
        self._context = self._call("cuDevicePrimaryCtxRetain", self._device)

    def push(self) -> None:
        self._call("cuCtxPushCurrent", self._context)

    def pop(self) -> None:
        self._call("cuCtxPopCurrent")

    def release(self) -> None:
        self._call("cuDevicePrimaryCtxRelease", self._device)

    def allocate(self, nbytes: int) -> int:
        return int(self._call("cuMemAlloc", nbytes))

    def free(self, address: int) -> None:
        self._call("cuMemFree", address)

    def allocate_host(self, nbytes: int) -> tuple[int, int]:
        host = int(self._call("cuMemHostAlloc", nbytes, PORTABLE | MAPPED))
        return host, int(self._call("cuMemHostGetDevicePointer", host, 0))

    def free_host(self, host: int) -> None:
        self._call("cuMemFreeHost", host)

    def copy_in(self, address: int, host: int, nbytes: int, stream: int) -> None:
        self._call("cuMemcpyHtoDAsync", address, host, nbytes, stream)

    def copy_out(self, host: int, address: int, nbytes: int, stream: int) -> None:
        self._call("cuMemcpyDtoHAsync", host, address, nbytes, stream)

    def copy(self, to: int, address: int, nbytes: int, stream: int) -> None:
        self._call("cuMemcpyDtoDAsync", to, address, nbytes, stream)

    def memory_left(self) -> tuple[int, int]:
        free, total = self._call("cuMemGetInfo")
        return int(free), int(total)

    def make_stream(self) -> int:
        return int(self._call("cuStreamCreate", NON_BLOCKING))

    def drop_stream(self, stream: int) -> None:
        self._call("cuStreamDestroy", stream)

    def finish(self, stream: int) -> None:
        self._call("cuStreamSynchronize", stream)

    def make_event(self) -> int:
        return int(self._call("cuEventCreate", 0))

    def drop_event(self, event: int) -> None:
        self._call("cuEventDestroy", event)

    def record(self, event: int, stream: int) -> None:
        self._call("cuEventRecord", event, stream)

    def finish_event(self, event: int) -> None:
        self._call("cuEventSynchronize", event)

    def follow(self, stream: int, event: int) -> None:
        self._call("cuStreamWaitEvent", stream, event, 0)

    def elapsed_ms(self, first: int, second: int) -> float:
        return float(self._call("cuEventElapsedTime", first, second))

    def load_module(self, image: bytes) -> int:
        return int(self._call("cuModuleLoadData", image))

    def drop_module(self, module: int) -> None:
        self._call("cuModuleUnload", module)

    def function(self, module: int, name: str) -> int:
        return int(self._call("cuModuleGetFunction", module, name.encode()))

    def launch(self, function: int, launch: Launch, stream: int) -> None:
        job = ctypes.create_string_buffer(launch.args, len(launch.args))
        parameters = (ctypes.c_void_p * 1)(ctypes.addressof(job))  # the call reads both before it returns
        sizes = (*launch.grid, *launch.block, launch.shared_bytes)
        self._call("cuLaunchKernel", function, *sizes, stream, ctypes.addressof(parameters), 0)

    def begin_capture(self, stream: int) -> None:
        mode = self._cu.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self._call("cuStreamBeginCapture", stream, mode)

    def end_capture(self, stream: int) -> int:
        graph = self._call("cuStreamEndCapture", stream)
        try:
            return int(self._call("cuGraphInstantiate", graph, 0))
        finally:
            self._call("cuGraphDestroy", graph)

    def abort_capture(self, stream: int) -> None:
        code, graph = self._cu.cuStreamEndCapture(stream)  # also fails if the capture failed
        if code == self._cu.CUresult.CUDA_SUCCESS:
            self._call("cuGraphDestroy", graph)

    def replay(self, graph: int, stream: int) -> None:
        self._call("cuGraphLaunch", graph, stream)

    def drop_graph(self, graph: int) -> None:
        self._call("cuGraphExecDestroy", graph)

    def _call(self, name: str, *given: Any) -> Any:
        """Return the value of a call: a tuple if it has several, and None if it has none."""
        try:
            code, *values = getattr(self._cu, name)(*given)
        except RuntimeError as error:  # the driver is missing or lacks the function
            raise failure(name, str(error)) from error
        if code != self._cu.CUresult.CUDA_SUCCESS:
            raise failure(name, getattr(code, "name", str(code)))
        return values[0] if len(values) == 1 else tuple(values) or None
