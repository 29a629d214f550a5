"""`edgepose demo`: the whole job on rendered figures. It needs no download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgepose.cli import options, show


@click.command()
@click.option("--out", type=options.NEW_FOLDER, default=Path("demo-out"), show_default=True, help="Folder to write to.")
@click.option("--people", type=click.IntRange(32), default=200, show_default=True, help="Figures to evaluate on.")
@click.option("--frames", type=click.IntRange(2), default=120, show_default=True, help="Frames of the clip.")
@click.option("--rounds", type=click.IntRange(1), default=60, show_default=True, help="Timed runs of each engine.")
@options.overwrite
def command(**given: Any) -> None:
    """Build, run, evaluate and time the model that ships, on rendered figures.

    \b
    It shows the whole pipeline on any machine. Rendered figures say nothing about accuracy on photographs:
    for that see the tables in the documentation, or run edgepose eval on LSP.

    \b
    Example:
      edgepose demo --out demo-out
    """
    from edgepose.api.demo import demo
    from edgepose.cli.bench import print_latency
    from edgepose.cli.evaluate import print_accuracy

    result = demo(track=show.track, note=show.note, **given)
    print_accuracy(result.accuracy)
    print_latency(result.latency)
    show.lines((result.report, result.overlay, result.poses))
