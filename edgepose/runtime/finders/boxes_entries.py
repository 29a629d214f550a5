"""The entries of a boxes file: which are people, of which frame, and where.

People are the entries of category 1 or `person`. A file whose entries all have one other category, as exporters that
count from 0 write them, holds people too. In COCO labels, people are the category with keypoints or named `person`.
Scores in percent are divided by 100.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgepose._files import read_json
from edgepose.errors import DataError, EdgeposeError
from edgepose.pose.geometry import FARTHEST_PX

PERSON = ("1", "person")


def read_boxes(path: Path) -> Iterator[tuple[str, str | int, list[float]]]:
    """Read the people of a boxes file.

    Args:
        path: The JSON file.

    Yields:
        What the frame is known by ("name", "place" or "number"), the frame, and [x0, y0, x1, y1, score].

    Raises:
        DataError: The file cannot be read, or an entry is malformed. The message names the entry.
    """
    entries, people = _entries(path)
    for i, entry in enumerate(entries):
        if not isinstance(entry, dict):
            got = type(entry).__name__
            raise DataError(f"{path}: entry {i}: expected a table with image_id and bbox, got {got}")
    people = people or _people(entries, path)
    chosen = [
        _parse_entry(entry, f"{path}: entry {i}")
        for i, entry in enumerate(entries)
        if _category(entry) in (None, *people)
    ]
    if entries and not chosen:
        raise DataError(
            f"{path}: all {len(entries)} boxes are of category {_category(entries[0])}, not {', '.join(people)}; "
            "correct category_id"
        )
    if chosen and all(0 <= number <= 1 for _, _, row in chosen for number in row[:4]):
        raise DataError(
            f"{path}: all {len(chosen)} boxes lie within 1 px of the corner of their image; are they fractions of its "
            "size? Multiply x and width by the width of the image, y and height by its height"
        )
    percent = max((row[4] for _, _, row in chosen), default=0) > 2
    for by, key, row in chosen:
        yield by, key, [*row[:4], row[4] / 100 if percent else row[4]]


def _entries(path: Path) -> tuple[list[Any], tuple[str, ...]]:
    """Return the entries, and the categories of people where the file says which they are."""
    try:
        value = read_json(path, "boxes")
    except EdgeposeError as error:
        raise DataError(str(error)) from error
    if isinstance(value, dict) and isinstance(value.get("annotations"), list):
        return _labeled(value, path)
    if not isinstance(value, list):
        raise DataError(f"{path}: expected a list of boxes, [{{'image_id', 'bbox', 'score'}}, ...]")
    return value, ()


def _labeled(value: dict[str, Any], path: Path) -> tuple[list[Any], tuple[str, ...]]:
    """Return the people of COCO labels without the crowds, each with the name of its image, and their categories."""
    lists = {key: value.get(key) or [] for key in ("images", "annotations", "categories")}
    for key, entries in lists.items():
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise DataError(f"{path}: {key} is no list of tables; is it a file of COCO labels?")
    names = {str(image.get("id")): image.get("file_name") for image in lists["images"]}
    shown = [entry for entry in lists["annotations"] if not entry.get("iscrowd")]
    categories = [one for one in lists["categories"] if one.get("keypoints")] or [
        one for one in lists["categories"] if one.get("name") == "person"
    ]
    people = tuple(str(one.get("id")) for one in categories)
    return [{**entry, "file_name": names.get(str(entry.get("image_id")))} for entry in shown], people


def _category(entry: dict[str, Any]) -> str | None:
    value = entry.get("category_id")
    return None if value is None else str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _people(entries: list[dict[str, Any]], path: Path) -> tuple[str, ...]:
    """Return the categories of people among detections.

    Raises:
        DataError: There are several categories and none, or not surely one, is that of people.
    """
    found = sorted({key for entry in entries if (key := _category(entry)) is not None})
    if len(found) == 1:
        return (found[0],)
    if found and ("0" in found or not set(found) & set(PERSON)):
        raise DataError(
            f"{path}: its {len(entries)} boxes are of the categories {', '.join(found[:5])}"
            f"{', ...' if len(found) > 5 else ''}, and it is not clear which are people; COCO's person is category 1. "
            "Keep the boxes of people only, or write category_id 1 for them"
        )
    return PERSON


def _parse_entry(entry: dict[str, Any], where: str) -> tuple[str, str | int, list[float]]:
    by, key = _frame(entry, where)
    box, score = entry.get("bbox"), entry.get("score", 1.0)
    numbers = [*box, score] if isinstance(box, list) and len(box) == 4 else []
    if not numbers or not all(_real(value) for value in numbers):
        shown = f"bbox = {reprlib.repr(box)}, score = {reprlib.repr(score)}"
        raise DataError(f"{where}: {shown}; expected [x, y, width, height] and a number")
    x, y, width, height, score = numbers
    if width <= 0 or height <= 0:
        raise DataError(f"{where}: bbox = {box!r} is empty; width and height must be above 0")
    if not 0 <= score <= 100:
        raise DataError(f"{where}: score = {score!r}; expected a number from 0 to 1, or percent")
    return by, key, [x, y, x + width, y + height, score]


def _frame(entry: dict[str, Any], where: str) -> tuple[str, str | int]:
    """Return how an entry names its frame, and the name or number."""
    for field, by in (("frame", "place"), ("file_name", "name"), ("image_id", "number")):
        value = entry.get(field)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and by != "name" and 0 <= value <= 2**62:
            return by, value
        if isinstance(value, str) and value:
            return "name", value
        if value not in (None, ""):
            raise DataError(f"{where}: {field} is {reprlib.repr(value)}; expected a name or a whole number from 0")
    raise DataError(f"{where}: names no frame; give it a frame, a file_name or an image_id")


def _real(value: object) -> bool:
    """Return whether a JSON value is a number that can be a coordinate in an image."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= FARTHEST_PX
