"""The graphs of a build: OUT/{fp32,fp16,int8,int8-fp16,fp8}.onnx and OUT/scales.json."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgepose._files import sha256_file
from edgepose._options import declared
from edgepose._progress import Note, Track, quiet, silent
from edgepose.api.channels import with_channels
from edgepose.api.contract import judged, refuse_errors, tested_guesses
from edgepose.api.float_layers import float_lines
from edgepose.api.guard import guard_scales, write_guarded
from edgepose.api.guarded import Guarded, cannot_keep
from edgepose.api.imported import save_onnx, write_fp32
from edgepose.api.observed import find_scales, refuse_uncalibrated, wants_int8, wants_scales
from edgepose.api.request import BuildRequest
from edgepose.artifacts.certificate import Certificate
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.scales import Scales
from edgepose.artifacts.spec import (
    KEPT_FLOAT_KEY,
    NOTES_KEY,
    ModelSpec,
    embedded_spec,
    get_metadata,
)
from edgepose.errors import EdgeposeError, ModelError, SpecError, UsageError
from edgepose.recognize.kept import recognition_of

if TYPE_CHECKING:
    import onnx


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
            paths["fp16"] = save_onnx(half, request.out / "fp16.onnx", request.overwrite)
    if scales is not None and wants_int8(request) and "int8" not in failed:
        with _failing(failed, "int8"):
            quantized = quantize(model, scales, spec, choices)
            kept_float = json.loads(get_metadata(quantized, KEPT_FLOAT_KEY) or "{}")
            for line in float_lines(kept_float):
                note(line)
            notes = tuple(f"int8: {line}" for line in json.loads(get_metadata(quantized, NOTES_KEY) or "[]"))
            for line in notes:
                note(line)
            paths["int8"] = save_onnx(quantized, request.out / "int8.onnx", request.overwrite)
    if "int8-fp16" in wanted:
        with _failing(failed, "int8-fp16"):
            if "int8" in failed:
                raise ModelError(f"int8-fp16 is made from the int8 graph, which failed: {failed['int8']}")
            mixed = halves.int8_fp16(quantized, sha256_file(paths["int8"]), scales)
            paths["int8-fp16"] = save_onnx(mixed, request.out / "int8-fp16.onnx", request.overwrite)
    if "fp8" in wanted and "fp8" not in failed:
        with _failing(failed, "fp8"):
            if scales is None:
                raise ModelError(f"fp8 is made with the scales of int8, which failed: {failed['int8']}")
            made = halves.fp8(model, sha256_file(paths["fp32"]), scales, choices)
            paths["fp8"] = save_onnx(made, request.out / "fp8.onnx", request.overwrite)
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


def spec_of(path: Path) -> ModelSpec:
    """Return the contract that an ONNX file carries."""
    from edgepose.graph.lookup import load_onnx

    return embedded_spec(load_onnx(path), str(path))


def refuse_unused(request: BuildRequest) -> None:
    """Raise UsageError for an option that has no effect on this model and these precisions."""
    foreign = Path(request.model).suffix == ".onnx"
    if request.spec is not None and not foreign:
        raise UsageError(f"--spec is for an ONNX trained elsewhere; {request.model} carries its contract")
    if request.shape is not None and not foreign:
        raise UsageError(f"--shape is for an ONNX file that takes images of any size; {request.model} has one size")
    if request.det_classes and not foreign:
        raise UsageError(f"--det-classes is for an ONNX file of a detector; {request.model} is none")
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


def original(request: BuildRequest, graphs: Graphs) -> Path:
    """Return the float ONNX file that a build began with, or its copy in the output folder."""
    from edgepose.graph.lookup import load_onnx

    source = Path(request.model)
    if source.suffix != ".onnx" or not source.is_file():
        return graphs.paths["fp32"]
    recognized = recognition_of(load_onnx(graphs.paths["fp32"]))
    rewritten = recognized is not None and recognized.rewritten  # the file has other inputs or outputs
    return graphs.paths["fp32"] if rewritten else source
