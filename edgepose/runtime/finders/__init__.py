"""Person finders: where the people of a frame are.

A kind of finder is a module with `open_finder(text, options)`, a context manager, and one line in `FINDERS`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from edgepose._checks import Array
from edgepose.errors import UsageError
from edgepose.graph.folder import network_file
from edgepose.pose.poses import Poses

if TYPE_CHECKING:
    from edgepose.backends.session import OpenOptions


class Finder(Protocol):
    """Finds the people of a frame."""

    def __call__(self, image: Array, frame_name: str, previous: Poses | None) -> tuple[Array, Array]:
        """Find people.

        Args:
            image: The frame, [H, W, 3] uint8 BGR.
            frame_name: The name of the frame.
            previous: The poses of the latest frame that is finished, or None before the first one and where images
                do not follow each other in time. A pipeline that starts on a frame before the last one is finished
                (`Pipeline.ahead`) gives the poses of an earlier frame.

        Returns:
            A pair, best person first: bounding boxes, [N, 4] float32 xyxy in image pixels, and scores, [N] float32.
        """
        ...


@runtime_checkable
class NumberedFinder(Protocol):
    """A finder that may know images by the number that a data set gives them."""

    def number_frames(self, numbers: Mapping[str, int]) -> None:
        """Learn the numbers: frame name -> image id."""
        ...


@runtime_checkable
class NotingFinder(Protocol):
    """A finder that may have something to say after a run."""

    def notes(self) -> list[str]:
        """Return lines for the user, such as boxes that belong to no frame."""
        ...


def notes_of(finder: Finder | None) -> list[str]:
    """Return what a finder has to say after a run; nothing for most finders."""
    return finder.notes() if isinstance(finder, NotingFinder) else []


@dataclass(frozen=True)
class Kind:
    """A kind of finder: the module that opens it, and what a user writes, in words."""

    module: str
    what: str


# the word, or the suffix of the file, that a user gives
FINDERS = {
    "whole": Kind("edgepose.runtime.finders.whole", "whole"),
    ".json": Kind("edgepose.runtime.finders.boxes_file", "a boxes file *.json"),
    ".onnx": Kind("edgepose.runtime.finders.yolox", "a YOLOX network *.onnx"),
}


def open_finder(text: str, options: OpenOptions) -> AbstractContextManager[Finder]:
    """Open the person finder that a user names.

    Args:
        text: `whole`, or the path of a boxes file (.json) or of a YOLOX network (.onnx).
        options: How networks are opened.

    Returns:
        A context manager that gives the finder.

    Raises:
        UsageError: No kind of finder has this name or suffix.
    """
    if text not in FINDERS:
        text = str(network_file(Path(text)))
    kind = FINDERS.get(text) or FINDERS.get(Path(text).suffix)
    if kind is None:
        whats = [kind.what for kind in FINDERS.values()]
        raise UsageError(f"detector {text!r}: expected {', '.join(whats[:-1])} or {whats[-1]}")
    opened: AbstractContextManager[Finder] = importlib.import_module(kind.module).open_finder(text, options)
    return opened
