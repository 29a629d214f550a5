"""The protocol every backend speaks: `build` an ONNX into an engine folder, `open` it into a Session.

A backend is a module with four functions, listed by name in `edgepose.backends.BACKENDS`:

    problem() -> str | None                       why it cannot be used here, or None when it can
    version() -> str                              the library's version
    build(onnx_path, folder, options)             write the payload into an existing, empty folder
    open(folder, options) -> Session              load what build wrote
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

from edgepose._checks import Array


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """precision: fp32, fp16 or int8, what the graph holds.

    batch: (min, opt, max) for shape profiles; nothing reads it until there is a TensorRT backend.
    """

    precision: str = "fp32"
    batch: tuple[int, int, int] = (1, 1, 8)


@dataclass(frozen=True, kw_only=True)
class OpenOptions:
    """threads: CPU threads for inference, 0 = the library's default. bf16 is never chosen silently."""

    threads: int = 0


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
    def version(self) -> str: ...
    def build(self, onnx_path: Path, folder: Path, options: BuildOptions) -> None: ...
    def open(self, folder: Path, options: OpenOptions) -> Session: ...
