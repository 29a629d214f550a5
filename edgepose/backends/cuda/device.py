"""Find the GPU of this machine: its name, compute capability, driver and CUDA version, from libcuda through ctypes.

    device = find_device()      # Device(name="Orin", compute_capability="8.7", ...); EngineError without a GPU

Run only the tests of this file with `pytest tests/backends/cuda/test_device.py`.
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
# Files with the version of the driver: of desktop and server cards, then of Jetsons.
DRIVER_FILES = (Path("/proc/driver/nvidia/version"), Path("/etc/nv_tegra_release"))
BOARD = Path("/proc/device-tree/model")
MAJOR, MINOR, INTEGRATED = 75, 76, 18  # CUdevice_attribute
INSUFFICIENT_DRIVER, NO_DEVICE = 35, 100  # CUresult


@dataclass(frozen=True, kw_only=True)
class Device:
    """A GPU.

    Attributes:
        name: Name of the GPU, such as "Orin".
        compute_capability: Compute capability, such as "8.7".
        integrated: Whether it shares its memory with the CPU.
        driver: Version of the driver.
        cuda: Newest CUDA version that the driver supports.
        board: Name of the board of an integrated GPU, since the GPUs of all Orin boards have the same name.
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
    """Return the first GPU.

    Args:
        load: Opens a shared library.
        driver_files: Files with the version of the driver.
        board: File with the name of the board.

    Raises:
        EngineError: There is no GPU that can be used; the message says why.
    """
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
    """Return the version of the driver: "580.65.06" for a card, "R36.4.3" for a Jetson, "unknown" without a file."""
    patterns = (r"Kernel Module.*?(\d+\.\d+(?:\.\d+)*)", r"# (R\d+) \(release\), REVISION: ([\d.]+)")
    for path, pattern in zip(files, patterns, strict=True):
        if path.is_file():
            found = re.search(pattern, path.read_text(encoding="utf-8", errors="replace"))
            if found:
                return ".".join(found.groups())
    return "unknown"
