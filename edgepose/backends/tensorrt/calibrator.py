"""A calibrator that reads ranges from a cache file and asks for no images; TensorRT 8.6 and 10 have such.

The file is written by `quantize.cache` from scales.json. Entropy calibration is the kind that a DLA takes too;
here it means no more than the name in the file's first line, since nothing is calibrated.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any


def calibrator_from(trt: ModuleType, path: Path) -> Any:
    """An IInt8EntropyCalibrator2 that answers with the file's content."""

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
            pass  # the file stays what it was made of

    return Calibrator()
