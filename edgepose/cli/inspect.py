"""`edgepose inspect`: explain a checkpoint, an ONNX file, a scales.json, an engine folder, or results."""

from __future__ import annotations

from pathlib import Path

import click

from edgepose.cli import options, show


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@options.as_json
def command(path: Path, as_json: bool) -> None:
    """Explain PATH: what it is, what it was made from, and in which precision each layer really runs.

    \b
    Examples:
      edgepose inspect engines/openvino-int8
      edgepose inspect model.onnx --json
    """
    from edgepose.api.inspect import inspect

    show.facts(inspect(path), as_json)
