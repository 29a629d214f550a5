"""Protocols of a backend and of its sessions.

A backend is a module with the functions of `Backend`. Its declaration, which `edgepose.backends.BACKENDS` lists,
names the module; `edgepose.backends.load` imports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from edgepose._checks import Array
from edgepose._progress import Track, quiet
from edgepose.artifacts.manifest import Manifest
from edgepose.backends.declaration import BuildOptions
from edgepose.errors import UsageError

if TYPE_CHECKING:
    from edgepose.backends.cuda import Driver


@dataclass(frozen=True, kw_only=True)
class OpenOptions:
    """How to open an engine. bf16 is never chosen silently.

    Attributes:
        threads: CPU threads for inference; 0 is the library's default.
        compiled_dir: Folder in which the library may keep compiled code of this engine, so that the next opening is
            faster.
        check: Whether `engine.open_engine` runs the acceptance sample and refuses an engine that computes something
            else than when it was built.
    """

    threads: int = 0
    compiled_dir: Path | None = None
    check: bool = False

    def __post_init__(self) -> None:
        """Refuse a negative number of threads."""
        if self.threads < 0:
            raise UsageError(f"threads = {self.threads}; expected 0, the library's default, or more")


@dataclass(frozen=True, kw_only=True)
class Built:
    """Facts about a build; most of them are written into the manifest.

    Attributes:
        machine: Machine that the engine was built on.
        inputs: Names of the graph's inputs, where the backend knows them after the build.
        outputs: Names of the graph's outputs, likewise.
        shapes: Smallest, usual and largest shape of each input, where the engine is limited to such a range.
        build: Settings of the build.
        layers: Precision of each layer, for an engine that cannot be opened on this machine.
        notes: Remarks for the user, one line each.
    """

    machine: dict[str, str]
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    shapes: dict[str, list[list[int]]] = field(default_factory=dict)
    build: dict[str, str] = field(default_factory=dict)
    layers: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Session(Protocol):
    """A loaded engine. Only one thread may use a session at a time.

    Attributes:
        inputs: Names of the inputs.
        outputs: Names of the outputs.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def run(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """Run the network on arrays in host memory.

        Args:
            feed: An array [N, ...] float32 for each input, for any N >= 1.

        Returns:
            An array [N, ...] for each output. The caller owns the arrays.

        Raises:
            EngineError: The library fails, or the session is closed.
            ValueError: The feed has wrong names, shapes or dtypes.
        """
        ...

    def layers(self) -> dict[str, str]:
        """Return the precision that each layer runs in: fp32, fp16, bf16 or int8. Data movement is left out."""
        ...

    def close(self) -> None:
        """Free the network. A second call has no effect."""
        ...

    def __enter__(self) -> Session: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Backend(Protocol):
    """Functions of a backend module."""

    def problem(self) -> str | None:
        """Return why this backend cannot build engines on this machine and what to do, or None when it can."""
        ...

    def cannot_open(self) -> str | None:
        """Return why this backend can build engines here but not open them, or None when it can open them."""
        ...

    def version(self) -> str:
        """Return the version of the library."""
        ...

    def refuse(self, options: BuildOptions) -> None:
        """Refuse options that this machine or this version of the library cannot build with.

        Raises:
            BuildError: An option cannot be used; the message says why.
        """
        ...

    def graph_for(self, options: BuildOptions) -> str:
        """Return the precision of the graph that is compiled for these options."""
        ...

    def build(self, onnx_path: Path, folder: Path, options: BuildOptions, track: Track = quiet) -> Built:
        """Compile a graph.

        Args:
            onnx_path: The graph.
            folder: An empty folder that exists; it receives the payload.
            options: An instance of the class that the backend declares.
            track: Shows the progress.

        Raises:
            BuildError: The library cannot compile the graph.
        """
        ...

    def differs(self, manifest: Manifest) -> list[str]:
        """Return the differences between this machine and the one an engine was built for, one line each."""
        ...

    def open(self, folder: Path, options: OpenOptions) -> Session:
        """Load an engine that `build` wrote.

        Raises:
            EngineError: The library cannot load it.
        """
        ...


class DeviceContext(Protocol):
    """An execution context with its own buffers and batch size. Its work is enqueued on a CUDA stream."""

    def bind(self, name: str, address: int) -> None:
        """Use the device memory at `address` for an input or output until the next `bind` of this name."""
        ...

    def set_batch(self, size: int) -> None:
        """Set the number of people of the next `enqueue`."""
        ...

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an input or output at the current batch size."""
        ...

    def capturable(self, stream: int) -> bool:
        """Return whether `enqueue` may be captured into a CUDA graph."""
        ...

    def forget(self) -> None:
        """Clear the errors that were logged so far, so that later messages do not repeat them."""
        ...

    def enqueue(self, stream: int) -> None:
        """Enqueue one inference and return before it has finished."""
        ...


@runtime_checkable
class DeviceSession(Protocol):
    """What a session on a GPU offers in addition to `Session`, for a pipeline that stays on the device.

    Attributes:
        inputs: Names of the inputs.
        outputs: Names of the outputs.
        driver: Owner of the session's memory and streams.
        smallest: Smallest number of people per call.
        largest: Largest number of people per call.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    driver: Driver
    smallest: int
    largest: int

    @property
    def scratch_bytes(self) -> int:
        """Device memory that a context needs while it runs; contexts on one stream may share it."""
        ...

    def make_context(self, scratch: int) -> DeviceContext:
        """Return a new context that uses `scratch_bytes` of device memory at the address `scratch`."""
        ...

    def dtype(self, name: str) -> np.dtype[Any]:
        """Return the data type of an input or output."""
        ...
