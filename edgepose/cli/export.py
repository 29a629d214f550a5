"""`edgepose export`: a checkpoint -> ONNX with its contract inside, checked against the checkpoint."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path

import click

from edgepose._files import sha256_file
from edgepose._optional import optional
from edgepose.artifacts.spec import ModelSpec
from edgepose.cli import options, show
from edgepose.codecs.springs import PictorialSpec
from edgepose.errors import UsageError

CROPS = 16  # real crops the export is checked on


@dataclass(frozen=True)
class Springs:
    """data: KIND:PATH[:SPLIT] to learn a tree of springs from; weight: of springs against heatmaps."""

    data: str
    weight: float = PictorialSpec.weight


def export_checkpoint(
    checkpoint: Path, out: Path, data: str | None, *, overwrite: bool, springs: Springs | None = None
) -> None:
    """Export, and compare with torch on crops of `data` (rendered figures if None); no file when they differ."""
    optional("torch")
    import numpy as np

    from edgepose.datasets.feeds import CalibrationFeed
    from edgepose.datasets.open import open_data
    from edgepose.export.onnx import export
    from edgepose.training.checkpoint import load_model

    model, spec = load_model(checkpoint)
    if springs is not None:
        spec = _with_springs(spec, springs)
    feed = CalibrationFeed(open_data(data or f"synthetic:{CROPS}"), spec, limit=CROPS)
    crops = np.concatenate([batch for batch, _ in itertools.islice(feed, CROPS)])
    parity = export(model, spec, out, crops, parent_sha256=sha256_file(checkpoint), overwrite=overwrite)
    show.note(
        f"{out}: max abs error against torch {parity.max_abs_error:.2e} on {parity.n} crops, "
        f"largest output {parity.scale:.2f}"
    )


def _with_springs(spec: ModelSpec, springs: Springs) -> ModelSpec:
    from edgepose.codecs.heatmap import HeatmapCodec
    from edgepose.datasets.open import open_data
    from edgepose.datasets.springs import learn_springs

    if not isinstance(spec.codec, HeatmapCodec):
        raise UsageError(f"--pictorial is for heatmap networks; {spec.name} has codec {spec.codec.name!r}")
    tree = learn_springs(open_data(springs.data), spec, springs.weight)
    return replace(spec, codec=replace(spec.codec, pictorial=tree))


@click.command()
@click.argument("checkpoint", type=options.FILE)
@click.option("--out", type=options.NEW_FILE, required=True, help="The ONNX to write.")
@click.option(
    "--data", metavar="KIND:PATH[:SPLIT]", help="Crops to check the export on; rendered figures if not given."
)
@click.option("--pictorial", metavar="KIND:PATH[:SPLIT]",
              help="Decode as a body of springs (pictorial structures), learnt from these labels.")  # fmt: skip
@click.option("--spring-weight", type=click.FloatRange(min=0),
              help="What springs count against heatmaps; 0.1 unless said.")  # fmt: skip
@options.overwrite
def command(
    checkpoint: Path, out: Path, data: str | None, pictorial: str | None, spring_weight: float | None, overwrite: bool
) -> None:
    """Write CHECKPOINT (.pt of edgepose train) as ONNX: simplified, dynamic batch, verified against torch.

    \b
    Examples:
      edgepose export runs/lite/best.pt --out model.onnx --data lsp:LSP:val
      edgepose export runs/lite/best.pt --out springs.onnx --pictorial lsp:LSP:train
    """
    if pictorial is None and spring_weight is not None:
        raise UsageError("--spring-weight is about springs, which --pictorial asks for")
    springs = None
    if pictorial is not None:
        springs = Springs(pictorial) if spring_weight is None else Springs(pictorial, spring_weight)
    export_checkpoint(checkpoint, out, data, overwrite=overwrite, springs=springs)
    click.echo(out)
