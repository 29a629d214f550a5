"""What the user sees: progress bars, notes and errors on stderr, tables and results on stdout."""

import contextlib
import json
import sys
import time
from collections.abc import Iterable, Sequence, Sized
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from edgepose.errors import redact

T = TypeVar("T")
QUIET_SECONDS = 1.0


def track(items: Iterable[T], label: str, total: int | None = None) -> Iterable[T]:
    """Show a progress bar over `items`; without a terminal, print a line per tenth of them, at most one per second."""
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
    """Print a line on stderr for the user who waits."""
    click.echo(text, err=True)


def fail(text: str) -> None:
    """Print an error as one line on stderr, without passwords; a terminal that is closed is no further error."""
    with contextlib.suppress(OSError):
        click.echo(f"edgepose: {redact(' '.join(text.splitlines()))}", err=True)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on stdout; the first column holds words, the others hold numbers."""
    grid = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        grid.add_column(column, justify="left" if i == 0 else "right")
    for row in rows:
        grid.add_row(*row)
    if rows:
        Console(width=None if sys.stdout.isatty() else 120, soft_wrap=False).print(grid)


def lines(items: Iterable[object], err: bool = False) -> None:
    """Print each item on a line: what the verb made, for other programs to read."""
    for item in items:
        click.echo(item, err=err)


def facts(value: dict[str, Any], as_json: bool, empty: str = "none") -> None:
    """Print an object as JSON, or as an outline for a person."""
    from edgepose.report.outline import outline

    lines([json.dumps(value, indent=2)] if as_json else outline(value, empty=empty))
