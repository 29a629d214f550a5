"""`edgepose build`: a checkpoint, an ONNX or a zoo name -> engines in FP32, FP16 and INT8.

`build_all` is the verb; the demo calls it too. It leaves DIR/{fp32,fp16,int8}.onnx, DIR/scales.json and a
folder DIR/<backend>-<precision>/ each.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgepose._files import refuse_existing, replacing, sha256_file
from edgepose.artifacts.scales import Scales, check_fresh, read_scales, write_scales
from edgepose.artifacts.spec import KEPT_FLOAT_KEY, ModelSpec, embedded_spec, get_metadata, read_spec_toml
from edgepose.cli import options, show
from edgepose.errors import CalibrationError, UsageError, nearest

if TYPE_CHECKING:
    import onnx

    from edgepose.datasets.feeds import CalibrationFeed

PRECISIONS = ("fp32", "fp16", "int8")


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """What to build. model: a checkpoint, an ONNX file, or a zoo name.

    scales: a scales.json; calib: KIND:PATH[:SPLIT] to observe on; neither: the zoo's scales, or those that
    stand in `out`.
    """

    model: str
    out: Path
    precisions: tuple[str, ...] = ("fp32", "int8")
    backends: tuple[str, ...] = ("auto",)
    spec: Path | None = None
    scales: Path | None = None
    calib: str | None = None
    calib_limit: int = 512
    method: str = "minmax"
    deconv: str = "int8"
    keep_float: tuple[str, ...] = ()
    overwrite: bool = False
    command: str = ""


def build_all(request: BuildRequest) -> list[Path]:
    """Build every precision for every backend; returns the engine folders in that order."""
    from edgepose.backends import choose
    from edgepose.backends.engine import build_engine
    from edgepose.backends.session import BuildOptions

    backends = tuple(choose(name) for name in request.backends)
    folders = [request.out / f"{name}-{precision}" for name in backends for precision in request.precisions]
    for folder in folders:
        refuse_existing(folder, request.overwrite)
    if "int8" in request.precisions:
        show.warn_without_int8()
    graphs, scales_sha256 = write_graphs(request)
    for name in backends:
        for precision in request.precisions:
            folder = request.out / f"{name}-{precision}"
            manifest = build_engine(
                graphs[precision],
                folder,
                _spec_of(graphs[precision]),
                BuildOptions(precision=precision),
                name,
                request.command,
                scales_sha256=scales_sha256 if precision == "int8" else None,
                overwrite=request.overwrite,
            )
            show.note(f"built {folder} in {manifest.build_seconds:.1f} s{_layer_summary(manifest.layers)}")
    return folders


def _layer_summary(layers: dict[str, str]) -> str:
    counts = {kind: list(layers.values()).count(kind) for kind in sorted(set(layers.values()))}
    return ": layers that run " + ", ".join(f"{kind} {n}" for kind, n in counts.items()) if counts else ""


def write_graphs(request: BuildRequest) -> tuple[dict[str, Path], str | None]:
    """The ONNX of each precision in `out`, and the sha256 of the scales where there are some."""
    from edgepose.graph.lookup import load_onnx
    from edgepose.quantize import QuantizeOptions, quantise, to_fp16

    graphs = {"fp32": write_fp32(request)}
    model = load_onnx(graphs["fp32"])
    spec = embedded_spec(model, str(graphs["fp32"]))
    scales_sha256 = None
    if "fp16" in request.precisions:
        graphs["fp16"] = _save(to_fp16(model, spec, sha256_file(graphs["fp32"])), request.out / "fp16.onnx")
    if "int8" in request.precisions:
        scales = find_scales(request, graphs["fp32"], spec)
        scales_sha256 = sha256_file(request.out / "scales.json")
        choices = QuantizeOptions(deconv=request.deconv, keep_float=request.keep_float)
        quantised = quantise(model, scales, spec, choices)
        _say_float(quantised)
        graphs["int8"] = _save(quantised, request.out / "int8.onnx")
    return graphs, scales_sha256


def _say_float(quantised: onnx.ModelProto) -> None:
    """Name the layers that stay in float, and why: nothing is left out of INT8 without a word."""
    for name, reason in json.loads(get_metadata(quantised, KEPT_FLOAT_KEY) or "{}").items():
        show.note(f"int8: {name} stays in float: {reason}")


def _save(model: onnx.ModelProto, path: Path) -> Path:
    import onnx

    with replacing(path) as beside:
        onnx.save(model, str(beside))
    return path


def _spec_of(path: Path) -> ModelSpec:
    import onnx

    return embedded_spec(onnx.load(str(path), load_external_data=False), str(path))


def write_fp32(request: BuildRequest) -> Path:
    """DIR/fp32.onnx with its contract inside, from whatever `model` is."""
    from edgepose.zoo import ZOO, zoo_model

    target = request.out / "fp32.onnx"
    source = Path(request.model)
    if request.model in ZOO:
        return _copy(zoo_model(request.model), target)
    if source.suffix in (".pt", ".pth"):
        return _from_checkpoint(source, target, request.calib)
    if source.suffix == ".onnx" or source.is_file():
        return _from_onnx(source, target, request.spec)
    raise UsageError(
        f"MODEL {request.model!r} is no checkpoint (.pt), no ONNX file and no zoo name{nearest(request.model, ZOO)}"
    )


def _copy(source: Path, target: Path) -> Path:
    """Byte for byte: scales.json is keyed by the file's sha256."""
    if source.resolve() != target.resolve():
        with replacing(target) as beside:
            shutil.copyfile(source, beside)
    return target


