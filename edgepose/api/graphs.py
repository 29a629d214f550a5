"""The graphs of a build: OUT/{fp32,fp16,int8,int8-fp16,fp8}.onnx and OUT/scales.json."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgepose._files import placing, sha256_file
from edgepose._options import declared
from edgepose._progress import Note, Track, quiet, silent
from edgepose.api.channels import with_channels
from edgepose.api.contract import judged, refuse_errors, tested_guesses
from edgepose.api.float_layers import float_lines
from edgepose.api.grids import with_measured_grid
from edgepose.api.guard import guard_scales, write_guarded
from edgepose.api.guarded import Found, Guarded, cannot_keep
from edgepose.api.request import BuildRequest, is_quantized
from edgepose.artifacts.certificate import Certificate
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.scales import Scales, check_fresh, read_scales
from edgepose.artifacts.spec import (
    KEPT_FLOAT_KEY,
    NOTES_KEY,
    PRECISION_KEY,
    SPEC_KEY,
    ModelSpec,
    embedded_spec,
    get_metadata,
    read_toml,
)
from edgepose.errors import CalibrationError, EdgeposeError, ModelError, SpecError, UsageError, nearest
from edgepose.recognize.kept import recognition_from, recognition_of

if TYPE_CHECKING:
    import onnx

    from edgepose.datasets.feeds import CalibrationFeed
    from edgepose.datasets.samples import PoseData

CHECKPOINTS = (".pt", ".pth")
UNCALIBRATED = "int8 needs calibration: pass --calib KIND:PATH (images like those it will see)"


@dataclass(frozen=True, kw_only=True)
class Graphs:
    """The ONNX files of a build.

    Attributes:
        paths: The ONNX file of each precision.
        scales: The scales.json that INT8 used, or None without INT8.
        kept_float: Names of the layers that stay in float in the INT8 graph, each with the reason.
        notes: Warnings about the quantization, one line each.
        doubts: Guesses and warnings about the contract, one line each.
        failed: The error of each precision whose graph cannot be made; it has no entry in `paths`.
        certificate: What is known about the accuracy of the INT8 graph; None without a guard.
    """

    paths: Mapping[str, Path]
    scales: Path | None = None
    kept_float: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    failed: Mapping[str, EdgeposeError] = field(default_factory=dict)
    certificate: Certificate | None = None


def write_graphs(
    request: BuildRequest, needed: Collection[str] = (), *, track: Track = quiet, note: Note = silent
) -> Graphs:
    """Write the ONNX file of each precision to the output folder.

    Args:
        request: The model, the output folder and the options.
        needed: Precisions of further graphs that backends compile engines from (`Backend.graph_for`).
        track: Shows progress while activations are observed.
        note: Receives where quantization ranges come from, and which layers stay in float.

    Returns:
        The files that were written, and the errors of the precisions that cannot be made.

    Raises:
        UsageError: A file exists with other content and `overwrite` is not set, or a pattern names no node.
        CalibrationError: INT8 is asked for without calibration data.
        ModelError: The model cannot be read or is already quantized.
    """
    from edgepose.api.halves import Halves
    from edgepose.graph.lookup import load_onnx
    from edgepose.quantize import quantize

    new = not (request.out / "fp32.onnx").exists()
    paths = {"fp32": write_fp32(request, note)}
    refuse_uncalibrated(request)
    failed: dict[str, EdgeposeError] = {}
    model = load_onnx(paths["fp32"])
    spec = embedded_spec(model, str(paths["fp32"]))
    try:
        warnings = _doubts(model, spec, request, track, note)
    except SpecError:
        if new:  # the corrected contract gives another file
            paths["fp32"].unlink()
        raise
    choices = spec.quantize.changed(request.quantize)  # a wrong option is refused before calibration takes its time
    if wants_scales(request):
        choices = with_channels(request, model, spec, choices, note)
    wanted = {*request.precisions, *needed}
    halves = Halves.prepared_for(request, wanted, model, spec, note)
    kept_float: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    scales: Scales | None = None
    guarded: Guarded | None = None
    if wants_scales(request):
        request = request if wants_int8(request) else replace(request, no_guard=True)  # the guard tests INT8
        with _failing(failed, "int8" if wants_int8(request) else "fp8"):
            found = find_scales(request, paths["fp32"], spec, track=track, note=note)
            guarded = guard_scales(request, model, spec, choices, found, track=track, note=note)
            guarded = write_guarded(request, guarded, note)
            scales = guarded.scales
            guarded.refuse()
    if cannot_keep(guarded):
        wanted |= {"fp16"}  # instead
        halves = Halves.prepared_for(request, wanted, model, spec, note)
    if "fp16" in wanted:
        with _failing(failed, "fp16"):
            half = halves.fp16(model, sha256_file(paths["fp32"]), scales)
            paths["fp16"] = _save(half, request.out / "fp16.onnx", request.overwrite)
    if scales is not None and wants_int8(request) and "int8" not in failed:
        with _failing(failed, "int8"):
            quantized = quantize(model, scales, spec, choices)
            kept_float = json.loads(get_metadata(quantized, KEPT_FLOAT_KEY) or "{}")
            for line in float_lines(kept_float):
                note(line)
            notes = tuple(f"int8: {line}" for line in json.loads(get_metadata(quantized, NOTES_KEY) or "[]"))
            for line in notes:
                note(line)
            paths["int8"] = _save(quantized, request.out / "int8.onnx", request.overwrite)
    if "int8-fp16" in wanted:
        with _failing(failed, "int8-fp16"):
            if "int8" in failed:
                raise ModelError(f"int8-fp16 is made from the int8 graph, which failed: {failed['int8']}")
            mixed = halves.int8_fp16(quantized, sha256_file(paths["int8"]), scales)
            paths["int8-fp16"] = _save(mixed, request.out / "int8-fp16.onnx", request.overwrite)
    if "fp8" in wanted and "fp8" not in failed:
        with _failing(failed, "fp8"):
            if scales is None:
                raise ModelError(f"fp8 is made with the scales of int8, which failed: {failed['int8']}")
            made = halves.fp8(model, sha256_file(paths["fp32"]), scales, choices)
            paths["fp8"] = _save(made, request.out / "fp8.onnx", request.overwrite)
    used = request.out / "scales.json" if scales is not None else None
    return Graphs(
        paths=paths,
        scales=used,
        kept_float=kept_float,
        notes=notes,
        doubts=warnings,
        failed=failed,
        certificate=guarded.certificate if guarded is not None else None,
    )


def _doubts(
    model: onnx.ModelProto, spec: ModelSpec, request: BuildRequest, track: Track, note: Note
) -> tuple[str, ...]:
    """Return guesses and warnings about the contract, and note them. SpecError for one that cannot be right."""
    recognized = recognition_of(model)
    stated = request.spec is not None and recognized is None
    source = Path(request.model) if stated else None
    findings, grid = judged(model, spec, source=source, calib=request.calib)
    lines = refuse_errors(findings, request.model)
    if recognized is not None and recognized.guesses:
        lines = (*(f"contract: {guess.line()}" for guess in recognized.guesses), *lines)
        if request.calib is not None:
            lines += tested_guesses(model, spec, recognized, request.calib, track)
    for line in lines:
        note(line)
    if grid is not None and grid.proposed is None and (stated or recognized is not None):
        note(f"contract: {grid.line()}")
    return lines


@contextmanager
def _failing(failed: dict[str, EdgeposeError], precision: str) -> Iterator[None]:
    """Note the error of one precision, so that the others are still made; a wrong request stops everything."""
    try:
        yield
    except UsageError:
        raise
    except EdgeposeError as error:
        failed[precision] = error


def wants_int8(request: BuildRequest) -> bool:
    """Return whether one of the precisions is INT8."""
    return any(part.startswith("int8") for part in request.precisions)


def wants_scales(request: BuildRequest) -> bool:
    """Return whether one of the precisions is INT8 or FP8, which need the scales of a calibration."""
    return any(is_quantized(part) for part in request.precisions)


def _save(model: onnx.ModelProto, path: Path, overwrite: bool) -> Path:
    import onnx

    with placing(path, overwrite) as temporary:
        onnx.save(model, str(temporary))
    return path


def spec_of(path: Path) -> ModelSpec:
    """Return the contract that an ONNX file carries."""
    from edgepose.graph.lookup import load_onnx

    return embedded_spec(load_onnx(path), str(path))


def refuse_unused(request: BuildRequest) -> None:
    """Raise UsageError for an option that has no effect on this model and these precisions."""
    foreign = Path(request.model).suffix == ".onnx"
    if request.spec is not None and not foreign:
        raise UsageError(f"--spec is for an ONNX trained elsewhere; {request.model} carries its contract")
    if wants_int8(request):
        return
    flags = {name: item.metadata["flag"].split("/") for name, item in declared(QuantizeOptions).items()}
    given = {"--scales": request.scales is not None, "--guard": request.guard is not None}
    given |= {"--no-guard": request.no_guard, "--keep-metric": bool(request.keep_metric)}
    given |= {
        flags[name][-1 if value is False else 0]: value not in (None, ()) for name, value in request.quantize.items()
    }
    if "fp16" in request.precisions:  # the only option that is about both
        given.pop("--keep-float", None)
    for option, value in given.items():
        if value:
            raise UsageError(f"{option} is about int8, which --precision does not name")


def write_fp32(request: BuildRequest, note: Note = silent) -> Path:
    """Write OUT/fp32.onnx with its contract inside, from a checkpoint, an ONNX file or a zoo name."""
    from edgepose.zoo import ZOO, zoo_model

    target = request.out / "fp32.onnx"
    source = Path(request.model)
    if request.model in ZOO:
        return _copy(zoo_model(request.model), target, request.overwrite)
    if source.suffix in CHECKPOINTS:
        from edgepose.api.export import export_onnx

        with placing(target, request.overwrite) as temporary:
            note(export_onnx(source, out=temporary, data=request.calib, overwrite=True).describe(target))
        return target
    if source.suffix == ".onnx":
        return _from_onnx(source, target, request, note)
    raise UsageError(
        f"MODEL {request.model!r} is no checkpoint (.pt), no ONNX file and no zoo name{nearest(request.model, ZOO)}"
    )


def _copy(source: Path, target: Path, overwrite: bool) -> Path:
    """Copy byte for byte: scales.json is keyed by the file's sha256."""
    if source.resolve() != target.resolve():
        with placing(target, overwrite) as temporary:
            shutil.copyfile(source, temporary)
    return target


