"""A description of the machine, recorded next to every number that was measured on it."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any

from edgepose.backends import packages
from edgepose.backends.cpu import cpu_flags, cpu_name, int8_reason

# Our name of a library -> the distributions that provide it, in the order in which they are looked up. Backends declare
# theirs.
LIBRARIES: dict[str, tuple[str, ...]] = {
    "numpy": ("numpy",),
    "opencv": ("opencv-python-headless", "opencv-python", "opencv-contrib-python"),
    "onnx": ("onnx",),
    "torch": ("torch",),
    "cudnn": ("nvidia-cudnn-cu13", "nvidia-cudnn-cu12"),  # installed by pip; board.py finds JetPack's
    "cuda-bindings": ("cuda-bindings",),
}


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine, as it is recorded next to every number that was measured on it.

    Attributes:
        cpu: Name of the CPU.
        cpu_flags: The instruction sets that decide speed.
        int8: Whether INT8 engines compute in integers on this CPU, in words.
        cores: Number of logical cores, None where the system does not say it.
        cores_usable: Number of cores that this process may run on, None where the system does not say it.
        memory_gib: Memory in GiB.
        system: Name and release of the operating system.
        architecture: "x86_64", "aarch64", ...
        python: Version of Python.
        versions: Library -> installed version.
        load_average: Load over 1, 5 and 15 minutes. A load at the start of a benchmark is noise in its numbers.
    """

    cpu: str
    cpu_flags: tuple[str, ...]
    int8: str
    cores: int | None
    cores_usable: int | None = None
    memory_gib: float
    system: str
    architecture: str
    python: str
    versions: dict[str, str]
    load_average: tuple[float, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Convert to a JSON value."""
        made = asdict(self)
        return made | {"cpu_flags": list(self.cpu_flags), "load_average": list(self.load_average)}


def describe() -> Machine:
    """Describe this machine as it is now."""
    reason = int8_reason()
    return Machine(
        cpu=cpu_name(),
        cpu_flags=tuple(cpu_flags()),
        int8=f"computed in float: {reason}" if reason else "integers",
        cores=os.cpu_count(),
        cores_usable=_usable_cores(),
        memory_gib=_memory_gib(),
        system=f"{platform.system()} {platform.release()}",
        architecture=platform.machine(),
        python=platform.python_version(),
        versions=_versions(LIBRARIES | packages()),
        load_average=tuple(round(load, 2) for load in os.getloadavg()),
    )


def pip_opencv() -> str | None:
    """Return name and version of the OpenCV that pip installed, "opencv-python 4.11.0.86"; None for JetPack's own."""
    for name in LIBRARIES["opencv"]:
        with contextlib.suppress(metadata.PackageNotFoundError):
            return f"{name} {metadata.version(name)}"
    return None


def _usable_cores() -> int | None:
    """The number of cores that this process may run on, which a container or taskset may limit; None off Linux."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def _memory_gib() -> float:
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)


def _versions(libraries: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Return the versions of the libraries that are installed."""
    found = {name: next(_installed(distributions), None) for name, distributions in libraries.items()}
    return {name: version for name, version in found.items() if version is not None}


def _installed(distributions: Iterable[str]) -> Iterator[str]:
    """Yield the version of each distribution that is installed."""
    for distribution in distributions:
        with contextlib.suppress(metadata.PackageNotFoundError):
            yield metadata.version(distribution)
