"""A GPU through cuda-bindings: its primary context, memory, one stream, the kernels of `edgepose.kernels.cuda`.

    with Gpu() as gpu:
        address = gpu.allocate(array.nbytes)
        gpu.upload(address, array)
        gpu.launch(launch)
        gpu.download(array, address)

The primary context is what TensorRT, torch and CuPy use too. Works with cuda-bindings 12.9 (drivers of CUDA 12,
JetPack 6) and 13; it has never run on a GPU, only against the stand-in of tests/gpu/test_stand_in.py.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from types import ModuleType, TracebackType
from typing import Any

from edgepose._checks import Array
from edgepose._optional import optional
from edgepose.errors import EngineError, one_line
from edgepose.kernels.cuda import Launch, fatbin, implementation

NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: the legacy default stream does not wait for ours
CAPABILITY = (75, 76)  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR

HINTS = {
    "CUDA_ERROR_NO_DEVICE": ": the driver sees no GPU; is it passed through to this container?",
    "CUDA_ERROR_OUT_OF_MEMORY": ": free memory on the GPU, or give it fewer people at once",
    "CUDA_ERROR_NO_BINARY_FOR_GPU": ": edgepose doctor says which GPUs the kernels are for; compile it on this machine",
    "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH": ": the driver was upgraded; restart the machine",
}


class Gpu:
    """One GPU and one stream, on which everything is ordered. Addresses and the stream are plain integers.

    Any thread may call. EngineError for what the driver refuses.
    """

    def __init__(self, ordinal: int = 0) -> None:
        self._cuda: ModuleType = optional("cuda.bindings.driver")
        try:
            self._call(self._cuda.cuInit, 0)
        except RuntimeError as error:  # there is no libcuda
            raise EngineError(f"no NVIDIA driver is installed: {one_line(error)}") from error
        self._device = self._call(self._cuda.cuDeviceGet, ordinal)
        self._context = self._call(self._cuda.cuDevicePrimaryCtxRetain, self._device)
        self._open = True
        self._functions: dict[str, Any] = {}
        self._module: Any = None
        self._stream = self._in_context(self._cuda.cuStreamCreate, NON_BLOCKING)
        self.stream = int(self._stream)

    @property
    def name(self) -> str:
        """Of the GPU, and its compute capability."""
        text: bytes = self._call(self._cuda.cuDeviceGetName, 256, self._device)
        attribute = self._cuda.CUdevice_attribute
        major, minor = (
            self._call(self._cuda.cuDeviceGetAttribute, attribute(which), self._device) for which in CAPABILITY
        )
        return f"{text.split(bytes(1))[0].decode()}, sm_{major}{minor}"

    def allocate(self, nbytes: int) -> int:
        """The address of new device memory, of any bytes."""
        return int(self._in_context(self._cuda.cuMemAlloc, max(1, nbytes)))

    def free(self, address: int) -> None:
        self._in_context(self._cuda.cuMemFree, address)

    def upload(self, address: int, array: Array) -> None:
        """Copy a contiguous host array to the device."""
        self._in_context(self._cuda.cuMemcpyHtoDAsync, address, array.ctypes.data, array.nbytes, self._stream)

    def download(self, array: Array, address: int) -> None:
        """Fill a contiguous host array from the device, once all work given to the stream is done."""
        self._in_context(self._cuda.cuMemcpyDtoHAsync, array.ctypes.data, address, array.nbytes, self._stream)
        self.wait()

    def copy(self, to: int, address: int, nbytes: int) -> None:
        """Copy within the device."""
        self._in_context(self._cuda.cuMemcpyDtoDAsync, to, address, nbytes, self._stream)

    def launch(self, launch: Launch) -> None:
        """Give a kernel to the stream. The job's memory must live until the stream is through."""
        function = self._function(launch.name)
        job = ctypes.create_string_buffer(launch.args, len(launch.args))
        parameters = (ctypes.c_void_p * 1)(ctypes.addressof(job))  # copied by the driver before it returns
        self._in_context(
            self._cuda.cuLaunchKernel,
            function,
            *launch.grid,
            *launch.block,
            launch.shared_bytes,
            self._stream,
            ctypes.addressof(parameters),
            0,
        )

    def wait(self) -> None:
        """Until all work given to the stream is done."""
        self._in_context(self._cuda.cuStreamSynchronize, self._stream)

    def milliseconds(self, work: Callable[[], None]) -> float:
        """How long the stream takes for what `work` gives it."""
        start, end = (self._in_context(self._cuda.cuEventCreate, 0) for _ in range(2))
        try:
            self._in_context(self._cuda.cuEventRecord, start, self._stream)
            work()
            self._in_context(self._cuda.cuEventRecord, end, self._stream)
            self._in_context(self._cuda.cuEventSynchronize, end)
            return float(self._in_context(self._cuda.cuEventElapsedTime, start, end))
        finally:
            for event in (start, end):
                self._in_context(self._cuda.cuEventDestroy, event)

    def close(self) -> None:
        """Give the stream, the kernels and the context back; memory is the caller's to free, before. Twice is fine."""
        if not self._open:
            return
        self._open = False
        self._in_context(self._cuda.cuStreamDestroy, self._stream)
        if self._module is not None:
            self._in_context(self._cuda.cuModuleUnload, self._module)
        self._call(self._cuda.cuDevicePrimaryCtxRelease, self._device)

    def __enter__(self) -> Gpu:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _function(self, name: str) -> Any:
        if name not in self._functions:
            if self._module is None:
                self._module = self._in_context(self._cuda.cuModuleLoadData, _kernels())
            self._functions[name] = self._in_context(self._cuda.cuModuleGetFunction, self._module, name.encode())
        return self._functions[name]

    def _in_context(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call with our context current: another thread, or another library in this one, may have set another."""
        self._call(self._cuda.cuCtxSetCurrent, self._context)
        return self._call(function, *args)

    def _call(self, function: Callable[..., Any], *args: Any) -> Any:
        """What a driver function returns besides its code."""
        code, *found = function(*args)
        if code != self._cuda.CUresult.CUDA_SUCCESS:
            raise EngineError(f"{function.__name__}: {code.name}{HINTS.get(code.name, '')}")
        return found[0] if found else None


def _kernels() -> bytes:
    path = fatbin()
    if path is None:
        raise EngineError(f"there are no CUDA kernels to load: {implementation()}")
    return path.read_bytes()
