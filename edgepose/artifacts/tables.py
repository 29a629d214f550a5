"""Read TOML and JSON tables into dataclasses. Every error names the source, the key, and what was expected there."""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from collections.abc import Collection, Iterator
from typing import Any, TypeVar

from edgepose.errors import EdgeposeError, SpecError, UsageError, nearest

T = TypeVar("T")

# msgspec's words for types -> those of a person who writes TOML or JSON
_WORDS = {
    "array": "list",
    "object": "table",
    "null": "nothing",
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
}


def read_as(
    kind: type[T],
    value: object,
    where: str,
    key: str = "",
    error: type[EdgeposeError] = SpecError,
) -> T:
    """Convert a value of TOML or JSON to a type.

    Args:
        kind: A dataclass, or any other type that msgspec converts to.
        value: What the TOML or JSON parser returned.
        where: The source that errors name, for example a file.
        key: The key of `value` in that source, "" for the whole of it.
        error: The class of the errors.

    Returns:
        The value as `kind`. Numbers are finite, and a whole number that stands for a `float` is one.

    Raises:
        EdgeposeError: As `error`: an unknown key (with the nearest known one), or a value of another type.
    """
    import msgspec

    refuse_unknown(kind, value, where, key, error)
    keys = keys_of(kind)
    named = {keys[name]: item for name, item in value.items()} if keys and isinstance(value, dict) else value
    try:
        found = msgspec.convert(named, kind)
    except msgspec.ValidationError as problem:
        shown = {field: name for name, field in keys.items()}
        raise error(f"{where}: {_explained(str(problem), value, key, shown)}") from problem
    except UsageError as problem:  # from the `__post_init__` of options that check themselves
        raise error(f"{where}: {_joined(key, str(problem))}") from problem
    for path, number in _numbers(value, key):
        if not math.isfinite(number):
            raise error(f"{where}: {path} = {number}; expected a finite number")
    return found


def keys_of(kind: Any) -> dict[str, str]:
    """Map the keys of a table to the fields of a dataclass; empty for another type.

    They are equal unless the field says so, `field(metadata={"key": "decode"})`, because its name is taken.
    """
    if not dataclasses.is_dataclass(kind):
        return {}
    return {item.metadata.get("key", item.name): item.name for item in dataclasses.fields(kind)}


def refuse_unknown(kind: Any, value: object, where: str, key: str = "", error: type[EdgeposeError] = SpecError) -> None:
    """Raise `error` for a key that the dataclass `kind`, or a dataclass within it, does not have."""
    if not dataclasses.is_dataclass(kind):
        return
    known = keys_of(kind)
    if not isinstance(value, dict):
        table = f"{key} must be a table" if key else "expected a table"
        raise error(f"{where}: {table} with {', '.join(sorted(known))}, got {value!r}")
    hints = typing.get_type_hints(kind)
    for name, item in value.items():
        if name not in known:
            raise error(
                f"{where}: unknown key {_joined(key, str(name)) if key else repr(name)}{nearest(str(name), known)}"
            )
        for inner in _alternatives(hints[known[name]]):
            refuse_unknown(inner, item, where, _joined(key, name), error)


def choose(value: str, choices: Collection[str], key: str, where: str, error: type[EdgeposeError] = SpecError) -> None:
    """Raise `error`, with the nearest choice, for a value that is none of the choices."""
    if value not in choices:
        raise error(f"{where}: {key} = {value!r}{nearest(value, choices)}")


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """The types that a field may have, without None."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return tuple(item for item in typing.get_args(hint) if item is not type(None))
    return (hint,)


def _joined(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _explained(problem: str, value: object, key: str, shown: dict[str, str]) -> str:
    """Add the key and its value to a message such as "Expected `int`, got `str` - at `$.size[0]`"."""
    words, _, path = problem.partition(" - at `$")
    path = path.rstrip("`")
    name = re.match(r"\.(\w+)", path)
    if name and isinstance(value, dict):
        field = shown.get(name[1], name[1])
        value, key, path = value[field], _joined(key, field), path[name.end() :]
    words = re.sub(r"`(\w+)(?: \| \w+)*`", lambda found: _WORDS.get(found[1], found[1]), words)
    words = words[0].lower() + words[1:]
    return f"{key} = {value!r}; {words}{f' at {path}' if path else ''}" if key else words


def _numbers(value: object, key: str) -> Iterator[tuple[str, float]]:
    """Every float of a value, with its key."""
    if isinstance(value, float):
        yield key, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _numbers(item, _joined(key, str(name)))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _numbers(item, key)
