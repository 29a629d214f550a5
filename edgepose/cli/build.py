"""`edgepose build`: a checkpoint, an ONNX or a zoo name -> engines in FP32, FP16 and INT8.

`build_all` is the verb; the demo calls it too. It leaves DIR/{fp32,fp16,int8}.onnx, DIR/scales.json and a
folder DIR/<backend>-<precision>/ each.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from edgepose._files import refuse_existing
from edgepose.cli import options, show
from edgepose.cli.engines import job_options, refuse_unused_engine_options, trtexec_lines, write_calibration_cache
from edgepose.cli.graphs import PRECISIONS, BuildRequest, refuse_unused, spec_of, write_graphs
from edgepose.errors import UsageError, nearest


def build_all(request: BuildRequest) -> list[Path]:
    """Build every precision for every backend; returns the engine folders in that order."""
    from edgepose.backends import choose, load
    from edgepose.backends.engine import build_engine

    refuse_unused(request)
    backends = tuple(dict.fromkeys(choose(name) for name in request.backends))
    refuse_unused_engine_options(request, backends)
    jobs = {
        request.out / f"{name}-{part}": (name, job_options(request, name, part))
        for name in backends
        for part in request.precisions
    }
    for folder, (name, choices) in jobs.items():
        refuse_existing(folder, request.overwrite)
        load(name).refuse(choices)
    if any(part.startswith("int8") for part in request.precisions) and {"openvino", "onnxruntime"} & set(backends):
        show.warn_without_int8()
    graphs, scales_sha256 = write_graphs(request)
    if request.calibration_cache:
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


def _batch(text: str | None) -> tuple[int, int, int] | None:
    if text is None:
        return None
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdigit() for part in parts):
        raise UsageError(f"--batch {text}: expected MIN,OPT,MAX, such as 1,4,8")
    return int(parts[0]), int(parts[1]), int(parts[2])


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that only builders of the TensorRT family read."""
    given = (
        click.option("--batch", metavar="MIN,OPT,MAX", help="TensorRT: people at once; 1,1,8 if not given."),
        click.option("--workspace", "workspace_mib", type=click.IntRange(1), metavar="MIB",
                     help="TensorRT: scratch memory a layer may use; all there is if not given."),
        click.option("--builder-level", type=click.IntRange(0, 5), help="TensorRT: 0 builds fast, 5 runs fast."),
        click.option("--dla-core", type=click.IntRange(0), help="TensorRT: build for a DLA of Jetson Orin."),
        click.option("--timing-cache", type=options.NEW_FOLDER, metavar="FOLDER",
                     help="TensorRT: kernel timings kept from build to build; OUT/timing if not given."),
        click.option("--calibration-cache", is_flag=True,
                     help="TensorRT 8.6, 10: INT8 by OUT/calibration.cache instead of Q/DQ; what a DLA needs."),
        click.option("--capability", "capabilities", metavar="LIST",
                     help="TensorRT-RTX: comma-separated, such as SM86,SM120; portable if not given."),
        click.option("--trtexec", is_flag=True,
                     help="Write the graphs and print trtexec's line for each engine; build none."),
    )  # fmt: skip
    for option in reversed(given):
        command = option(command)
    return command


@click.command()
@click.argument("model")
@click.option("--out", type=options.NEW_FOLDER, required=True, help="Folder for graphs, scales and engines.")
@click.option("--precision", default="fp32,int8", show_default=True,
              help="Comma-separated: fp32, fp16, int8, int8-fp16 (INT8, its float parts in FP16).")  # fmt: skip
@click.option("--backend", default="auto", show_default=True,
              help="Comma-separated: auto, tensorrt, tensorrt_rtx, openvino, onnxruntime.")  # fmt: skip
@click.option("--spec", type=options.FILE, help="spec.toml of a network trained elsewhere.")
@click.option("--scales", type=options.FILE, help="A scales.json of `edgepose calibrate`.")
@click.option("--calib", metavar="KIND:PATH[:SPLIT]", help="Photographs to observe ranges on (at least 32).")
@options.calib_limit
@options.method
@click.option("--deconv", type=click.Choice(["int8", "float"]),
              help="Precision of deconvolutions; CPUs without VNNI run them faster in float.")  # fmt: skip
@click.option("--keep-float", multiple=True, metavar="PATTERN", help="Node names that stay in float; repeatable.")
@engine_options
@options.overwrite
def command(
    model: str, precision: str, backend: str, batch: str | None, capabilities: str | None, trtexec: bool, **given: Any
) -> None:
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
    from edgepose.backends import BACKENDS

    request = BuildRequest(
        model=model,
        precisions=words(precision, PRECISIONS, "--precision"),
        backends=words(backend, ("auto", *BACKENDS), "--backend"),
        batch=_batch(batch),
        capabilities=tuple(part.strip().upper() for part in (capabilities or "").split(",") if part.strip()),
        command=shlex.join(["edgepose", *sys.argv[1:]]),
        **given,
    )
    for line in trtexec_lines(request) if trtexec else map(str, build_all(request)):
        click.echo(line)
