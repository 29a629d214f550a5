"""`edgepose train`: a recipe and labeled photographs -> last.pt (resumable), best.pt, log.csv."""

from __future__ import annotations

import os
from pathlib import Path

import click

from edgepose._progress import quiet
from edgepose.cli import options, show


@click.command()
@click.argument("recipe")
@click.option("--data", "data", multiple=True, required=True, metavar="KIND:PATH[:SPLIT]",
              help="What to train on; repeatable, a set named twice counts twice.")  # fmt: skip
@click.option("--val", "validation", multiple=True, metavar="KIND:PATH[:SPLIT]",
              help="Photographs that choose the best epoch; never the test set.")  # fmt: skip
@click.option("--out", type=options.NEW_FOLDER, required=True, help="Folder for checkpoints and the log.")
@click.option("--start", type=options.FILE, help="A checkpoint whose weights to begin with.")
@click.option("--resume", is_flag=True, help="Go on from OUT/last.pt.")
@click.option("--check", is_flag=True, help="Read every image and label before the first step.")
@click.option("--workers", type=click.IntRange(0), default=2, show_default=True, help="Processes that cut crops.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--threads", type=click.IntRange(0), default=0, show_default=True,
              help="CPU threads of torch; 0 lets it choose.")  # fmt: skip
def command(
    recipe: str,
    data: tuple[str, ...],
    validation: tuple[str, ...],
    out: Path,
    start: Path | None,
    resume: bool,
    check: bool,
    workers: int,
    device: str,
    threads: int,
) -> None:
    """Train a network by RECIPE: the name of one that ships, or a .toml file.

    \b
    Examples:
      edgepose train lite-128 --data lsp:LSP:fit --data lspet:LSPET --val lsp:LSP:val --out runs/lite
      edgepose train lite-128 ... --out runs/lite --resume          (after a kill: the same result)
      torchrun --nproc-per-node 4 -m edgepose train simplebaseline-r50 --data ... --out runs/r50
    """
    from edgepose._optional import optional

    optional("torch")
    from edgepose.datasets.check import check_labels
    from edgepose.datasets.open import open_data
    from edgepose.training.loop import TrainOptions, train
    from edgepose.training.recipe import read_recipe

    first = os.environ.get("RANK", "0") == "0"  # under torchrun, one process speaks
    chosen = read_recipe(recipe)
    parts, held_out = [open_data(text) for text in data], [open_data(text) for text in validation]
    if check:
        for part in (*parts, *held_out):
            check_labels(part, show.track)
    best = train(
        chosen,
        parts,
        held_out,
        TrainOptions(out=out, start=start, resume=resume, workers=workers, device=device, threads=threads),
        show.track if first else quiet,
    )
    if first:
        click.echo(best)
