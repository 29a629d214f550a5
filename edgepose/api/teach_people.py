"""Label the photographs of a training run by a person detector, once, and keep the boxes in a file beside the run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgepose._files import read_json, sha256_file, write_json
from edgepose._progress import Track, quiet
from edgepose.errors import EdgeposeError, UsageError

if TYPE_CHECKING:
    from edgepose._checks import Array
    from edgepose.datasets.samples import PoseData, SampleList
    from edgepose.datasets.taught_people import Key

NAME = "teacher-boxes.json"
FORMAT = 1
FLOOR = 0.1  # The lowest score of a box that is kept: it becomes a region that does not count.
SAVED = 500  # photographs between two writes of the file


def teach_people(
    data: Sequence[PoseData], teacher: Path, folder: Path, sure: float, track: Track = quiet
) -> list[SampleList]:
    """Return data sets with the boxes of everyone, see `datasets.taught_people`.

    The boxes of the teacher are kept in `folder`/teacher-boxes.json. A run that is resumed, and one that was stopped
    while photographs were labeled, reads them from there.

    Args:
        data: The data sets.
        teacher: The person detector: an ONNX file.
        folder: The folder of the run.
        sure: The score from which an unlabeled box is a person.
        track: Reports progress.

    Raises:
        UsageError: The teacher does not exist, or it is no person detector.
        DataError: An image cannot be read.
    """
    from edgepose.datasets.samples import pictures
    from edgepose.datasets.taught_people import TeachOptions, taught_people

    if not teacher.is_file():
        raise UsageError(f"teacher_network {teacher} does not exist; name the ONNX file of a person detector")
    kept = _read(folder / NAME, sha256_file(teacher))
    listed = [(part, pictures(part)) for part in data]
    missing = [(part.name, one) for part, every in listed for one in every if _text(one) not in kept.get(part.name, {})]
    if missing:
        _look(missing, teacher, kept, folder / NAME, track)
    return [
        taught_people(part, _found(kept[part.name]) if every else {}, TeachOptions(sure=sure)) for part, every in listed
    ]


def _look(missing: list[Any], teacher: Path, kept: dict[str, Any], file: Path, track: Track) -> None:
    """Run the teacher on photographs of (name of the data set, picture), and add what it finds to `kept`."""
    from edgepose.runtime.finders import FinderOptions, open_finder

    sha256 = sha256_file(teacher)
    with open_finder(str(teacher), FinderOptions(threads=1, least_score=FLOOR)) as finder:
        for i, (name, picture) in enumerate(track(missing, f"label by {teacher.name}", len(missing))):
            boxes, scores = finder(picture.read(), picture.name, None)
            rows = [
                [*map(float, box.round(2)), round(float(score), 4)] for box, score in zip(boxes, scores, strict=True)
            ]
            kept.setdefault(name, {})[_text(picture)] = rows
            if i % SAVED == SAVED - 1:
                _write(file, sha256, kept)
    _write(file, sha256, kept)


def _text(picture: Any) -> str:
    return f"{picture.image_id} {picture.name}"


def _found(kept: dict[str, Any]) -> dict[Key, Array]:
    import numpy as np

    found = {}
    for text, rows in kept.items():
        number, _, name = text.partition(" ")
        found[int(number), name] = np.array(rows, np.float64).reshape(-1, 5)
    return found


def _read(file: Path, sha256: str) -> dict[str, Any]:
    """Return the boxes of a file by data set and photograph; none where it was made by another teacher."""
    if not file.is_file():
        return {}
    content = read_json(file, "boxes of a teacher")
    if not isinstance(content, dict) or content.get("format") != FORMAT or not isinstance(content.get("data"), dict):
        raise EdgeposeError(f"{file} is not a file of this version; delete it, and the photographs are labeled again")
    return content["data"] if content.get("teacher_sha256") == sha256 else {}


def _write(file: Path, sha256: str, kept: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, {"format": FORMAT, "teacher_sha256": sha256, "data": kept})
