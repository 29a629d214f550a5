"""`edgepose build`: a checkpoint, an ONNX file or a zoo name -> engines."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from edgepose.api.request import BuildOptions, build_request
from edgepose.cli import flags, options, show


@click.command()
@click.argument("model")
@options.out_folder
@flags.flags_of(BuildOptions)
@click.option("--trtexec", is_flag=True, help="Write the graphs and print trtexec's command for each engine instead.")
@options.overwrite
def command(model: str, out: Path, trtexec: bool, overwrite: bool, **given: Any) -> None:
    """Build engines of MODEL: a checkpoint (.pt), an ONNX file, or a zoo name (lite).

    \b
    Examples:
      edgepose build lite --out engines
      edgepose build model.pt --precision fp32,fp16,int8 --calib lsp:LSP:train --out engines
      edgepose build net.onnx --spec net.toml --precision int8 --calib images:photos --out engines
      edgepose build lite --backend openvino,onnxruntime --precision fp32,int8 --out engines
      edgepose build lite --backend tensorrt --precision fp16,int8-fp16 --batch 1,4,8 --out engines
      edgepose build lite --backend tensorrt_rtx --capability SM86,SM89,SM120 --precision fp16 --out engines
    """
    chosen, line = flags.take(BuildOptions, given), shlex.join(["edgepose", *sys.argv[1:]])
    if trtexec:
        from edgepose.api.engines import trtexec_lines

        request = build_request(model, out, chosen, overwrite=overwrite, command=line)
        show.lines(trtexec_lines(request, track=show.track, note=show.note))
        return
    from edgepose.api.build import build

    how = {"overwrite": overwrite, "command": line}
    show.lines(build(model, out=out, options=chosen, track=show.track, note=show.note, **how).engines)  # type: ignore[arg-type]
