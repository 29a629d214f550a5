"""The fields of an entry of a label file: ids, numbers and boxes, and how messages call an entry."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edgepose._checks import Array
from edgepose.datasets.remarks import short
from edgepose.errors import DataError
from edgepose.pose.geometry import FARTHEST_PX

Entry = dict[str, Any]


def named(entry: Entry, index: int) -> str:
    """Return how messages call an annotation: by its id, or by its place where it has none."""
    return f"annotation {short(entry['id'])}" if "id" in entry else f"annotation at index {index}"


def not_a_number(value: object) -> bool:
    """Return whether a value is missing: null, or the NaN that pandas writes."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def identity(entry: Entry, key: str, where: str) -> str:
    """Return a field that identifies something, as text: 7, "7" and 7.0 are the same.

    Raises:
        DataError: The field is missing or is neither a whole number nor a text.
    """
    value = entry.get(key)
    if isinstance(value, str) and value.strip():
        return value.strip()
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer() and abs(value) < 2**53)
    if value is None or not whole or isinstance(value, bool) or abs(value) > 2**62:
        raise DataError(f"{where}: {key} is {short(value)}; expected a whole number")
    return str(int(value))


def box_field(entry: Entry, key: str, where: str) -> Array:
    """Return box_xyxy [4] float64 for a field [x, y, width, height].

    Args:
        entry: The entry.
        key: The field.
        where: The file and the entry, for messages.

    Raises:
        DataError: The field is not such a box.
    """
    x, y, width, height = number_field(entry, key, 4, where)
    if width < 0 or height < 0:
        raise DataError(f"{where}: {key} is {short(entry[key])}; width and height must not be negative")
    return np.array([x, y, x + width, y + height])


def int_field(entry: Entry, key: str, where: str) -> int:
    """Return a field that is a whole number, or refuse it; 7.0 is the whole number 7.

    Args:
        entry: The entry.
        key: The field.
        where: The file and the entry, for messages.

    Raises:
        DataError: The field is not a whole number.
    """
    value = entry.get(key)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > 2**62:
        raise DataError(f"{where}: {key} is {short(value)}; expected a whole number")
    return value


def number_field(entry: Entry, key: str, count: int | None, where: str) -> Array:
    """Return a field as [count] float64, or as a scalar if `count` is None.

    Args:
        entry: The entry.
        key: The field.
        count: How many numbers the field has.
        where: The file and the entry, for messages.

    Raises:
        DataError: The field is something else, or a number is larger than any image.
    """
    value: Any = entry.get(key)
    flat: list[Any] = value if count is not None and isinstance(value, list) else [value]
    real = all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in flat)
    limit = FARTHEST_PX if count is not None else FARTHEST_PX**2
    if not real or len(flat) != (count or 1) or not all(abs(item) <= limit for item in flat):
        expected = "a number" if count is None else f"{count} numbers"
        raise DataError(f"{where}: {key} is {short(value)}; expected {expected} of pixels")
    return np.asarray(value, np.float64)
