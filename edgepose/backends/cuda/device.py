"""Which GPU this machine has: name, compute capability, driver and CUDA version, asked of libcuda by ctypes.

    device = find_device()      Device(name="Orin", compute_capability="8.7", ...), or EngineError without one

Test alone: `pytest tests/backends/cuda/test_device.py`.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgepose.errors import EngineError

LIBRARY = "libcuda.so.1"
# Where the kernel module says its version: desktop and server cards, then Jetson's own release file.
DRIVER_FILES = (Path("/proc/driver/nvidia/version"), Path("/etc/nv_tegra_release"))
BOARD = Path("/proc/device-tree/model")
MAJOR, MINOR, INTEGRATED = 75, 76, 18  # CUdevice_attribute
INSUFFICIENT_DRIVER, NO_DEVICE = 35, 100  # CUresult


@dataclass(frozen=True, kw_only=True)
class Device:
    """compute_capability: "8.7". integrated: shares its memory with the CPU. cuda: the newest the driver takes.

    board: of an integrated one, "NVIDIA Jetson Orin Nano Developer Kit": the GPUs of all Orins have the same name.
    """

    name: str
    compute_capability: str
    integrated: bool
    driver: str
    cuda: str
    board: str = ""


def find_device(
    load: Callable[[str], Any] = ctypes.CDLL, driver_files: tuple[Path, ...] = DRIVER_FILES, board: Path = BOARD
) -> Device:
    """The first GPU. EngineError says why there is none; `load` opens a shared library."""
    try:
        cuda = load(LIBRARY)
    except OSError as error:
        raise EngineError(
            f"no NVIDIA driver is installed ({LIBRARY} cannot be loaded); an engine for a GPU runs only where one is"
        ) from error
    _check(cuda.cuInit(0))
    version, handle, name = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(256)
    _check(cuda.cuDriverGetVersion(ctypes.byref(version)))
    _check(cuda.cuDeviceGet(ctypes.byref(handle), 0))
    _check(cuda.cuDeviceGetName(name, 256, handle))
    major, minor, integrated = (_attribute(cuda, handle, number) for number in (MAJOR, MINOR, INTEGRATED))
    return Device(
        name=name.value.decode(),
        compute_capability=f"{major}.{minor}",
        integrated=bool(integrated),
        driver=_driver_version(driver_files),
        cuda=f"{version.value // 1000}.{version.value % 1000 // 10}",
        board=board.read_text(errors="replace").strip("\0 \n") if integrated and board.is_file() else "",
    )


def _attribute(cuda: Any, handle: ctypes.c_int, number: int) -> int:
    value = ctypes.c_int()
    _check(cuda.cuDeviceGetAttribute(ctypes.byref(value), number, handle))
    return value.value


def _check(code: int) -> None:
    if code == NO_DEVICE:
        raise EngineError("an NVIDIA driver is installed and sees no GPU; is it passed through to this container?")
    if code == INSUFFICIENT_DRIVER:
        raise EngineError("the NVIDIA driver is older than the CUDA libraries installed; upgrade the driver")
    if code:
        raise EngineError(f"the NVIDIA driver fails (CUresult {code}); see nvidia-smi, or dmesg on a Jetson")


def _driver_version(files: tuple[Path, ...]) -> str:
    """`580.65.06` of a card, `R36.4.3` of a Jetson; `unknown` where neither file is there."""
    patterns = (r"Kernel Module.*?(\d+\.\d+(?:\.\d+)*)", r"# (R\d+) \(release\), REVISION: ([\d.]+)")
    for path, pattern in zip(files, patterns, strict=True):
        if path.is_file():
            found = re.search(pattern, path.read_text(encoding="utf-8", errors="replace"))
            if found:
                return ".".join(found.groups())
    return "unknown"
