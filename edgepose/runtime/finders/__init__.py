"""Person finders: where the people of a frame are.

A kind of finder is a module with `open_finder(text, options)`, a context manager, and one line in `FINDERS`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from edgepose._checks import Array
from edgepose.backends.session import OpenOptions
from edgepose.errors import UsageError
from edgepose.pose.poses import Poses


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


@runtime_checkable
class TimedFinder(Protocol):
    """A finder that needs to know when a frame was taken."""

    def set_time(self, time_s: float) -> None:
        """Learn the time, in seconds, of the frame that the next call gets."""
        ...


def notes_of(finder: Finder | None) -> list[str]:
    """Return what a finder has to say after a run; nothing for most finders."""
    return finder.notes() if isinstance(finder, NotingFinder) else []


@dataclass(frozen=True, kw_only=True)
class FinderOptions(OpenOptions):
    """How a person finder is opened.

    Attributes:
        least_score: The score that a person must have; None takes what the network's contract says.
        classes: Names or numbers of the classes of a detector that count as people; empty takes "person".
    """

    least_score: float | None = None
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kind:
    """A kind of finder: the module that opens it, and what a user writes, in words."""

    module: str
    what: str


NETWORK = "network"  # what is no other word or file: an engine folder, a folder with an ONNX file, a zoo name

# the word, or the suffix of the file, that a user gives
FINDERS = {
    "whole": Kind("edgepose.runtime.finders.whole", "whole"),
    ".json": Kind("edgepose.runtime.finders.boxes_file", "a boxes file *.json"),
    ".onnx": Kind("edgepose.api.detector", "a detector *.onnx"),
    NETWORK: Kind("edgepose.api.detector", "the engine folder of one"),
}


def open_finder(text: str, options: OpenOptions) -> AbstractContextManager[Finder]:
    """Open the person finder that a user names.

    Args:
        text: `whole`, the path of a boxes file (.json), or a network that finds people: an ONNX file, the folder that
            one was published in, an engine folder or a zoo name.
        options: How networks are opened.

    Returns:
        A context manager that gives the finder.

    Raises:
        UsageError: No kind of finder has this name or suffix.
    """
    path = Path(text)
    kind = FINDERS.get(text) or FINDERS.get(path.suffix)
    if kind is None and (path.is_dir() or not path.suffix):
        kind = FINDERS[NETWORK]
    if kind is None:
        raise UsageError(f"detector {text!r}: {expected()}")
    opened: AbstractContextManager[Finder] = importlib.import_module(kind.module).open_finder(text, options)
    return opened


def expected() -> str:
    """Say what a user may name as a detector, as a clause."""
    whats = [kind.what for kind in FINDERS.values()]
    return f"expected {', '.join(whats[:-1])} or {whats[-1]}"
