"""The kernels of csrc/cuda compiled for the CPU, and memory that catches reads and writes beyond an array."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import DTypeLike

pytest.register_assert_rewrite("device_tests")

from guarded import Guarded  # noqa: E402

from edgepose._checks import Array  # noqa: E402
from edgepose.kernels import choice  # noqa: E402
from edgepose.kernels.cuda import KERNELS, DeviceArray, Launch, structs  # noqa: E402

HERE = Path(__file__).resolve().parent
CSRC = HERE.parents[2] / "edgepose" / "kernels" / "csrc"
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


@pytest.fixture(scope="session")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The library of launch.cpp."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ to compile the CUDA kernels for the CPU with")
    folder = tmp_path_factory.mktemp("cuda_host")
    (folder / "entries.inc").write_text("".join(f"EP_ENTRY({name})\n" for name in KERNELS))
    (folder / "layout.inc").write_text(layout())
    compiled, made = folder / "launch.o", folder / "cuda_host.so"
    for command in (
        [compiler, *OPTIONS, f"-I{folder}", f"-I{CSRC / 'cuda'}", "-c", HERE / "launch.cpp", "-o", compiled],
        ["objcopy", "--rename-section", ".bss=cuda_host_shared", compiled],
        [compiler, "-shared", compiled, "-o", made],
    ):
        subprocess.run(command, check=True)
    library = ctypes.CDLL(str(made))
    library.cuda_host_launch.restype = ctypes.c_char_p
    return library


class HostDevice:
    """A device in this process. Arrays lie flush with a forbidden page, and threads run in the order of `seed`."""

    fused = choice.native is not None and choice.native.instruction_set() not in ("sse2", "generic")

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._memory: dict[int, Guarded] = {}
        self.seed = 0

    def upload(self, array: Array) -> DeviceArray:
        there = self.empty(array.shape, array.dtype)
        self._memory[there.address].bytes[:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        return there

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> DeviceArray:
        kind: np.dtype[Any] = np.dtype(dtype)
        nbytes = int(np.prod(shape)) * kind.itemsize
        memory = Guarded(nbytes, kind.alignment, flush_with_start=self.seed % 2 == 1)
        self._memory[memory.address] = memory
        return DeviceArray(memory.address, shape, kind)

    def download(self, array: DeviceArray) -> Array:
        return np.asarray(self._memory[array.address].bytes.view(array.dtype).reshape(array.shape))

    def launch(self, launch: Launch) -> None:
        sizes = [(ctypes.c_uint * 3)(*size) for size in (launch.grid, launch.block)]
        assert launch.shared_bytes == 0
        error = self._library.cuda_host_launch(
            launch.name.encode(), *sizes, launch.args, ctypes.c_size_t(len(launch.args)), self.seed
        )
        assert error is None, error.decode()


@pytest.fixture(params=[0, 1, 2], ids=["in-order", "reversed", "shuffled"])
def device(request: pytest.FixtureRequest, emulated: ctypes.CDLL) -> Iterator[HostDevice]:
    made = HostDevice(emulated)
    made.seed = request.param
    yield made
