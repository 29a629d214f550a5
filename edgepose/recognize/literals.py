"""Python literals in the metadata of an ONNX file, as Ultralytics writes them."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, TypeGuard

from edgepose.graph.importing.limits import LONGEST
from edgepose.recognize.candidate import Candidate, Guess
from edgepose.recognize.ports import Image

if TYPE_CHECKING:
    from edgepose.pose.geometry import Size

USUAL: Size = (640, 640)


def literal(candidate: Candidate, key: str) -> object:
    """Return the value of a metadata property; None where it is missing or no literal.

    Args:
        candidate: The network.
        key: The property.
    """
    try:
        return ast.literal_eval(candidate.metadata.get(key, ""))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # TypeError: a dict with a list as a key
        return None


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a value is a whole number; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def size_said(candidate: Candidate) -> Size | None:
    """Return (height, width) as `imgsz` says, [height, width] or one number; None where it says no possible size.

    Args:
        candidate: The network.
    """
    value = literal(candidate, "imgsz")
    sides = list(value) if isinstance(value, (list, tuple)) else [value, value]
    lengths = [side for side in sides if is_whole(side) and 1 <= side <= LONGEST]
    return (lengths[0], lengths[1]) if len(sides) == len(lengths) == 2 else None


def size_of(candidate: Candidate, image: Image) -> tuple[Size, tuple[Guess, ...]]:
    """Return the size of the input, and the guess about it where neither the graph nor `imgsz` says it.

    Args:
        candidate: The network.
        image: Its input.
    """
    said = size_said(candidate)
    size = image.sized(said or USUAL)
    if said is not None or image.size is not None:
        return size, ()
    reason = "the usual size, as the graph takes images of any size and its metadata has no usable imgsz"
    return size, (Guess(field="input.size", value=str(list(size)), reason=reason),)
