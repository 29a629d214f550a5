"""The kernels of csrc/cuda compiled for the CPU with g++: tests/kernels/cuda_host/cuda_host.h is their CUDA."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

from edgepose.kernels.cuda import KERNELS, structs

HERE = Path(__file__).resolve().parent
CUDA_HOST = HERE / "kernels" / "cuda_host"
CSRC = HERE.parent / "edgepose" / "kernels" / "csrc"
OPTIONS = ["-std=c++17", "-O2", "-ffp-contract=off", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"]
# march: with fma where the host extension has it.
OPTIONS += ["-Wno-psabi", "-Wno-unknown-pragmas", "-march=native"]
SANITIZE = ["-fsanitize=undefined", "-fno-sanitize-recover=all"]


def layout() -> str:
    """static_asserts that the structures of edgepose.kernels.cuda are those of core/jobs.h."""
    lines = ["#include <stddef.h>"]
    for job in vars(structs).values():
        if not (isinstance(job, type) and issubclass(job, ctypes.Structure)):
            continue
        lines.append(f"static_assert(sizeof(ep::{job.__name__}) == {ctypes.sizeof(job)});")
        for field in job._fields_:
            place = getattr(job, field[0])
            lines.append(f"static_assert(offsetof(ep::{job.__name__}, {field[0]}) == {place.offset});")
            lines.append(f"static_assert(sizeof(ep::{job.__name__}::{field[0]}) == {place.size});")
    return "\n".join([*lines, f"static_assert(ep::kTapsMax == {structs.TAPS_MAX});", ""])


def compile_emulation(source: Path, made: Path, *link: str) -> None:
    """A library of a file that includes cuda_host.h. Skips where there is no g++."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ to compile the CUDA kernels for the CPU with")
    folder, compiled = made.parent, made.with_suffix(".o")
    (folder / "entries.inc").write_text("".join(f"EP_ENTRY({name})\n" for name in KERNELS))
    (folder / "layout.inc").write_text(layout())
    folders = [f"-I{path}" for path in (folder, CUDA_HOST, CSRC / "cuda", CSRC / "core")]
    for command in (
        [compiler, *OPTIONS, *SANITIZE, *folders, "-c", source, "-o", compiled],
        ["objcopy", "--rename-section", ".bss=cuda_host_shared", compiled],  # see __shared__ in cuda_host.h
        [compiler, *SANITIZE, "-shared", compiled, "-o", made, *link],
    ):
        subprocess.run(command, check=True)
