"""The networks that ship: an ONNX with its contract inside, and the scales of its INT8 form.

MODEL_CARD.md beside this file says what `lite` was trained on, what it is good and bad at, and its license.
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
    """The ONNX of a network that ships."""
    return _file(name, ".onnx")


def zoo_scales(name: str) -> Path:
    """The scales.json of a network that ships."""
    return _file(name, ".scales.json")
