"""Check data sets: what they hold, what is missing, what looks wrong, and on request a contact sheet."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgepose._outputs import refuse_existing
from edgepose._progress import Track, quiet
from edgepose.datasets.check import Findings, examine
from edgepose.datasets.duplicates import Duplicate, duplicates
from edgepose.datasets.open import every_split, open_data
from edgepose.report.sheet import write_sheet


@dataclass(frozen=True, kw_only=True)
class Shared:
    """Images that two data sets have in common.

    Attributes:
        first: Name of one data set.
        second: Name of the other.
        pairs: The images that are the same.
    """

    first: str
    second: str
    pairs: tuple[Duplicate, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the entry of `edgepose data check --json`."""
        return {"first": self.first, "second": self.second, "pictures": [pair._asdict() for pair in self.pairs]}


@dataclass(frozen=True, kw_only=True)
class DataReport:
    """What a check of data sets found.

    Attributes:
        parts: The findings of each data set and split.
        shared: Images that are in two of them.
        sheet: The contact sheet; None if none was asked for.
    """

    parts: tuple[Findings, ...]
    shared: tuple[Shared, ...]
    sheet: Path | None

    @property
    def usable(self) -> bool:
        """Whether all images are there and all labels can be used."""
        return not any(part.errors or part.missing or part.broken for part in self.parts)

    def to_json(self) -> dict[str, Any]:
        """Return the value that `edgepose data check --json` prints."""
        return {
            "data": [part.to_json() for part in self.parts],
            "shared": [pair.to_json() for pair in self.shared],
            "sheet": None if self.sheet is None else str(self.sheet),
        }


def check_data(
    data: Sequence[str],
    *,
    sheet: str | Path | None = None,
    labels_only: bool = False,
    overwrite: bool = False,
    track: Track = quiet,
) -> DataReport:
    """Read data sets, and look for what is missing or looks wrong.

    Args:
        data: Data sets as KIND:PATH[:SPLIT]; without a split, all splits that should share nobody are read.
        sheet: The image to draw: some people with their labels. None draws nothing.
        labels_only: Whether to leave the images unread, which is faster and finds less.
        overwrite: Whether to replace `sheet`.
        track: Shows the progress.

    Returns:
        The findings.

    Raises:
        UsageError: A kind of data is unknown, or `sheet` exists.
        DataError: A data set cannot be read.

    Examples:
        >>> check_data(["lsp:LSP"]).usable
        True
    """
    target = None if sheet is None else Path(sheet)
    if target is not None:
        refuse_existing(target, overwrite, data)
    opened = [open_data(split) for text in data for split in every_split(text)]
    found = [examine(part, track, read=not labels_only) for part in opened]
    pairs = [(a, b, duplicates(a.prints, b.prints)) for a, b in itertools.combinations(found, 2)]
    shared = tuple(Shared(first=a.name, second=b.name, pairs=tuple(same)) for a, b, same in pairs if same)
    if target is not None:
        write_sheet(target, list(zip(opened, found, strict=True)))
    return DataReport(parts=tuple(found), shared=shared, sheet=target)
