"""`edgepose export`: a checkpoint -> ONNX with its contract inside, verified against the checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgepose.cli import options, show


@click.command()
@click.argument("checkpoint", type=options.FILE)
@options.out_file
@click.option("--data", metavar="KIND:PATH[:SPLIT]", help="Images to verify on; by default rendered figures.")
@click.option("--pictorial", metavar="KIND:PATH[:SPLIT]",
              help="Decode with a pictorial structure (a tree of springs) learned from these labels.")  # fmt: skip
@click.option("--spring-weight", type=click.FloatRange(min=0),
              help="Weight of the springs against the heatmaps; by default 0.1.")  # fmt: skip
@options.overwrite
def command(checkpoint: Path, **given: Any) -> None:
    """Write CHECKPOINT (.pt of edgepose train) as ONNX: simplified, dynamic batch, verified against torch.

    \b
    Examples:
      edgepose export runs/lite/best.pt --out model.onnx --data lsp:LSP:val
      edgepose export runs/lite/best.pt --out springs.onnx --pictorial lsp:LSP:train
    """
    from edgepose.api.export import export_onnx

    result = export_onnx(checkpoint, **given)
    show.note(result.describe())
    click.echo(result.path)
