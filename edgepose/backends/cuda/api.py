"""Protocol of the CUDA calls that edgepose makes; `_bindings.py` and `_pycuda.py` implement it.

Implementations keep nothing but handles. `Driver` decides who owns a handle and in which thread the context is
current.
"""

from __future__ import annotations

from typing import Protocol

from edgepose.kernels.cuda import Launch


class Api(Protocol):
    """The primary context of one GPU, which torch and TensorRT use too. Errors are raised as EngineError.

    Handles and addresses are integers, as TensorRT takes them. Between `push` and `pop` the context is current in
    the calling thread, and all methods after `release` need it to be current.

    Attributes:
        name: Name of the CUDA package.
        integrated: Whether the GPU shares its memory with the CPU.
    """

    name: str
    integrated: bool

    def push(self) -> None:
        """Make the context current in this thread."""
        ...

    def pop(self) -> None:
        """Restore the context that was current before `push`."""
        ...

    def release(self) -> None:
        """Release the context, which lives until everything in the process has released it."""
        ...

    def allocate(self, nbytes: int) -> int:
        """Allocate device memory and return its address."""
        ...

    def free(self, address: int) -> None:
        """Free device memory."""
        ...

    def allocate_host(self, nbytes: int) -> tuple[int, int]:
        """Allocate page-locked host memory; return its addresses for the host and for the device."""
        ...

    def free_host(self, host: int) -> None:
        """Free page-locked host memory."""
        ...

    def copy_in(self, address: int, host: int, nbytes: int, stream: int) -> None:
        """Enqueue a copy from page-locked host memory to the device."""
        ...

    def copy_out(self, host: int, address: int, nbytes: int, stream: int) -> None:
        """Enqueue a copy from the device to page-locked host memory."""
        ...

    def copy(self, to: int, address: int, nbytes: int, stream: int) -> None:
        """Enqueue a copy within the device."""
        ...

    def memory_left(self) -> tuple[int, int]:
        """Return the free and the total device memory in bytes."""
        ...

    def make_stream(self) -> int:
        """Create a stream that does not wait for the default stream."""
        ...

    def drop_stream(self, stream: int) -> None:
        """Destroy a stream."""
        ...

    def finish(self, stream: int) -> None:
        """Wait until all work of the stream has finished."""
        ...

    def make_event(self) -> int:
        """Create an event."""
        ...

    def drop_event(self, event: int) -> None:
        """Destroy an event."""
        ...

    def record(self, event: int, stream: int) -> None:
        """Record an event after the work that the stream has so far."""
        ...

    def finish_event(self, event: int) -> None:
        """Wait until the work before the event has finished."""
        ...

    def follow(self, stream: int, event: int) -> None:
        """Make later work of the stream wait for the event."""
        ...

    def elapsed_ms(self, first: int, second: int) -> float:
        """Return the milliseconds between two events that have finished."""
        ...

    def load_module(self, image: bytes) -> int:
        """Load kernels from the content of a fatbin."""
        ...

    def drop_module(self, module: int) -> None:
        """Unload kernels."""
        ...

    def function(self, module: int, name: str) -> int:
        """Return the handle of a kernel."""
        ...

    def launch(self, function: int, launch: Launch, stream: int) -> None:
        """Enqueue a kernel."""
        ...

    def begin_capture(self, stream: int) -> None:
        """Start to record the work that this thread enqueues on the stream; other threads are not affected."""
        ...

    def end_capture(self, stream: int) -> int:
        """Stop recording and return a graph that can be replayed."""
        ...

    def abort_capture(self, stream: int) -> None:
        """Stop recording and discard what was recorded."""
        ...

    def replay(self, graph: int, stream: int) -> None:
        """Enqueue a graph."""
        ...

    def drop_graph(self, graph: int) -> None:
        """Destroy a graph."""
        ...
