"""What a kind of input is, and how an attempt on one damaged input can end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

OUTCOMES = ("right", "refused", "traceback", "crash", "hang", "memory", "silently wrong")
GOOD = ("right", "refused")
LONGEST_MESSAGE = 1000  # characters


class SilentlyWrong(Exception):
    """A verb succeeded without a message, and its result is not that of the input."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of input.

    Attributes:
        name: Its name in the table.
        share: Its part of the campaign, relative to the other kinds.
        prepare: Writes the sound inputs, and whatever the verbs need beside them, to a folder.
        mutate: Writes a damaged input to an empty folder; takes the sound folder, the empty folder and a random
            generator, and returns the names of the mutations.
        attempt: Tries the verbs of the library on the damaged input; takes both folders. It raises an EdgeposeError
            for an input that is refused, and `SilentlyWrong` for a result that cannot be right.
        words: Returns the words of a command line that does about the same.
    """

    name: str
    share: int
    prepare: Callable[[Path], None]
    mutate: Callable[[Path, Path, np.random.Generator], str]
    attempt: Callable[[Path, Path], None]
    words: Callable[[Path, Path], list[str]]


class Notes:
    """Collects the lines that a verb has for the user."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        self.lines.append(line)


def require(truth: bool, reason: str) -> None:
    """Raise SilentlyWrong unless `truth`."""
    if not truth:
        raise SilentlyWrong(reason)
