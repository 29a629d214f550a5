"""A JSON object as lines of text for a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def outline(value: dict[str, Any], *, empty: str = "none", indent: str = "") -> Iterator[str]:
    """Yield one line per fact: an object under its name, a list of words on one line, other lists on several.

    Args:
        value: The object.
        empty: Text for an empty list or object.
        indent: What every line begins with.
    """
    for name, item in value.items():
        if isinstance(item, dict):
            yield f"{indent}{name}:" if item else f"{indent}{name}: {empty}"
            yield from outline(item, empty=empty, indent=indent + "  ")
        elif isinstance(item, list) and item and _long(item):
            yield f"{indent}{name}:"
            yield from (f"{indent}  {_item(part)}" for part in item)
        else:
            yield f"{indent}{name}: {', '.join(map(str, item)) or empty if isinstance(item, list) else item}"


def _long(items: list[Any]) -> bool:
    """Whether each item needs a line of its own: objects and sentences do."""
    return any(isinstance(item, dict) or (isinstance(item, str) and item.count(" ") > 5) for item in items)


def _item(item: dict[str, Any] | str) -> str:
    return item if isinstance(item, str) else ", ".join(f"{name} {value}" for name, value in item.items())