def original(request: BuildRequest, graphs: Graphs) -> Path:
    """Return the float ONNX file that a build began with, or its copy in the output folder."""
    from edgepose.graph.lookup import load_onnx

    source = Path(request.model)
    if source.suffix != ".onnx" or not source.is_file():
        return graphs.paths["fp32"]
    recognized = recognition_of(load_onnx(graphs.paths["fp32"]))
    rewritten = recognized is not None and recognized.rewritten  # the file has other inputs or outputs
    return graphs.paths["fp32"] if rewritten else source


def _from_onnx(source: Path, target: Path, request: BuildRequest, note: Note) -> Path:
    """Copy a network that carries its contract; import one that was trained elsewhere."""
    from edgepose.api.verify import verify_import
    from edgepose.export.foreign import import_network
    from edgepose.graph.external import data_files

    table = read_toml(request.spec, "spec") if request.spec else None
    lines: list[str] = []
    made = with_measured_grid(import_network(source, table, lines.append), request.calib, note)
    model, spec = made.model, made.spec
    held = get_metadata(model, PRECISION_KEY)
    if held not in (None, "fp32"):
        raise ModelError(f"{source} is an {held} graph already; build from the float ONNX it was made from")
    if made.recognized is not None:
        note(f"{source}: {recognition_from(made.recognized, rewritten=made.adapted is not None).lines()[0]}")
    for line in lines:
        note(line)
    if table is None and made.recognized is None and not lines and not data_files(source):
        return _copy(source, target, request.overwrite)
    verify_import(source, model, spec, request.calib, note, adapted=made.adapted)
    return _save(model, target, request.overwrite)


