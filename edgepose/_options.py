"""Fields of option dataclasses that carry what the command line needs to make flags of them."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import Field, field, fields, make_dataclass
from pathlib import Path
from typing import Any


def option(default: Any, flag: str, text: str, **more: Any) -> Any:
    """Declare a field of an option dataclass.

    Args:
        default: The default value.
        flag: The flag of the command line, such as "--precision".
        text: The help of the flag.
        **more: `metavar`, `choices`, `min`, `max`, `exists` (a file that must exist), `folders` (a folder
            and no file) and `parse`, a function that turns the text of the flag into the value; with `joined` the text
            between the parts of such a value, a comma by default.
    """
    return field(default=default, metadata={"flag": flag, "help": text, **more})


def paths_of_text(options: Any, *names: str) -> None:
    """Replace text in fields of a frozen dataclass that hold paths, for use in its `__post_init__`."""
    for name in names:
        if isinstance(getattr(options, name), str):
            object.__setattr__(options, name, Path(getattr(options, name)))


def declared(options: type[Any]) -> dict[str, Field[Any]]:
    """Return the fields of a dataclass that declare a flag, by name."""
    return {item.name: item for item in fields(options) if "flag" in item.metadata}


def all_unset(name: str, *options: type[Any]) -> type[Any]:
    """Return a frozen dataclass with the flags of several dataclasses, each "not given" by default.

    "Not given" is None, False for a switch, or an empty tuple for a list. A flag that two classes declare stands once.

    Args:
        name: Name of the dataclass.
        *options: Dataclasses whose fields were made with `option`.
    """
    merged: dict[str, tuple[str, Any, Any]] = {}
    for kind in options:
        hints = typing.get_type_hints(kind)
        for key, item in declared(kind).items():
            hint = item.metadata.get("kind", hints[key])
            switch = hint is bool and "/" not in item.metadata["flag"]
            empty = False if switch else () if item.default == () else None
            merged.setdefault(key, (key, hint, field(default=empty, metadata=item.metadata)))
    return make_dataclass(name, merged.values(), frozen=True, kw_only=True)


def is_given(value: Any) -> bool:
    """Return whether the value of a flag in a dataclass of `all_unset` was given, but for False of a yes/no pair."""
    return value is not None and value is not False and value != ()


def given_values(options: Any) -> dict[str, Any]:
    """Return the values that were given in an instance of a dataclass of `all_unset`, by field name."""
    values = {item.name: (item, getattr(options, item.name)) for item in fields(options)}
    return {name: value for name, (item, value) in values.items() if is_given(value) or _said_no(item, value)}


def _said_no(item: Field[Any], value: Any) -> bool:
    return value is False and "/" in item.metadata["flag"]


def words_of(options: type[Any], given: Mapping[str, Any]) -> list[str]:
    """Return the words of a command line that give these values of a dataclass's flags."""
    words: list[str] = []
    for name, value in given.items():
        about = declared(options)[name].metadata
        yes, _, no = about["flag"].partition("/")
        if isinstance(value, bool):
            words += [yes if value else no] if value or no else []
        elif "parse" in about:
            words += [yes, about.get("joined", ",").join(map(str, value))]
        else:
            words += [word for one in (value if isinstance(value, tuple) else (value,)) for word in (yes, str(one))]
    return words
