"""Verbs that make files: `train`, `export`, `calibrate` and `build`."""

import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from edgepose._options import given_values
from edgepose._progress import quiet, silent
from edgepose.api.quantized import QuantizedOptions
from edgepose.api.request import BuildOptions, QuantizeFlags, build_request
from edgepose.api.train import TrainingOptions
from edgepose.backends.choices import engine_options
from edgepose.cli import flags, options, show


@click.command()
@click.argument("recipe", required=False)
@click.option("--data", "data", multiple=True, required=True, metavar="KIND:PATH[:SPLIT]",
              help="Training set; repeatable, and a set that is named twice counts twice.")  # fmt: skip
@click.option("--val", "validation", multiple=True, metavar="KIND:PATH[:SPLIT]",
              help="Images that choose the best epoch; never the test set.")  # fmt: skip
@options.out_folder
@flags.flags_of(TrainingOptions)
@flags.flags_of(QuantizedOptions)
def train(recipe: str | None, data: tuple[str, ...], validation: tuple[str, ...], out: Path, **given: Any) -> None:
    """Train a network by RECIPE: the name of one that ships with edgepose, or a .toml file.

    \b
    Examples:
      edgepose train lite-128 --data lsp:LSP:fit --data lspet:LSPET --val lsp:LSP:val --out runs/lite
      edgepose train lite-128 ... --out runs/lite --resume          (after a kill: the same result)
      edgepose train lite-coco17 --data lspet:LSPET --teacher LSPET/lspet_coco17.json --out runs/mine
      edgepose train --quantized engines/scales.json --data images:photos --out runs/int8
      torchrun --nproc-per-node 4 -m edgepose train simplebaseline-r50 --data ... --out runs/r50
    """
    from edgepose.api.train import train

    first = os.environ.get("RANK", "0") == "0"  # under torchrun, only one process prints
    chosen, tuned = flags.take(TrainingOptions, given), flags.take(QuantizedOptions, given)
    track, note = (show.track, show.note) if first else (quiet, silent)
    more: dict[str, Any] = {"options": chosen, "quantized": tuned, "track": track, "note": note}
    result = train(recipe, data=data, validation=validation, out=out, **more)
    if first:
        click.echo(result.best)


@click.command()
@click.argument("checkpoint", type=options.FILE)
@options.out_file
@click.option("--data", metavar="KIND:PATH[:SPLIT]", help="Images to verify on; by default rendered figures.")
@click.option("--pictorial", metavar="KIND:PATH[:SPLIT]",
              help="Decode with a pictorial structure (a tree of springs) learned from these labels.")  # fmt: skip
@click.option("--spring-weight", type=click.FloatRange(min=0),
              help="Weight of the springs against the heatmaps; by default 0.1.")  # fmt: skip
@options.overwrite
def export(checkpoint: Path, **given: Any) -> None:
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


@click.command()
@click.argument("model", type=options.NETWORK)
@options.data
@options.out_file
@options.limit
@flags.flags_of(QuantizeFlags)
@options.overwrite
def calibrate(model: Path, out: Path, **given: Any) -> None:
    """Observe the activations of MODEL (an ONNX file with its contract) on images of its training split.

    \b
    Examples:
      edgepose calibrate engines/fp32.onnx --data lsp:LSP:train --out scales.json
      edgepose calibrate model.onnx --data images:photos --method percentile --out scales.json
    """
    from edgepose.api.calibrate import calibrate

    chosen = given_values(flags.take(QuantizeFlags, given))
    scales = calibrate(model, out=out, options=chosen, track=show.track, note=show.note, **given)
    show.note(f"{len(scales.tensors)} tensors observed on {scales.images} people")
    click.echo(out)


@click.command()
@click.argument("model")
@options.out_folder
@flags.flags_of(BuildOptions)
@flags.flags_of(QuantizeFlags)
@flags.flags_of(engine_options())
@click.option("--trtexec", is_flag=True, help="Write the graphs and print trtexec's command for each engine instead.")
@options.overwrite
def build(model: str, out: Path, trtexec: bool, overwrite: bool, **given: Any) -> None:
    """Build engines of MODEL: a checkpoint (.pt), an ONNX file, or a zoo name (lite).

    \b
    Examples:
      edgepose build lite --out engines
      edgepose build model.pt --precision fp32,fp16,int8 --calib lsp:LSP:train --out engines
      edgepose build net.onnx --spec net.toml --precision int8 --calib images:photos --out engines
      edgepose build net.onnx --calib images:photos --keep 99 --guard json:labels.json --out engines
      edgepose build lite --backend openvino,onnxruntime --precision fp32,int8 --out engines
      edgepose build lite --backend tensorrt --precision fp16,int8 --batch 1,4,8 --out engines
      edgepose build lite --backend tensorrt_rtx --capability SM86,SM89,SM120 --precision fp16 --out engines
    """
    chosen, line = flags.take(BuildOptions, given), shlex.join(["edgepose", *sys.argv[1:]])
    quantize, engine = (given_values(flags.take(kind, given)) for kind in (QuantizeFlags, engine_options()))
    chosen = replace(chosen, quantize=quantize, engine=engine)
    if trtexec:
        from edgepose.api.engines import trtexec_lines

        request = build_request(model, out, chosen, overwrite=overwrite, command=line)
        show.lines(trtexec_lines(request, track=show.track, note=show.note))
        return
    from edgepose.api.build import build

    done = build(model, out=out, options=chosen, overwrite=overwrite, command=line, track=show.track, note=show.note)
    show.lines(done.engines)
