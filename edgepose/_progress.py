"""Progress without a dependency: library code takes a `track`, the command line passes one that draws."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Track(Protocol):
    """Yields the items of `items`, showing how far it got; `total` where the length is not known."""

    def __call__(self, items: Iterable[T], label: str, total: int | None = None) -> Iterable[T]: ...


def quiet(items: Iterable[T], label: str, total: int | None = None) -> Iterable[T]:
    """The default: show nothing."""
    return items
