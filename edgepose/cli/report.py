"""`edgepose report`: the results of a folder as one HTML file."""

from __future__ import annotations

from pathlib import Path

import click

from edgepose._files import refuse_existing
from edgepose.cli import options


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--out", type=options.NEW_FILE, help="The page; FOLDER/report.html if not given.")
@options.overwrite
def command(folder: Path, out: Path | None, overwrite: bool) -> None:
    """Make one HTML page of the eval.json and bench.json in FOLDER: tables and plots.

    \b
    Example:
      edgepose report results --out report.html
    """
    from edgepose.report.page import write_page

    target = out or folder / "report.html"
    refuse_existing(target, overwrite)
    write_page(folder, target)
    click.echo(target)
