"""Values of a contract as TOML and JSON hold them, checked: ValueError says what was expected."""

from __future__ import annotations

import math
from typing import Any


def tuple_of(kind: type[Any], value: Any, length: int | None) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)) or (length is not None and len(value) != length):
        raise ValueError(f"expected a list of {length or 'any number of'} values, got {value!r}")
    return tuple(scalar(kind, item) for item in value)


def scalar(kind: type[Any], value: Any) -> Any:
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise ValueError(f"expected a finite number, got {value!r}")
        return float(value)
    if isinstance(value, bool) != (kind is bool) or not isinstance(value, kind):
        raise ValueError(f"expected {kind.__name__}, got {value!r}")
    return value
