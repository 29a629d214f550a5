"""`edgepose build`: a checkpoint, an ONNX or a zoo name -> engines in FP32, FP16 and INT8.

`build_all` is the verb; the demo calls it too. It leaves DIR/{fp32,fp16,int8}.onnx, DIR/scales.json and a
folder DIR/<backend>-<precision>/ each.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from edgepose._files import refuse_existing
from edgepose.cli import options, show
from edgepose.cli.graphs import BuildRequest, refuse_unused, spec_of, write_graphs
from edgepose.errors import UsageError, nearest

PRECISIONS = ("fp32", "fp16", "int8")


def build_all(request: BuildRequest) -> list[Path]:
    """Build every precision for every backend; returns the engine folders in that order."""
    from edgepose.backends import choose
    from edgepose.backends.engine import build_engine
    from edgepose.backends.session import BuildOptions

    refuse_unused(request)
    backends = tuple(dict.fromkeys(choose(name) for name in request.backends))
    jobs = {request.out / f"{name}-{part}": (name, part) for name in backends for part in request.precisions}
    for folder in jobs:
        refuse_existing(folder, request.overwrite)
    if "int8" in request.precisions:
        show.warn_without_int8()
    graphs, scales_sha256 = write_graphs(request)
    spec = spec_of(graphs["fp32"])
    command = request.command if "--overwrite" in request.command else f"{request.command} --overwrite"
    for folder, (name, precision) in jobs.items():
        manifest = build_engine(
            graphs[precision],
            folder,
            spec,
            BuildOptions(precision=precision),
            name,
            command,
            scales_sha256=scales_sha256 if precision == "int8" else None,
            overwrite=request.overwrite,
        )
        show.note(f"built {folder} in {manifest.build_seconds:.1f} s{_layer_summary(manifest.layers)}")
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
@click.option("--precision", default="fp32,int8", show_default=True, help="Comma-separated: fp32, fp16, int8.")
@click.option("--backend", default="auto", show_default=True, help="Comma-separated: auto, openvino, onnxruntime.")
@click.option("--spec", type=options.FILE, help="spec.toml of a network trained elsewhere.")
@click.option("--scales", type=options.FILE, help="A scales.json of `edgepose calibrate`.")
@click.option("--calib", metavar="KIND:PATH[:SPLIT]", help="Photographs to observe ranges on (at least 32).")
@options.calib_limit
@options.method
@click.option("--deconv", type=click.Choice(["int8", "float"]), default="int8", show_default=True,
              help="How deconvolutions compute; CPUs without VNNI run them faster in float.")  # fmt: skip
@click.option("--keep-float", multiple=True, metavar="PATTERN", help="Node names that stay in float; repeatable.")
@options.overwrite
def command(model: str, precision: str, backend: str, **given: object) -> None:
    """Build engines of MODEL: a checkpoint (.pt), an ONNX file, or a zoo name (lite).

    \b
    Examples:
      edgepose build lite --out engines
      edgepose build model.pt --precision fp32,fp16,int8 --calib lsp:LSP:train --out engines
      edgepose build net.onnx --spec net.toml --precision int8 --calib images:photos --out engines
      edgepose build lite --backend openvino,onnxruntime --precision fp32,int8 --out engines
    """
    from edgepose.backends import BACKENDS, PLANNED

    request = BuildRequest(
        model=model,
        precisions=words(precision, PRECISIONS, "--precision"),
        backends=words(backend, ("auto", *BACKENDS, *PLANNED), "--backend"),
        command=shlex.join(["edgepose", *sys.argv[1:]]),
        **given,  # type: ignore[arg-type]
    )
    for folder in build_all(request):
        click.echo(folder)
