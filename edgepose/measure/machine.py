"""What machine this is: written beside every number that was measured on it."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from typing import Any

from edgepose.backends import packages
from edgepose.backends.cpu import cpu_flags, cpu_name, int8_reason

# name in reports -> the distributions that may provide the library, in the order in which they are looked for;
# backends declare theirs
LIBRARIES: dict[str, tuple[str, ...]] = {
    "numpy": ("numpy",),
    "opencv": ("opencv-python-headless", "opencv-python", "opencv-contrib-python"),
    "onnx": ("onnx",),
    "torch": ("torch",),
    "cudnn": ("nvidia-cudnn-cu13", "nvidia-cudnn-cu12"),  # of pip; JetPack's stands in board.py
    "cuda-bindings": ("cuda-bindings",),
}


def describe() -> dict[str, Any]:
    """A JSON value: CPU, memory, system, library versions, and how busy the machine is now.

    cpu_flags: the instruction sets that decide speed. int8: whether INT8 engines compute in integers here.
    load_average: over 1, 5 and 15 minutes; above zero at the start of a benchmark is noise in its numbers.
    """
    reason = int8_reason()
    return {
        "cpu": cpu_name(),
        "cpu_flags": list(cpu_flags()),
        "int8": f"computed in float: {reason}" if reason else "integers",
        "cores": os.cpu_count(),
        "cores_usable": _usable_cores(),
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "versions": _versions(LIBRARIES | packages()),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def pip_opencv() -> str | None:
    """`opencv-python 4.11.0.86`, where pip installed one; JetPack's own leaves no such record."""
    for name in LIBRARIES["opencv"]:
        with contextlib.suppress(metadata.PackageNotFoundError):
            return f"{name} {metadata.version(name)}"
    return None


def _usable_cores() -> int | None:
    """The cores this process may run on (a container or taskset may allow fewer); None off Linux."""
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
