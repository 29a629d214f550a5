"""The networks that edgepose includes: an ONNX file with its contract, and the quantization scales of its INT8 form.

MODEL_CARD.md in this folder describes the training data, the accuracy, the weaknesses and the license of `lite`.
"""

from __future__ import annotations

from pathlib import Path

from edgepose.errors import UsageError, nearest

# name -> file stem in this folder
ZOO: dict[str, str] = {"lite": "lite"}


def _file(name: str, suffix: str) -> Path:
    if name not in ZOO:
        raise UsageError(f"unknown zoo model {name!r}{nearest(name, ZOO)}")
    return Path(__file__).resolve().parent / (ZOO[name] + suffix)


def zoo_model(name: str) -> Path:
    """Return the path of the ONNX file of an included network.

    Raises:
        UsageError: There is no network of this name.
    """
    return _file(name, ".onnx")


def zoo_scales(name: str) -> Path:
    """Return the path of the scales.json of an included network.

    Raises:
        UsageError: There is no network of this name.
    """
    return _file(name, ".scales.json")