def _from_checkpoint(source: Path, target: Path, calib: str | None) -> Path:
    from edgepose.cli.export import export_checkpoint

    export_checkpoint(source, target, calib, overwrite=True)
    return target


def _from_onnx(source: Path, target: Path, spec_path: Path | None) -> Path:
    """A network that carries its contract is taken as it is; one trained elsewhere is brought into form."""
    from edgepose.export.foreign import import_onnx

    table = read_spec_toml(spec_path) if spec_path else None
    model, _ = import_onnx(source, table)
    if table is None:
        return _copy(source, target)
    return _save(model, target)


def find_scales(request: BuildRequest, fp32: Path, spec: ModelSpec) -> Scales:
    """The scales to quantise with, written to DIR/scales.json; stale ones are refused."""
    here = request.out / "scales.json"
    feed = None if request.calib is None else calibration_feed(request.calib, spec, request.calib_limit)
    given = _given_scales(request, here, feed is not None)
    if given is not None:
        scales = read_scales(given)
        check_fresh(scales, sha256_file(fp32), spec, feed.image_list_sha256 if feed else None)
        show.note(f"int8: ranges from {given}, observed on {scales.images} people by {scales.method}")
    elif feed is not None:
        scales = observe_scales(fp32, spec, feed, request.method)
    else:
        raise CalibrationError("int8 needs ranges: pass --calib KIND:PATH (photographs like those it will see)")
    write_scales(here, scales)
    return scales


def _given_scales(request: BuildRequest, here: Path, observe: bool) -> Path | None:
    """The scales.json to read: the one named, the zoo's, or what an earlier build left; None to observe."""
    from edgepose.zoo import ZOO, zoo_scales

    if request.scales is not None:
        return request.scales
    if observe:
        return here if here.is_file() and not request.overwrite else None
    if request.model in ZOO:
        return zoo_scales(request.model)
    return here if here.is_file() else None


def calibration_feed(calib: str, spec: ModelSpec, limit: int) -> CalibrationFeed:
    """At most `limit` people of KIND:PATH[:SPLIT]."""
    from edgepose.datasets.feeds import CalibrationFeed
    from edgepose.datasets.open import open_data

    return CalibrationFeed(open_data(calib), spec, limit=limit)


def observe_scales(onnx_path: Path, spec: ModelSpec, feed: CalibrationFeed, method: str) -> Scales:
    """Calibrate on a feed, with a progress bar."""
    from edgepose.quantize import CalibrationOptions, calibrate

    return calibrate(onnx_path, feed, spec, CalibrationOptions(method=method), show.track)


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
