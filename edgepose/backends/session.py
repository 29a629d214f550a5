"""The protocol every backend speaks: `build` an ONNX into an engine folder, `open` it into a Session.

A backend is a module with these functions, listed by name in `edgepose.backends.BACKENDS`:

    problem() -> str | None                       why it cannot build here, or None when it can
    cannot_open() -> str | None                   why it can build here and not open, or None when it can
    version() -> str                              the library's version
    refuse(options)                               raise BuildError for options it cannot build with
    graph_for(options) -> str                     the precision of the graph it compiles for these options
    build(onnx_path, folder, options, track)      write the payload into an existing, empty folder
    differs(manifest) -> list[str]                what of this machine does not fit an engine, field by field
    open(folder, options) -> Session              load what build wrote
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

if TYPE_CHECKING:
    from edgepose.backends.cuda import Driver


@dataclass(frozen=True, kw_only=True)
class OpenOptions:
    """threads: CPU threads for inference, 0 = the library's default. bf16 is never chosen silently."""

    threads: int = 0


@dataclass(frozen=True, kw_only=True)
class Built:
    """What a build has to say beside the payload; most of it goes into the manifest, see there.

    inputs, outputs: names of the graph's ports, where the backend sees them while it builds. notes: what a
    person should know, a line each.
    """

    machine: dict[str, str]
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    shapes: dict[str, list[list[int]]] = field(default_factory=dict)
    build: dict[str, str] = field(default_factory=dict)
    layers: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Session(Protocol):
    """A loaded engine. One session belongs to one thread at a time; `close` may be called twice."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def run(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """Run host arrays [N, ...] for any N >= 1; the returned arrays belong to the caller.

        Raises EngineError when the library fails or the session is closed, ValueError for a wrong feed.
        """
        ...

    def layers(self) -> dict[str, str]:
        """Layer -> the precision it really runs in (fp32, fp16, bf16, int8), data movement left out."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Session: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Backend(Protocol):
    """What a backend module offers; see the module docstring."""

    def problem(self) -> str | None: ...
    def cannot_open(self) -> str | None: ...
    def version(self) -> str: ...
    def refuse(self, options: BuildOptions) -> None: ...
    def graph_for(self, options: BuildOptions) -> str: ...
    def build(self, onnx_path: Path, folder: Path, options: BuildOptions, track: Track = quiet) -> Built: ...
    def differs(self, manifest: Manifest) -> list[str]: ...
    def open(self, folder: Path, options: OpenOptions) -> Session: ...


class DeviceContext(Protocol):
    """An engine with buffers and a batch size of its own; work is given to a CUDA stream."""

    def bind(self, name: str, address: int) -> None: ...
    def set_batch(self, size: int) -> None: ...
    def shape(self, name: str) -> tuple[int, ...]: ...
    def capturable(self, stream: int) -> bool: ...
    def forget(self) -> None: ...
    def enqueue(self, stream: int) -> None: ...


@runtime_checkable
class DeviceSession(Protocol):
    """What a session on a GPU has besides: a pipeline makes contexts and memory there and leaves nothing but joints.

    smallest, largest: people at once. scratch_bytes: device memory a context needs; contexts of one stream share it.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    driver: Driver
    smallest: int
    largest: int

    @property
    def scratch_bytes(self) -> int: ...
    def make_context(self, scratch: int) -> DeviceContext: ...
    def dtype(self, name: str) -> np.dtype[Any]: ...
