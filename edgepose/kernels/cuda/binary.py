"""The compiled kernels: one file for all GPUs named in CMakeLists.txt. It exists only if nvcc was available.

A JSON file next to it lists the architectures it was compiled for, so that no CUDA tool is needed to read them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from edgepose.errors import BuildError, MissingPackage
from edgepose.kernels.choice import WHY_NOT, native

NAME = "edgepose.fatbin"


@dataclass(frozen=True, kw_only=True)
class Fatbin:
    """The compiled kernels.

    Attributes:
        path: The file.
        toolkit: The version of nvcc that compiled it.
        architectures: The machine code in it, such as "sm_87".
        ptx: The intermediate code in it, such as "compute_120", which drivers compile for later GPUs.
    """

    path: Path
    toolkit: str
    architectures: tuple[str, ...]
    ptx: tuple[str, ...]


def extension() -> ModuleType:
    """Return the host extension, which converts matrices to the form that the kernels read.

    Raises:
        MissingPackage: The extension is not installed.
    """
    if native is None:
        raise MissingPackage(f"the CUDA kernels need the host extension, and {WHY_NOT}")
    return native


def fatbin() -> Path | None:
    """Return the file of compiled kernels, or None if it was not compiled."""
    if native is None or native.__file__ is None:
        return None
    path = Path(native.__file__).with_name(NAME)
    return path if path.is_file() else None


def built() -> Fatbin | None:
    """Return the contents of the file of compiled kernels, or None if it was not compiled.

    Raises:
        BuildError: The JSON file next to it cannot be read.
    """
    path = fatbin()
    if path is None:
        return None
    about = path.with_name(f"{NAME}.json")
    try:
        found = json.loads(about.read_text(encoding="utf-8"))
        return Fatbin(
            path=path, toolkit=found["toolkit"], architectures=tuple(found["architectures"]), ptx=tuple(found["ptx"])
        )
    except (OSError, ValueError, KeyError) as error:
        raise BuildError(f"{about}: cannot be read; install edgepose again") from error


def implementation() -> str:
    """Describe which GPUs the kernels were compiled for, or why there are none."""
    if native is None:
        return f"none: {WHY_NOT}"
    found = built()
    if found is None:
        return "none: edgepose was installed where nvcc was not found, or with EDGEPOSE_CUDA=OFF"
    return f"{', '.join(found.architectures)}, PTX {', '.join(found.ptx)}; nvcc {found.toolkit}; never run on a GPU yet"
