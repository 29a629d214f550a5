"""`edgepose train`: a recipe and labeled images -> last.pt (resumable), best.pt, log.csv."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from edgepose._progress import quiet
from edgepose.api.train import TrainingOptions, train
from edgepose.cli import flags, options, show


@click.command()
@click.argument("recipe")
@click.option("--data", "data", multiple=True, required=True, metavar="KIND:PATH[:SPLIT]",
              help="Training set; repeatable, and a set that is named twice counts twice.")  # fmt: skip
@click.option("--val", "validation", multiple=True, metavar="KIND:PATH[:SPLIT]",
              help="Images that choose the best epoch; never the test set.")  # fmt: skip
@options.out_folder
@flags.flags_of(TrainingOptions)
def command(recipe: str, data: tuple[str, ...], validation: tuple[str, ...], out: Path, **given: Any) -> None:
    """Train a network by RECIPE: the name of one that ships with edgepose, or a .toml file.

    \b
    Examples:
      edgepose train lite-128 --data lsp:LSP:fit --data lspet:LSPET --val lsp:LSP:val --out runs/lite
      edgepose train lite-128 ... --out runs/lite --resume          (after a kill: the same result)
      torchrun --nproc-per-node 4 -m edgepose train simplebaseline-r50 --data ... --out runs/r50
    """
    first = os.environ.get("RANK", "0") == "0"  # under torchrun, only one process prints
    chosen, track = flags.take(TrainingOptions, given), show.track if first else quiet
    result = train(recipe, data=data, validation=validation, out=out, options=chosen, track=track)
    if first:
        click.echo(result.best)
