"""The driver layer: which GPU is here, and the small protocol through which sessions use its memory.

`find_device` asks libcuda itself, through ctypes: manifests and error messages need the name, and they need it
before any CUDA package is installed. Memory and streams come through `Driver`.
"""

from __future__ import annotations

from typing import Protocol

from edgepose._checks import Array
from edgepose.errors import EngineError


class Driver(Protocol):
    """CUDA memory and one stream. Addresses and the stream are plain integers, as TensorRT takes them.

    Everything is ordered on `stream`; `download` returns when its array is filled. Errors are EngineError.
    """

    stream: int

    def allocate(self, nbytes: int) -> int:
        """The address of new device memory."""
        ...

    def free(self, address: int) -> None: ...

    def upload(self, address: int, array: Array) -> None:
        """Copy a contiguous host array to the device."""
        ...

    def download(self, array: Array, address: int) -> None:
        """Fill a contiguous host array from the device, once all work given to the stream is done."""
        ...

    def close(self) -> None: ...


def open_driver() -> Driver:
    """A driver for the GPU of this machine. EngineError where there is none."""
    problem = driver_problem()
    raise EngineError(problem)


def driver_problem() -> str:
    """Why no session can use the GPU here."""
    return (
        "this version of edgepose builds TensorRT engines and has no CUDA driver layer to run them with; "
        "time them with trtexec --loadEngine, or build for --backend openvino"
    )
