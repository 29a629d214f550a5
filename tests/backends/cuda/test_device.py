"""The GPU is asked of libcuda; a double of it answers here."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import pytest

from edgepose.backends.cuda.device import Device, find_device
from edgepose.errors import EngineError

CARD = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\nGCC version: gcc 13.2.0\n"
JETSON = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n"


class Cuda:
    """libcuda with one integrated GPU of compute capability 8.7."""

    def __init__(self, code: int = 0, fails: str = "cuInit") -> None:
        self.code, self.fails = code, fails

    def _end(self, name: str) -> int:
        return self.code if name == self.fails else 0

    def cuInit(self, flags: int) -> int:
        return self._end("cuInit")

    def cuDriverGetVersion(self, version: Any) -> int:
        version._obj.value = 12060
        return 0

    def cuDeviceGet(self, handle: Any, ordinal: int) -> int:
        handle._obj.value = ordinal
        return self._end("cuDeviceGet")

    def cuDeviceGetName(self, name: Any, size: int, handle: ctypes.c_int) -> int:
        name.value = b"Orin"
        return 0

    def cuDeviceGetAttribute(self, value: Any, number: int, handle: ctypes.c_int) -> int:
        value._obj.value = {75: 8, 76: 7, 18: 1}[number]
        return 0


@pytest.mark.parametrize(
    ("texts", "driver"), [((CARD, None), "580.65.06"), ((None, JETSON), "R36.4.3"), ((None, None), "unknown")]
)
def test_what_libcuda_tells(tmp_path: Path, texts: tuple[str | None, ...], driver: str) -> None:
    files = (tmp_path / "version", tmp_path / "nv_tegra_release")
    for path, text in zip(files, texts, strict=True):
        if text is not None:
            path.write_text(text)
    expected = Device(name="Orin", compute_capability="8.7", integrated=True, driver=driver, cuda="12.6")
    assert find_device(lambda name: Cuda(), files, tmp_path / "model") == expected
    (tmp_path / "model").write_bytes(b"NVIDIA Jetson Orin Nano\0")
    assert find_device(lambda name: Cuda(), files, tmp_path / "model").board == "NVIDIA Jetson Orin Nano"


def test_no_driver() -> None:
    def load(name: str) -> Any:
        raise OSError(f"{name}: cannot open shared object file")

    with pytest.raises(EngineError, match=r"no NVIDIA driver is installed \(libcuda\.so\.1"):
        find_device(load)


@pytest.mark.parametrize(
    ("code", "fails", "says"),
    [
        (100, "cuInit", "sees no GPU"),
        (35, "cuInit", "older than the CUDA libraries"),
        (999, "cuInit", "CUresult 999"),
        (101, "cuDeviceGet", "CUresult 101"),
    ],
)
def test_a_driver_that_fails(code: int, fails: str, says: str) -> None:
    with pytest.raises(EngineError, match=says):
        find_device(lambda name: Cuda(code, fails))
