"""A person finder that takes its bounding boxes from a JSON file."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from edgepose._checks import Array
from edgepose.backends.session import OpenOptions
from edgepose.errors import DataError
from edgepose.media.images import SUFFIXES
from edgepose.pose.poses import Poses
from edgepose.runtime.finders.boxes_entries import read_boxes
from edgepose.runtime.finders.corners import CornerCheck

Key = str | int


@contextmanager
def open_finder(text: str, options: OpenOptions) -> Iterator[BoxesFile]:
    """Open the boxes file `text`. `options` are ignored.

    Raises:
        DataError: The file cannot be read; or, at the end of the block, none of its boxes belonged to a frame, or they
            were x0 y0 x1 y1.
    """
    boxes = BoxesFile(Path(text))
    yield boxes
    boxes.check_used()


class BoxesFile:
    """The bounding boxes of a JSON file, as a person finder.

    The file is a list of {"frame" | "file_name" | "image_id", "bbox": [x, y, w, h], "score"}, as COCO's detections and
    `edgepose run --out-coco-results` are. COCO labels, {"images", "annotations"}, which `--out-json` writes, are
    accepted too. `boxes_entries.py` says which entries are people.

    An entry belongs to the frame of its name, with or without folder and image suffix. An entry whose `frame` is a
    whole number belongs to the frame at that place in the source, counted from 0. An entry that has only an `image_id`
    belongs to the frame of that number: the number that `number_frames` gives the frame, or else the digits at the end
    of the frame's name.

    Args:
        path: The JSON file.

    Raises:
        DataError: The file cannot be read, or an entry is malformed. The message names the entry.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found = 0  # the number of boxes returned so far
        self._numbers: Mapping[str, int] | None = None
        self._places: dict[str, int] = {}  # frame name -> the place in the source
        self._corners = CornerCheck()
        self._used: set[tuple[str, Key]] = set()
        people: defaultdict[tuple[str, Key], list[list[float]]] = defaultdict(list)
        for by, key, row in read_boxes(path):
            people[by, frame_key(key) if isinstance(key, str) else key].append(row)
        self._people = {key: np.array(_best_of_each(rows), np.float32) for key, rows in people.items()}
        # A name that is a number, such as "7", may be an image id.
        self._texts: dict[int | None, str] = {
            int(key): key for _, key in self._people if isinstance(key, str) and key.isdecimal()
        }

    def __len__(self) -> int:
        return sum(len(rows) for rows in self._people.values())

    def __call__(self, image: Array, frame_name: str, previous: Poses | None = None) -> tuple[Array, Array]:
        """Return the boxes of a frame; see `edgepose.runtime.finders.Finder`."""
        rows = self._rows(frame_name)
        order = np.argsort(-rows[:, 4], kind="stable")
        self.found += len(rows)
        self._corners.add(rows, (image.shape[0], image.shape[1]))
        return rows[order, :4], rows[order, 4]

    def number_frames(self, numbers: Mapping[str, int]) -> None:
        """Use the numbers of a data set: frame name -> image id. Digits in names mean nothing from then on."""
        self._numbers = numbers

    def _rows(self, frame_name: str) -> Array:
        key = frame_key(frame_name)
        place = self._place(frame_name, key)
        number = self._number(frame_name, key)
        for found in (("name", key), ("place", place), ("number", number), ("name", self._texts.get(number))):
            if found in self._people:
                self._used.add((found[0], found[1]))
                return self._people[found]
        return np.zeros((0, 5), np.float32)

    def _place(self, frame_name: str, key: str) -> int:
        """Return the place of a frame in the source: its number in a video, else the order in which frames come."""
        place = self._places.setdefault(frame_name, len(self._places))
        digits = re.search(r"-(\d{6,})$", key)
        return int(digits.group(1)) if digits and key == Path(frame_name).name else place

    def _number(self, frame_name: str, key: str) -> int | None:
        if self._numbers is not None:
            return self._numbers.get(frame_name)
        digits = re.search(r"\d+$", key)
        return int(digits.group()) if digits else None

    def notes(self) -> list[str]:
        """Return a line if some boxes belonged to no frame of the run, and one if boxes seem to be percentages."""
        unused = [key for key in self._people if key not in self._used]
        lines = [f"{self.path}: {line}" for line in self._corners.notes()]
        if self._used and unused:
            count = sum(len(self._people[key]) for key in unused)
            named = ", ".join(str(key) for _, key in unused[:3])
            by_digits = self._numbers is None and any(by == "number" for by, _ in self._used)
            hint = "; image_id was compared with the digits at the end of frame names, and file_name is surer"
            lines.append(
                f"{self.path}: {count} of {len(self)} boxes belong to no frame of the source, those of {named}"
                f"{', ...' if len(unused) > 3 else ''}{hint if by_digits else ''}"
            )
        return lines

    def check_used(self) -> None:
        """Raise DataError when no box belonged to a frame of the run, or when the boxes were x0 y0 x1 y1."""
        if len(self) and not self.found:
            known = ", ".join(str(key) for _, key in list(self._people)[:3])
            raise DataError(
                f"{self.path}: none of its {len(self)} boxes belongs to a frame of the source; its frames "
                f"are called {known}, ...; give entries the source's frame names"
            )
        problem = self._corners.problem()
        if problem:
            raise DataError(f"{self.path}: {problem}")


def _best_of_each(rows: list[list[float]]) -> list[list[float]]:
    """Leave out repetitions of a box; the highest score stays."""
    best: dict[tuple[float, ...], list[float]] = {}
    for row in rows:
        before = best.setdefault(tuple(row[:4]), row)
        before[4] = max(before[4], row[4])
    return list(best.values())


def frame_key(name: str) -> str:
    """Return a frame's name without folder and image suffix. `walk.720p-000001` has a dot but no suffix."""
    path = Path(name.replace("\\", "/"))
    return path.stem if path.suffix.lower() in SUFFIXES else path.name
