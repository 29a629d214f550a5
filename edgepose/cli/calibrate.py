"""`edgepose calibrate`: observe the ranges of a network on images -> scales.json."""

from __future__ import annotations

from pathlib import Path

import click

from edgepose._files import refuse_existing
from edgepose.cli import options, show


@click.command()
@click.argument("model", type=options.FILE)
@options.data
@click.option("--out", type=options.NEW_FILE, required=True, help="The scales.json to write.")
@options.calib_limit
@options.method
@options.overwrite
def command(model: Path, data: str, out: Path, calib_limit: int, method: str | None, overwrite: bool) -> None:
    """Observe the ranges of MODEL (an ONNX with its contract) on photographs of its training split.

    \b
    Examples:
      edgepose calibrate engines/fp32.onnx --data lsp:LSP:train --out scales.json
      edgepose calibrate model.onnx --data images:photos --method percentile --out scales.json
    """
    from edgepose.artifacts.scales import write_scales
    from edgepose.artifacts.spec import embedded_spec
    from edgepose.cli.graphs import calibration_feed, observe_scales
    from edgepose.graph.lookup import load_onnx

    refuse_existing(out, overwrite)
    spec = embedded_spec(load_onnx(model), str(model))
    scales = observe_scales(model, spec, calibration_feed(data, spec, calib_limit), method)
    write_scales(out, scales)
    show.note(f"{len(scales.tensors)} tensors observed on {scales.images} people")
    click.echo(out)
