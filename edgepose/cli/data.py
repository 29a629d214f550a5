"""`edgepose data check`: what a data set holds, what is missing and what looks wrong, with a contact sheet."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edgepose.cli import options, show


@click.group()
def command() -> None:
    """Look at data sets before they are used.

    \b
    Example:
      edgepose data check lsp:LSP
    """


@command.command()
@click.argument("texts", metavar="KIND:PATH[:SPLIT]...", nargs=-1, required=True)
@click.option("--sheet", type=options.NEW_FILE, default=Path("contact-sheet.png"), show_default=True,
              help="Where to draw some people with their labels.")  # fmt: skip
@click.option("--labels-only", is_flag=True, help="Do not read the images: faster, but their edges are not checked.")
@options.as_json
@options.overwrite
def check(texts: tuple[str, ...], sheet: Path, labels_only: bool, as_json: bool, overwrite: bool) -> None:
    """Say what data sets hold, what is missing, and what looks wrong.

    Without a SPLIT all splits that should share nobody are read, and photographs that are in two of them are named.
    Exit code 1 when images are missing or labels cannot be used; what only looks wrong is for you to judge.

    \b
    Examples:
      edgepose data check lsp:LSP
      edgepose data check coco:COCO:val2017 --labels-only
      edgepose data check json:labels.json:skeleton.toml --sheet people.png
    """
    from edgepose.api.data import check_data
    from edgepose.report import findings

    found = check_data(texts, sheet=sheet, labels_only=labels_only, overwrite=overwrite, track=show.track)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
    else:
        for part in found.parts:
            show.lines(findings.lines(part))
            columns, rows = findings.joints(part)
            if rows:
                show.table("", columns, rows)
        for pair in found.shared:
            show.lines(findings.shared(pair.first, pair.second, pair.pairs))
        show.note("a contact sheet with labels drawn:")
        click.echo(found.sheet)
    click.get_current_context().exit(int(not found.usable))
