"""A person finder that takes its bounding boxes from a JSON file."""

from __future__ import annotations

import re
import reprlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from edgepose._checks import Array
from edgepose._files import read_json
from edgepose.backends.session import OpenOptions
from edgepose.errors import DataError, EdgeposeError
from edgepose.media.images import SUFFIXES
from edgepose.pose.geometry import FARTHEST_PX
from edgepose.pose.poses import Poses


@contextmanager
def open_finder(text: str, options: OpenOptions) -> Iterator[BoxesFile]:
    """Open the boxes file `text`. `options` are ignored.

    Raises:
        DataError: The file cannot be read; or, at the end of the block, none of its boxes belonged to a frame.
    """
    boxes = BoxesFile(Path(text))
    yield boxes
    boxes.check_used()


class BoxesFile:
    """The bounding boxes of a JSON file, as a person finder.

    The file is a list of {"frame" | "file_name" | "image_id", "bbox": [x, y, w, h], "score"}. This is COCO's detection
    format, and the format that `edgepose run --out-json` writes. COCO labels, {"images", "annotations"}, are accepted
    too. Entries of another category than 1 are ignored.

    An entry belongs to the frame of its name, with or without folder and image suffix. An entry that has only an
    `image_id` belongs to the frame of that number: the number that `number_frames` gives the frame, or else the digits
    at the end of the frame's name.

    Args:
        path: The JSON file.

    Raises:
        DataError: The file cannot be read, or an entry is malformed. The message names the entry.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found = 0  # the number of boxes returned so far
        self._numbers: Mapping[str, int] | None = None
        people: defaultdict[str | int, list[list[float]]] = defaultdict(list)
        for i, entry in enumerate(_entries(path)):
            key, row = _parse_entry(entry, f"{path}: entry {i}")
            if row is not None:
                people[key].append(row)
        self._people = {key: np.array(rows, np.float32) for key, rows in people.items()}

    def __len__(self) -> int:
        return sum(len(rows) for rows in self._people.values())

    def __call__(self, image: Array, frame_name: str, previous: Poses | None = None) -> tuple[Array, Array]:
        """Return the boxes of a frame; see `edgepose.runtime.finders.Finder`."""
        rows = self._rows(frame_name)
        order = np.argsort(-rows[:, 4], kind="stable")
        self.found += len(rows)
        return rows[order, :4], rows[order, 4]

    def number_frames(self, numbers: Mapping[str, int]) -> None:
        """Use the numbers of a data set: frame name -> image id. Digits in names mean nothing from then on."""
        self._numbers = numbers

    def _rows(self, frame_name: str) -> Array:
        key = _frame_key(frame_name)
        number = self._number(frame_name, key)
        nothing = np.zeros((0, 5), np.float32)
        return self._people.get(key, nothing if number is None else self._people.get(number, nothing))

    def _number(self, frame_name: str, key: str) -> int | None:
        if self._numbers is not None:
            return self._numbers.get(frame_name)
        digits = re.search(r"\d+$", key)
        return int(digits.group()) if digits else None

    def check_used(self) -> None:
        """Raise DataError when the file has boxes, but none of them belongs to a frame of the run."""
        if len(self) and not self.found:
            known = ", ".join(str(key) for key in list(self._people)[:3])
            raise DataError(
                f"{self.path}: none of its {len(self)} boxes belongs to a frame of the source; its frames "
                f"are called {known}, ...; give entries the source's frame names"
            )


def _frame_key(name: str) -> str:
    """Return a frame's name without folder and image suffix. `walk.720p-000001` has a dot but no suffix."""
    path = Path(name)
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


def _entries(path: Path) -> list[Any]:
    try:
        value = read_json(path, "boxes")
    except EdgeposeError as error:
        raise DataError(str(error)) from error
    if isinstance(value, dict) and isinstance(value.get("annotations"), list):
        return _labeled(value, path)
    if not isinstance(value, list):
        raise DataError(f"{path}: expected a list of boxes, [{{'image_id', 'bbox', 'score'}}, ...]")
    return value


def _labeled(value: dict[str, Any], path: Path) -> list[Any]:
    """Return the people of COCO labels without the crowds, each with the name of its image."""
    images = value.get("images", [])
    for key, entries in (("images", images), ("annotations", value["annotations"])):
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise DataError(f"{path}: {key} is no list of tables; is it a file of COCO labels?")
    names = {str(image.get("id")): image.get("file_name") for image in images}
    shown = [entry for entry in value["annotations"] if not entry.get("iscrowd")]
    return [{**entry, "file_name": names.get(str(entry.get("image_id")))} for entry in shown]


def _parse_entry(entry: Any, where: str) -> tuple[str | int, list[float] | None]:
    """Return (frame key, [x0, y0, x1, y1, score]), with None in place of the box of an entry that is no person."""
    if not isinstance(entry, dict):
        raise DataError(f"{where}: expected a table with image_id and bbox, got {type(entry).__name__}")
    named = entry.get("frame") or entry.get("file_name")
    key = _frame_key(str(named)) if named else entry.get("image_id")
    if isinstance(key, bool) or not isinstance(key, (str, int)) or (isinstance(key, int) and abs(key) > 2**62):
        raise DataError(f"{where}: names no frame; give it a frame, a file_name or an image_id")
    if entry.get("category_id", 1) != 1:
        return key, None
    box, score = entry.get("bbox"), entry.get("score", 1.0)
    numbers = [*box, score] if isinstance(box, list) and len(box) == 4 else []
    if not numbers or not all(_real(value) for value in numbers):
        shown = f"bbox = {reprlib.repr(box)}, score = {reprlib.repr(score)}"
        raise DataError(f"{where}: {shown}; expected [x, y, width, height] and a number")
    x, y, width, height, score = numbers
    if width <= 0 or height <= 0:
        raise DataError(f"{where}: bbox = {box!r} is empty; width and height must be above 0")
    return key, [x, y, x + width, y + height, score]


def _real(value: object) -> bool:
    """Return whether a JSON value is a number that can be a coordinate in an image."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= FARTHEST_PX
