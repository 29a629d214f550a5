"""`edgepose report`: the results of a folder as one HTML file."""

from __future__ import annotations

from pathlib import Path

import click

from edgepose.cli import options


@click.command()
@click.argument("folder", type=options.NEW_FOLDER)
@click.option("--out", type=options.NEW_FILE, help="The page; by default FOLDER/report.html.")
@options.overwrite
def command(folder: Path, out: Path | None, overwrite: bool) -> None:
    """Make one HTML page of the eval.json and bench.json in FOLDER: tables and plots.

    \b
    Example:
      edgepose report results --out report.html
    """
    from edgepose.api.report import report

    click.echo(report(folder, out=out, overwrite=overwrite))
