"""What the reader of a label file found odd, gathered over all entries: one line for each kind of oddity."""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import NamedTuple

SHOWN = 3  # entries that one line names


class Kind(NamedTuple):
    """A kind of oddity.

    Attributes:
        what: What was found, in words.
        todo: What edgepose does about it, and what the user should do.
    """

    what: str
    todo: str


class Remarks:
    """The oddities of one label file.

    Args:
        path: The label file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._found: dict[Kind, list[str]] = {}

    def add(self, kind: Kind, entry: str, value: str = "") -> None:
        """Record an oddity.

        Args:
            kind: What was found.
            entry: The annotation or image, in words.
            value: The field with the value that was found; empty if `kind` says everything.
        """
        self._found.setdefault(kind, []).append(f"{entry} ({value})" if value else entry)

    def lines(self) -> tuple[str, ...]:
        """Return one line for each kind, with the number of entries and the first few of them."""
        return tuple(
            f"{self.path}: {kind.what}: {len(entries)} times, {', '.join(entries[:SHOWN])}"
            f"{', ...' if len(entries) > SHOWN else ''}; {kind.todo}"
            for kind, entries in self._found.items()
        )


def short(value: object) -> str:
    """Return the text of a value from a label file, shortened if it is long."""
    return reprlib.repr(value)
