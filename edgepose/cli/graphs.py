"""The graphs of a build: DIR/{fp32,fp16,int8}.onnx and DIR/scales.json, from whatever the model is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgepose._files import placing, sha256_file
from edgepose.artifacts.scales import Scales, check_fresh, read_scales, write_scales
from edgepose.artifacts.spec import (
    KEPT_FLOAT_KEY,
    PRECISION_KEY,
    ModelSpec,
    embedded_spec,
    get_metadata,
    read_toml,
)
from edgepose.cli import show
from edgepose.errors import CalibrationError, ModelError, UsageError, nearest

if TYPE_CHECKING:
    import onnx

    from edgepose.datasets.feeds import CalibrationFeed


PRECISIONS = ("fp32", "fp16", "int8", "int8-fp16")


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """What to build. model: a checkpoint, an ONNX file, or a zoo name.

    scales: a scales.json; calib: KIND:PATH[:SPLIT] to observe on; neither: the zoo's scales, or those that
    stand in `out`. method: of choosing a range; None takes the contract's, or what the scales given were made by.
    engine: options of the backends by field name, see `backends.choices`.
    """

    model: str
    out: Path
    precisions: tuple[str, ...] = ("fp32", "int8")
    backends: tuple[str, ...] = ("auto",)
    spec: Path | None = None
    scales: Path | None = None
    calib: str | None = None
    calib_limit: int = 512
    method: str | None = None
    deconv: str | None = None
    keep_float: tuple[str, ...] = ()
    overwrite: bool = False
    command: str = ""
    engine: Mapping[str, Any] = field(default_factory=dict)


def write_graphs(request: BuildRequest) -> tuple[dict[str, Path], str | None]:
    """The ONNX of each precision in `out`, and the sha256 of the scales where there are some."""
    from edgepose.graph.lookup import load_onnx
    from edgepose.quantize import quantize, to_fp16, to_int8_fp16

    graphs = {"fp32": write_fp32(request)}
    model = load_onnx(graphs["fp32"])
    spec = embedded_spec(model, str(graphs["fp32"]))
    scales_sha256 = None
    if "fp16" in request.precisions:
        graphs["fp16"] = _save(
            to_fp16(model, spec, sha256_file(graphs["fp32"])), request.out / "fp16.onnx", request.overwrite
        )
    if _wants_int8(request):
        scales = find_scales(request, graphs["fp32"], spec)
        scales_sha256 = sha256_file(request.out / "scales.json")
        choices = spec.quantize.changed({"deconv": request.deconv, "keep_float": request.keep_float})
        quantized = quantize(model, scales, spec, choices)
        _say_float(quantized)
        graphs["int8"] = _save(quantized, request.out / "int8.onnx", request.overwrite)
        if "int8-fp16" in request.precisions:
            mixed = to_int8_fp16(quantized, spec, sha256_file(graphs["int8"]))
            graphs["int8-fp16"] = _save(mixed, request.out / "int8-fp16.onnx", request.overwrite)
    return graphs, scales_sha256


def _wants_int8(request: BuildRequest) -> bool:
    return any(part.startswith("int8") for part in request.precisions)


def _say_float(quantized: onnx.ModelProto) -> None:
    """Name the layers that stay in float, and why: nothing is left out of INT8 without a word."""
    for name, reason in json.loads(get_metadata(quantized, KEPT_FLOAT_KEY) or "{}").items():
        show.note(f"int8: {name} stays in float: {reason}")


def _save(model: onnx.ModelProto, path: Path, overwrite: bool) -> Path:
    import onnx

    with placing(path, overwrite) as beside:
        onnx.save(model, str(beside))
    return path


def spec_of(path: Path) -> ModelSpec:
    """The contract an ONNX file carries."""
    from edgepose.graph.lookup import load_onnx

    return embedded_spec(load_onnx(path), str(path))


def refuse_unused(request: BuildRequest) -> None:
    """UsageError for an option that would do nothing."""
    foreign = Path(request.model).suffix == ".onnx"
    if request.spec is not None and not foreign:
        raise UsageError(f"--spec is for an ONNX trained elsewhere; {request.model} carries its contract")
    if _wants_int8(request):
        return
    given = {"--scales": request.scales, "--method": request.method, "--keep-float": request.keep_float}
    for option, value in given.items():
        if value:
            raise UsageError(f"{option} is about int8, which --precision does not name")


def write_fp32(request: BuildRequest) -> Path:
    """DIR/fp32.onnx with its contract inside, from whatever `model` is."""
    from edgepose.zoo import ZOO, zoo_model

    target = request.out / "fp32.onnx"
    source = Path(request.model)
    if request.model in ZOO:
        return _copy(zoo_model(request.model), target, request.overwrite)
    if source.suffix in (".pt", ".pth"):
        from edgepose.cli.export import export_checkpoint

        with placing(target, request.overwrite) as beside:
            export_checkpoint(source, beside, request.calib, overwrite=True)
        return target
    if source.suffix == ".onnx":
        return _from_onnx(source, target, request)
    raise UsageError(
        f"MODEL {request.model!r} is no checkpoint (.pt), no ONNX file and no zoo name{nearest(request.model, ZOO)}"
    )


def _copy(source: Path, target: Path, overwrite: bool) -> Path:
    """Byte for byte: scales.json is keyed by the file's sha256."""
    if source.resolve() != target.resolve():
        with placing(target, overwrite) as beside:
            shutil.copyfile(source, beside)
    return target