@contextmanager
def with_contract(path: Path, note: Note = silent) -> Iterator[Path]:
    """Yield an ONNX file that carries its contract: the file itself, or the import of a network that is recognized.

    Args:
        path: An ONNX file.
        note: Receives how the network was recognized, and what was guessed.
    """
    from edgepose.export.foreign import import_network
    from edgepose.graph.lookup import load_onnx

    if get_metadata(load_onnx(path), SPEC_KEY) is not None:
        yield path
        return
    made = with_measured_grid(import_network(path, None))
    if made.recognized is not None:
        for line in recognition_from(made.recognized, rewritten=made.adapted is not None).lines():
            note(line)
    with tempfile.TemporaryDirectory(prefix="edgepose-") as folder:
        yield _save(made.model, Path(folder) / "fp32.onnx", overwrite=False)


def find_scales(
    request: BuildRequest, fp32: Path, spec: ModelSpec, *, track: Track = quiet, note: Note = silent
) -> Found:
    """Read or observe the scales to quantize with; refuse stale ones."""
    from edgepose.graph.lookup import load_onnx
    from edgepose.graph.prepare import prepare
    from edgepose.quantize import place
    from edgepose.quantize.ranges import parameters as parameters_of

    here = request.out / "scales.json"
    feed, held_out = (None, None) if request.calib is None else _calibration_parts(request, request.calib, spec, note)
    given = _given_scales(request, here, feed is not None)
    if given is not None:
        scales = read_scales(given)
        images = feed.image_list_sha256 if feed else None
        earlier = given == here and feed is not None  # without the file, the contract's method would be used now
        asked = vars(spec.quantize.changed(request.quantize))
        given_names = {name for name, value in request.quantize.items() if value is not None}
        method = asked["method"] if earlier or "method" in given_names else None
        names = parameters_of(asked["method"]) if method else ()
        parameters = {name: asked[name] for name in names if earlier or name in given_names}
        try:
            check_fresh(scales, sha256_file(fp32), spec, images, method, parameters)
        except CalibrationError as error:
            remedy = "; --overwrite calibrates again" if given == here else ""
            raise CalibrationError(f"{given}: {error}{remedy}") from error
        note(f"int8: quantization ranges from {given}, observed on {scales.images} people by {scales.method}")
    elif feed is not None:
        model = prepare(load_onnx(fp32))
        place(model, spec, spec.quantize.changed(request.quantize))  # a wrong pattern is refused before minutes of work
        scales = observe_scales(fp32, spec, feed, request.quantize, track)
    else:
        raise CalibrationError(UNCALIBRATED)
    return Found(scales=scales, source=given, feed=feed, held_out=held_out)


