"""A calibrator that reads INT8 ranges from a file and needs no images, for TensorRT 8.6 and 10.

`quantize.cache` writes the file from scales.json. The calibrator has the kind "entropy", which a DLA accepts too.
The kind affects only the first line of the file, because the library calibrates nothing.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any


def calibrator_from(trt: ModuleType, path: Path) -> Any:
    """Return an IInt8EntropyCalibrator2 that reads its ranges from a file.

    Args:
        trt: The imported library.
        path: The calibration cache.
    """

    class Calibrator(trt.IInt8EntropyCalibrator2):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.IInt8EntropyCalibrator2.__init__(self)

        def get_batch_size(self) -> int:
            return 1

        def get_batch(self, names: list[str]) -> None:
            return None

        def read_calibration_cache(self) -> bytes:
            return path.read_bytes()

        def write_calibration_cache(self, cache: Any) -> None:
            pass  # the file is kept as `quantize.cache` wrote it

    return Calibrator()
