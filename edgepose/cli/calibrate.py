"""`edgepose calibrate`: observe the activations of a network on images -> scales.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgepose.cli import options, show


@click.command()
@click.argument("model", type=options.FILE)
@options.data
@options.out_file
@options.limit
@options.method
@options.overwrite
def command(model: Path, out: Path, **given: Any) -> None:
    """Observe the activations of MODEL (an ONNX file with its contract) on images of its training split.

    \b
    Examples:
      edgepose calibrate engines/fp32.onnx --data lsp:LSP:train --out scales.json
      edgepose calibrate model.onnx --data images:photos --method percentile --out scales.json
    """
    from edgepose.api.calibrate import calibrate

    scales = calibrate(model, out=out, track=show.track, **given)
    show.note(f"{len(scales.tensors)} tensors observed on {scales.images} people")
    click.echo(out)