def _calibration_parts(
    request: BuildRequest, calib: str, spec: ModelSpec, note: Note
) -> tuple[CalibrationFeed, PoseData | None]:
    """Open the calibration images, without those held out to test on where the guard needs them."""
    from edgepose.datasets.feeds import CalibrationFeed
    from edgepose.datasets.split import split_by_image

    data = _people(calib, note)
    alone = request.no_guard or request.guard is not None
    used, held_out = (data, None) if alone else split_by_image(data, request.calib_limit)
    return CalibrationFeed(used, spec, limit=request.calib_limit), held_out


def _given_scales(request: BuildRequest, here: Path, observe: bool) -> Path | None:
    """Return the scales.json to read (the one given, the zoo's or an earlier build's), or None to observe."""
    from edgepose.zoo import ZOO, zoo_scales

    if request.scales is not None:
        return request.scales
    if observe:
        return here if here.is_file() and not request.overwrite else None
    if request.model in ZOO:
        return zoo_scales(request.model)
    return here if here.is_file() else None


def refuse_uncalibrated(request: BuildRequest) -> None:
    """Raise CalibrationError where INT8 or FP8 is asked for without calibration data."""
    if (
        wants_scales(request)
        and request.calib is None
        and _given_scales(request, request.out / "scales.json", False) is None
    ):
        raise CalibrationError(UNCALIBRATED)


def _people(calib: str, note: Note) -> PoseData:
    """Open calibration data KIND:PATH[:SPLIT]; `note` receives what looks wrong."""
    from edgepose.datasets.doubts import note_doubts
    from edgepose.datasets.open import open_data

    data = open_data(calib)
    note_doubts(data, note)
    return data


def calibration_feed(calib: str, spec: ModelSpec, limit: int, note: Note = silent) -> CalibrationFeed:
    """Open the calibration images KIND:PATH[:SPLIT] with at most `limit` people; `note` receives what looks wrong."""
    from edgepose.datasets.feeds import CalibrationFeed

    data = _people(calib, note)
    return CalibrationFeed(data, spec, limit=limit)


def observe_scales(
    onnx_path: Path, spec: ModelSpec, feed: CalibrationFeed, given: Mapping[str, Any], track: Track = quiet
) -> Scales:
    """Calibrate on a feed. Options given by name come before those of the contract."""
    from edgepose.backends.onnxruntime import make_runner
    from edgepose.quantize import calibrate

    return calibrate(onnx_path, feed, spec, spec.quantize.changed(given), track, make_runner=make_runner)
