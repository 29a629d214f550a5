"""Flags from option dataclasses: each field with a `flag` in its metadata is one option of a command."""

import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import Field, fields
from pathlib import Path
from typing import Any, TypeVar

import click

from edgepose.errors import UsageError

T = TypeVar("T")
Command = Callable[..., Any]


def flags_of(options: type[Any]) -> Callable[[Command], Command]:
    """Return a decorator that adds a flag for every field of a dataclass that declares one."""
    hints = typing.get_type_hints(options)

    def decorate(command: Command) -> Command:
        for item in reversed(fields(options)):
            if "flag" in item.metadata:
                command = _flag(item, hints[item.name])(command)
        return command

    return decorate


def take(options: type[T], given: dict[str, Any]) -> T:
    """Remove the values of a dataclass's flags from `given` and return the dataclass."""
    values = {}
    for item in fields(options):  # type: ignore[arg-type]
        if "flag" in item.metadata:
            values[item.name] = _value(item.metadata, given.pop(item.name), item.default)
    return options(**values)


def _value(metadata: Mapping[str, Any], text: Any, default: Any) -> Any:
    if "parse" not in metadata:
        return text
    if text is None:
        return default
    try:
        return metadata["parse"](text)
    except UsageError as error:
        flag = metadata["flag"].split("/")[0]
        raise UsageError(str(error) if flag in str(error) else f"{flag} {error}") from error


def _flag(item: Field[Any], hint: Any) -> Callable[[Command], Command]:
    about = item.metadata
    kind = _kind(hint)
    shown = item.default not in (None, (), False)
    more: dict[str, Any] = {"help": about["help"], "metavar": about.get("metavar")}
    if kind is bool:
        more |= {"is_flag": True, "default": item.default}
    elif "parse" in about:
        default: Any = item.default
        more |= {"default": ",".join(map(str, default)) if shown else None, "show_default": shown}
    else:
        more |= {"type": _type(about, kind), "default": item.default, "show_default": shown}
        more |= {"multiple": True} if typing.get_origin(kind) is tuple else {}
    return click.option(about["flag"], item.name, **more)


def _kind(hint: Any) -> Any:
    """The type of a field, without None."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(part for part in typing.get_args(hint) if part is not type(None))
    return hint


def _type(about: Mapping[str, Any], kind: Any) -> Any:
    if "choices" in about:
        return click.Choice(about["choices"])
    if "min" in about or "max" in about:
        ranged = click.FloatRange if kind is float else click.IntRange
        return ranged(about.get("min"), about.get("max"))
    if kind is Path:
        exists, folder = about.get("exists", False), about.get("folders", False)
        return click.Path(path_type=Path, exists=exists, dir_okay=not exists, file_okay=not folder)
    return str if typing.get_origin(kind) is tuple else kind
