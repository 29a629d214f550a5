"""Which classes of a detector count as people: "person", or those that a user names."""

from __future__ import annotations

from collections.abc import Mapping

from edgepose.errors import UsageError, nearest
from edgepose.recognize.candidate import Candidate

# The classes of COCO's detectors in their order.
COCO_80 = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip


def classes_of(
    candidate: Candidate, default: int, *, count: int | None = None, names: Mapping[int, str] | None = None
) -> tuple[int, ...]:
    """Return the numbers of the classes that count as people.

    Args:
        candidate: The detector, with the classes that the user asks for.
        default: The class of people, where the user asks for none.
        count: The number of classes; None where the network does not show it.
        names: The names that the network gives its classes; without them, 80 classes have the names of COCO.

    Raises:
        UsageError: There is no such class, or no class has a name.
    """
    known = dict(names or {})
    if not known and count == len(COCO_80):
        known = dict(enumerate(COCO_80))
    numbers: list[int] = []
    for word in candidate.classes:
        number = _number(word, known, count)
        if number not in numbers:
            numbers.append(number)
    return tuple(numbers) or (default,)


def _number(word: str, known: Mapping[int, str], count: int | None) -> int:
    if word.isdecimal():
        most = max(known, default=-1) + 1 if count is None and known else count
        if most is not None and int(word) >= most:
            raise UsageError(f"--det-classes {word}: the detector has {most} classes, which are numbered from 0")
        return int(word)
    for number, name in known.items():
        if name.lower() == word.lower():
            return number
    if not known:
        how_many = "classes" if count is None else f"{count} classes"
        raise UsageError(
            f"--det-classes {word!r}: the detector has {how_many} without names; give the number of the class, from 0"
        )
    raise UsageError(f"--det-classes {word!r} is no class of the detector{nearest(word.lower(), known.values())}")
