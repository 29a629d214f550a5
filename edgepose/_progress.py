"""Progress without a dependency: the library calls `track` and `note`, which print in the command line only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

T = TypeVar("T")
Note = Callable[[str], None]  # receives a line for the user before or after a long step


class Track(Protocol):
    """Yield the items of `items` and show the progress; `total` is given where the length is unknown."""

    def __call__(self, items: Iterable[T], label: str, total: int | None = None) -> Iterable[T]: ...


def quiet(items: Iterable[T], label: str, total: int | None = None) -> Iterable[T]:
    """Return `items` unchanged: the default `track`, which shows nothing."""
    return items


def silent(text: str) -> None:
    """Ignore a note: the default `note`."""
