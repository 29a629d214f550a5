"""What a person sees: progress bars, notes and errors on stderr, tables on stdout."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence, Sized
from typing import TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

T = TypeVar("T")
QUIET_SECONDS = 1.0


def track(items: Iterable[T], label: str, total: int | None = None) -> Iterable[T]:
    """A progress bar over `items`; without a terminal, a line every tenth of the way that takes a second or more."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    if sys.stderr.isatty():
        yield from _bar(items, label, total)
    else:
        yield from _lines(items, label, total)


def _bar(items: Iterable[T], label: str, total: int | None) -> Iterable[T]:
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(label, total=total)
        for item in items:
            yield item
            progress.advance(task)


def _lines(items: Iterable[T], label: str, total: int | None) -> Iterable[T]:
    every = max(1, total // 10) if total else 500
    said = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        if done % every == 0 and time.monotonic() - said >= QUIET_SECONDS:
            note(f"{label}: {done}/{total or '?'}")
            said = time.monotonic()


def note(text: str) -> None:
    """A line for the person who waits."""
    click.echo(text, err=True)


def fail(text: str) -> None:
    """The one line of an error."""
    click.echo(f"edgepose: {text}", err=True)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on stdout; the first column is words, the others are numbers."""
    grid = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        grid.add_column(column, justify="left" if i == 0 else "right")
    for row in rows:
        grid.add_row(*row)
    width = None if sys.stdout.isatty() else 120
    Console(width=width, soft_wrap=False).print(grid)


def warn_without_int8() -> None:
    """Say so where the CPU cannot compute INT8 exactly: engines run it in float, and time proves nothing."""
    from edgepose.backends.cpu import cpu_name, int8_reason

    reason = int8_reason()
    if reason:
        note(
            f"{cpu_name()}: {reason}, so INT8 engines compute in float here. "
            "Their accuracy is that of INT8; their speed is not"
        )
