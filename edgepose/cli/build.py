"""`edgepose build`: a checkpoint, an ONNX or a zoo name -> engines in FP32, FP16 and INT8.

`build_all` is the verb; the demo calls it too. It leaves DIR/{fp32,fp16,int8}.onnx, DIR/scales.json and a
folder DIR/<backend>-<precision>/ each.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from edgepose._files import refuse_existing
from edgepose.backends import BACKENDS, about, choose, load
from edgepose.backends.choices import engine_options, given_options, options_for
from edgepose.cli import flags, options, show
from edgepose.cli.graphs import PRECISIONS, BuildRequest, refuse_unused, spec_of, write_graphs
from edgepose.errors import UsageError, nearest


def build_all(request: BuildRequest) -> list[Path]:
    """Build every precision for every backend; returns the engine folders in that order."""
    from edgepose.backends.engine import build_engine
    from edgepose.cli.engines import refuse_unused_engine_options, wants_cache, write_calibration_cache

    refuse_unused(request)
    backends = tuple(dict.fromkeys(choose(name) for name in request.backends))
    refuse_unused_engine_options(request, backends)
    jobs = {
        request.out / f"{name}-{part}": (name, options_for(name, part, request.out, request.engine))
        for name in backends
        for part in request.precisions
    }
    for folder, (name, choices) in jobs.items():
        refuse_existing(folder, request.overwrite)
        load(name).refuse(choices)
    if any(part.startswith("int8") for part in request.precisions) and not all(about(name).on_gpu for name in backends):
        show.warn_without_int8()
    graphs, scales_sha256 = write_graphs(request)
    if wants_cache(request):
        write_calibration_cache(request, graphs["int8"])
    spec = spec_of(graphs["fp32"])
    command = request.command if "--overwrite" in request.command else f"{request.command} --overwrite"
    notes: dict[str, list[str]] = {}
    for folder, (name, choices) in jobs.items():
        manifest = build_engine(
            graphs[load(name).graph_for(choices)],
            folder,
            spec,
            choices,
            name,
            command,
            scales_sha256=scales_sha256 if choices.precision.startswith("int8") else None,
            overwrite=request.overwrite,
            track=show.track,
        )
        show.note(f"built {folder} in {manifest.build_seconds:.1f} s{_layer_summary(manifest.layers)}")
        for note in manifest.notes:
            notes.setdefault(note, []).append(folder.name)
    for note, folders in notes.items():
        show.note(f"{', '.join(folders)}: {note}")
    return list(jobs)


def _layer_summary(layers: dict[str, str]) -> str:
    counts = {kind: list(layers.values()).count(kind) for kind in sorted(set(layers.values()))}
    return ": layers that run " + ", ".join(f"{kind} {n}" for kind, n in counts.items()) if counts else ""


def words(text: str, choices: Sequence[str], option: str) -> tuple[str, ...]:
    """A comma-separated option, checked."""
    parts = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for part in parts:
        if part not in choices:
            raise UsageError(f"{option}: unknown {part!r}{nearest(part, choices)}")
    if not parts:
        raise UsageError(f"{option} is empty; choose from {', '.join(choices)}")
    return parts


@click.command()
@click.argument("model")
@click.option("--out", type=options.NEW_FOLDER, required=True, help="Folder for graphs, scales and engines.")
@click.option("--precision", default="fp32,int8", show_default=True,
              help="Comma-separated: fp32, fp16, int8, int8-fp16 (INT8, its float parts in FP16).")  # fmt: skip
@click.option("--backend", default="auto", show_default=True,
              help=f"Comma-separated: {', '.join(('auto', *BACKENDS))}.")  # fmt: skip
@click.option("--spec", type=options.FILE, help="spec.toml of a network trained elsewhere.")
@click.option("--scales", type=options.FILE, help="A scales.json of `edgepose calibrate`.")
@click.option("--calib", metavar="KIND:PATH[:SPLIT]", help="Photographs to observe ranges on (at least 32).")
@options.calib_limit
@options.method
@click.option("--deconv", type=click.Choice(["int8", "float"]),
              help="Precision of deconvolutions; CPUs without VNNI run them faster in float.")  # fmt: skip
@click.option("--keep-float", multiple=True, metavar="PATTERN", help="Node names that stay in float; repeatable.")
@flags.flags_of(engine_options())
@click.option("--trtexec", is_flag=True, help="Write the graphs and print trtexec's line for each engine; build none.")
@options.overwrite
def command(model: str, precision: str, backend: str, trtexec: bool, **given: Any) -> None:
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
    from edgepose.cli.engines import trtexec_lines

    engine = given_options(flags.take(engine_options(), given))
    request = BuildRequest(
        model=model,
        precisions=words(precision, PRECISIONS, "--precision"),
        backends=words(backend, ("auto", *BACKENDS), "--backend"),
        engine=engine,
        command=shlex.join(["edgepose", *sys.argv[1:]]),
        **given,
    )
    for line in trtexec_lines(request) if trtexec else map(str, build_all(request)):
        click.echo(line)
