"""Read the JSON files that lie beside networks. Every error names the file, the field and what was expected there."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from edgepose.errors import SpecError, one_line
from edgepose.graph.importing.limits import LONGEST

Channels = tuple[float, float, float]


def read_side_file(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        SpecError: The file cannot be read, or is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SpecError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{path} is no valid JSON ({one_line(error)}); correct it, or pass --spec") from error


class Table:
    """A table of a side file, whose values are read with checks.

    Args:
        value: The content.
        path: The file.
        field: Where the table is in the file, "" for the whole of it.

    Raises:
        SpecError: The content is no table.
    """

    def __init__(self, value: Any, path: Path, field: str = "") -> None:
        self._path, self._field = path, field
        if not isinstance(value, dict):
            raise SpecError(f"{path}: {field or 'the file'} is {_shown(value)}; expected a table{REMEDY}")
        self._value: Mapping[str, Any] = value

    def __contains__(self, key: str) -> bool:
        """Whether the table has a value other than null for a key."""
        return self._value.get(key) is not None

    def refuse(self, key: str, expected: str) -> NoReturn:
        """Raise SpecError about the value of a key.

        Args:
            key: The key.
            expected: What it should be.
        """
        said = f"= {_shown(self._value[key])}" if key in self._value else "is missing"
        raise SpecError(f"{self._path}: {self._name(key)} {said}; expected {expected}{REMEDY}")

    def table(self, key: str) -> Table:
        """Return an inner table, an empty one where there is none."""
        return Table(self._value[key] if key in self else {}, self._path, self._name(key))

    def tables(self, key: str, *, needed: bool = False) -> list[Table]:
        """Return a list of inner tables.

        Args:
            key: The key.
            needed: Whether it must be there.
        """
        if key not in self and not needed:
            return []
        values = self._value.get(key)
        if not isinstance(values, list):
            self.refuse(key, "a list of tables")
        return [Table(value, self._path, f"{self._name(key)}[{index}]") for index, value in enumerate(values)]

    def named(self, name: str) -> Table:
        """Return the same table under a name that says more than its place."""
        return Table(self._value, self._path, name)

    def text(self, key: str) -> str:
        """Return a text, "" where there is none."""
        value = self._value.get(key)
        if value is not None and not isinstance(value, str):
            self.refuse(key, "text")
        return value or ""

    def texts(self) -> dict[str, str]:
        """Return the whole table, whose values are texts."""
        for key, value in self._value.items():
            if not isinstance(value, str):
                self.refuse(key, "text")
        return dict(self._value)

    def switch(self, key: str, default: bool) -> bool:
        """Return true or false."""
        value = self._value.get(key)
        if value is not None and not isinstance(value, bool):
            self.refuse(key, "true or false")
        return default if value is None else value

    def above_zero(self, key: str) -> float | None:
        """Return a finite number above 0; None where there is none."""
        if key not in self:
            return None
        value = self._value[key]
        if not _is_number(value) or not value > 0:
            self.refuse(key, "a finite number above 0")
        return float(value)

    def channels(self, key: str, *, above_zero: bool = False) -> Channels:
        """Return one finite number for each of the three channels.

        Args:
            key: The key, which must be there.
            above_zero: Whether the numbers must be above 0.
        """
        value: Any = self._value.get(key)
        fits = isinstance(value, list) and len(value) == 3 and all(_is_number(item) for item in value)
        if not fits or (above_zero and not all(item > 0 for item in value)):
            self.refuse(key, f"3 finite numbers{' above 0' if above_zero else ''}, one for each channel")
        first, second, third = (float(item) for item in value)
        return first, second, third

    def level(self, key: str) -> int:
        """Return a level from 0 to 255; the first of a list of levels, 0 where there is none."""
        value = self._value.get(key, 0)
        one = value[0] if isinstance(value, list) and value else value
        if not _is_number(one) or not 0 <= one <= 255:
            self.refuse(key, "a level from 0 to 255")
        return int(one)

    def size(self, key: str) -> tuple[int, int] | None:
        """Return (height, width) of [width, height] or of one number that is both; None where there is none."""
        if key not in self:
            return None
        value = self._value[key]
        sides = value if isinstance(value, list) else [value, value]
        if len(sides) != 2 or not all(is_side(side) for side in sides):
            self.refuse(key, f"[width, height] in whole pixels from 1 to {LONGEST}")
        return int(sides[1]), int(sides[0])

    def side(self, key: str) -> int:
        """Return a side in pixels, which must be there."""
        if not is_side(self._value.get(key)):
            self.refuse(key, f"whole pixels from 1 to {LONGEST}")
        return int(self._value[key])

    def raw(self, key: str) -> Any:
        """Return a value as it is."""
        return self._value.get(key)

    def _name(self, key: str) -> str:
        return f"{self._field}.{key}" if self._field else key


REMEDY = "; correct it, or pass --spec"


def is_side(value: object) -> bool:
    """Whether a value is a number of whole pixels that a side of an input can have."""
    return _is_number(value) and value == int(value) and 1 <= value <= LONGEST  # type: ignore[call-overload,operator]


def _is_number(value: object) -> bool:
    """Whether a value is a finite number; true and false are none, and numbers beyond floats neither."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:60]} ..."