def _from_onnx(source: Path, target: Path, request: BuildRequest) -> Path:
    """A network that carries its contract is taken as it is; one trained elsewhere is brought into form."""
    from edgepose.export.foreign import import_onnx

    table = read_toml(request.spec, "spec") if request.spec else None
    model, _ = import_onnx(source, table)
    held = get_metadata(model, PRECISION_KEY)
    if held not in (None, "fp32"):
        raise ModelError(f"{source} is an {held} graph already; build from the float ONNX it was made from")
    if table is None:
        return _copy(source, target, request.overwrite)
    return _save(model, target, request.overwrite)


def find_scales(request: BuildRequest, fp32: Path, spec: ModelSpec) -> Scales:
    """The scales to quantize with, written to DIR/scales.json; stale ones are refused."""
    here = request.out / "scales.json"
    feed = None if request.calib is None else calibration_feed(request.calib, spec, request.calib_limit)
    given = _given_scales(request, here, feed is not None)
    if given is not None:
        scales = read_scales(given)
        images = feed.image_list_sha256 if feed else None
        anew = given == here and feed is not None  # what would be observed now, had nothing stood here
        method = request.method or (spec.quantize.method if anew else None)
        try:
            check_fresh(scales, sha256_file(fp32), spec, images, method)
        except CalibrationError as error:
            remedy = "; --overwrite observes anew" if given == here else ""
            raise CalibrationError(f"{given}: {error}{remedy}") from error
        show.note(f"int8: ranges from {given}, observed on {scales.images} people by {scales.method}")
    elif feed is not None:
        scales = observe_scales(fp32, spec, feed, request.method)
    else:
        raise CalibrationError("int8 needs ranges: pass --calib KIND:PATH (photographs like those it will see)")
    with placing(here, request.overwrite) as beside:
        write_scales(beside, scales)
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


def observe_scales(onnx_path: Path, spec: ModelSpec, feed: CalibrationFeed, method: str | None) -> Scales:
    """Calibrate on a feed, with a progress bar; by the contract's method if none is given."""
    from edgepose.backends.onnxruntime import make_runner
    from edgepose.quantize import calibrate

    options = spec.quantize.changed({"method": method})
    return calibrate(onnx_path, feed, spec, options, show.track, make_runner=make_runner)
