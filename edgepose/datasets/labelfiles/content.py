"""What a label file holds: arrays, and struct arrays with checked access to their fields."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgepose._checks import Array
from edgepose.datasets.labelfiles.process import read
from edgepose.errors import DataError

Value = Any  # a float64 array, a text, a list (cell array) or a Struct


@dataclass(frozen=True)
class Struct:
    """A MATLAB struct array, flat in MATLAB's order.

    Attributes:
        where: The file and the path to this value, for messages.
        fields: Names of the fields.
        rows: One dictionary per element.
    """

    where: str
    fields: tuple[str, ...]
    rows: list[dict[str, Any]]

    def __len__(self) -> int:
        """Return the number of elements."""
        return len(self.rows)

    def get(self, index: int, field: str) -> Value | None:
        """Return a field of an element, or None where it is empty or the field does not exist."""
        value = self.rows[index].get(field)
        if isinstance(value, dict):
            return Struct(self.name(index, field), tuple(value["fields"]), value["rows"])
        return None if isinstance(value, np.ndarray) and not value.size else value

    def name(self, index: int, field: str) -> str:
        """Return `FILE: variable(3).field`, counted from 1 as MATLAB does."""
        return f"{self.where}({index + 1}).{field}"

    def number(self, index: int, field: str) -> float:
        """Return a field that holds one number; NaN where it is empty or does not exist.

        Raises:
            DataError: The field holds something else.
        """
        value = self.get(index, field)
        if value is None:
            return math.nan
        if not isinstance(value, np.ndarray) or value.size != 1:
            raise DataError(f"{self.name(index, field)}: expected one number")
        return float(value.flat[0])

    def numbers(self, index: int, field: str, shape: tuple[int, ...]) -> Array:
        """Return a field that holds a float64 array of this shape.

        Raises:
            DataError: The field holds something else.
        """
        value = self.get(index, field)
        if not isinstance(value, np.ndarray) or value.shape != shape:
            got = list(value.shape) if isinstance(value, np.ndarray) else "no numbers"
            raise DataError(f"{self.name(index, field)}: expected an array {list(shape)}, got {got}")
        return value

    def text(self, index: int, field: str) -> str:
        """Return a field that holds text.

        Raises:
            DataError: The field holds something else.
        """
        value = self.get(index, field)
        if not isinstance(value, str):
            raise DataError(f"{self.name(index, field)}: expected text")
        return value

    def structs(self, index: int, field: str) -> Struct:
        """Return a field that holds a struct array; one of length 0 where it is empty or does not exist.

        Raises:
            DataError: The field holds something else.
        """
        value = self.get(index, field)
        if value is None:
            return Struct(self.name(index, field), (), [])
        if not isinstance(value, Struct):
            raise DataError(f"{self.name(index, field)}: expected a struct")
        return value


def read_array(path: Path, name: str) -> Array:
    """Read a real numeric array of a .mat file (version 4 to 7).

    Args:
        path: The file.
        name: The variable.

    Returns:
        The array, float64, in its own shape.

    Raises:
        DataError: The file cannot be read, is damaged, or has no such array.
        MissingPackage: scipy is not installed.
    """
    value = read("mat", path, name)
    if not isinstance(value, np.ndarray):
        raise DataError(f"{path} has no numeric array named {name!r}; is it the right file?")
    return value


def read_struct(path: Path, name: str) -> Struct:
    """Read a struct array of a .mat file (version 4 to 7).

    Raises:
        DataError: The file cannot be read, is damaged, or has no such struct.
        MissingPackage: scipy is not installed.
    """
    value = read("mat", path, name)
    if not isinstance(value, dict):
        raise DataError(f"{path} has no struct named {name!r}; is it the right file?")
    return Struct(f"{path}: {name}", tuple(value["fields"]), value["rows"])


def read_datasets(path: Path) -> dict[str, Array]:
    """Read the datasets in the root group of an HDF5 file.

    Returns:
        The datasets of numbers (float64) and of fixed-length text (str) by name. Others are left out.

    Raises:
        DataError: The file cannot be read or is damaged.
        MissingPackage: h5py is not installed.
    """
    return dict(read("h5", path))
