"""`edgepose export`: a checkpoint -> ONNX with its contract inside, checked against the checkpoint."""

from __future__ import annotations

import itertools
from pathlib import Path

import click

from edgepose._files import sha256_file
from edgepose._optional import optional
from edgepose.cli import options, show

CROPS = 16  # real crops the export is checked on


def export_checkpoint(checkpoint: Path, out: Path, data: str | None, *, overwrite: bool) -> None:
    """Export, and compare with torch on crops of `data` (rendered figures if None); no file when they differ."""
    optional("torch")
    import numpy as np

    from edgepose.datasets.feeds import CalibrationFeed
    from edgepose.datasets.open import open_data
    from edgepose.export.onnx import export
    from edgepose.training.checkpoint import load_model

    model, spec = load_model(checkpoint)
    feed = CalibrationFeed(open_data(data or f"synthetic:{CROPS}"), spec, limit=CROPS)
    crops = np.concatenate([batch for batch, _ in itertools.islice(feed, CROPS)])
    parity = export(model, spec, out, crops, parent_sha256=sha256_file(checkpoint), overwrite=overwrite)
    show.note(
        f"{out}: max abs error against torch {parity.max_abs_error:.2e} on {parity.n} crops, "
        f"largest output {parity.scale:.2f}"
    )


@click.command()
@click.argument("checkpoint", type=options.FILE)
@click.option("--out", type=options.NEW_FILE, required=True, help="The ONNX to write.")
@click.option(
    "--data", metavar="KIND:PATH[:SPLIT]", help="Crops to check the export on; rendered figures if not given."
)
@options.overwrite
def command(checkpoint: Path, out: Path, data: str | None, overwrite: bool) -> None:
    """Write CHECKPOINT (.pt of edgepose train) as ONNX: simplified, dynamic batch, verified against torch.

    \b
    Example:
      edgepose export runs/lite/best.pt --out model.onnx --data lsp:LSP:val
    """
    export_checkpoint(checkpoint, out, data, overwrite=overwrite)
    click.echo(out)
