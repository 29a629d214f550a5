"""The kernels of csrc/cuda compiled for the CPU, as a library for ctypes (kernels/cuda_host/launch.cpp).

Tests get it as the fixture `emulated`.
"""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

from edgepose.kernels.cuda import KERNELS, structs

HERE = Path(__file__).resolve().parent
CSRC = HERE.parent / "edgepose" / "kernels" / "csrc"
OPTIONS = ["-std=c++17", "-O2", "-ffp-contract=off", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"]
# psabi, unknown-pragmas: of no matter here. march: with fma where the host extension has it.
OPTIONS += ["-Wno-psabi", "-Wno-unknown-pragmas", "-march=native", "-pthread"]


def layout() -> str:
    """static_asserts that the structures of edgepose.kernels.cuda are those of core/jobs.h."""
    lines = []
    for job in vars(structs).values():
        if not (isinstance(job, type) and issubclass(job, ctypes.Structure)):
            continue
        lines.append(f"static_assert(sizeof(ep::{job.__name__}) == {ctypes.sizeof(job)});")
        for field in job._fields_:
            offset, size = getattr(job, field[0]).offset, getattr(job, field[0]).size
            member = f"ep::{job.__name__}, {field[0]}"
            lines.append(f"static_assert(offsetof({member}) == {offset});")
            lines.append(f"static_assert(sizeof(ep::{job.__name__}::{field[0]}) == {size});")
    lines.append(f"static_assert(ep::kTapsMax == {structs.TAPS_MAX});")
    return "#include <stddef.h>\n" + "\n".join(lines) + "\n"


def compile_kernels(compiler: str, folder: Path) -> ctypes.CDLL:
    """The library, made in `folder`."""
    (folder / "entries.inc").write_text("".join(f"EP_ENTRY({name})\n" for name in KERNELS))
    (folder / "layout.inc").write_text(layout())
    compiled, made = folder / "launch.o", folder / "cuda_host.so"
    source = HERE / "kernels" / "cuda_host"
    includes = [f"-I{folder}", f"-I{CSRC / 'cuda'}", f"-I{source}"]
    for command in (
        [compiler, *OPTIONS, *includes, "-c", source / "launch.cpp", "-o", compiled],
        ["objcopy", "--rename-section", ".bss=cuda_host_shared", compiled],
        [compiler, "-shared", compiled, "-o", made],
    ):
        subprocess.run(command, check=True)
    library = ctypes.CDLL(str(made))
    library.cuda_host_launch.restype = ctypes.c_char_p
    return library
