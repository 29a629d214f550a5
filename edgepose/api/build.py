"""Build engines of a network: a checkpoint, an ONNX file or a zoo name becomes engine folders."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgepose._files import sha256_file
from edgepose._progress import Note, Track, quiet, silent
from edgepose.api.engines import refuse_unused_engine_options, wants_cache, write_calibration_cache
from edgepose.api.fastest import judged, racing, with_candidates
from edgepose.api.graphs import Graphs, original, refuse_unused, spec_of, write_graphs
from edgepose.api.observed import wants_int8
from edgepose.api.places import one_build, refuse_losses
from edgepose.api.request import BuildOptions, BuildRequest, build_request, is_quantized
from edgepose.api.verify import Reference, failure, verify_graphs
from edgepose.artifacts.certificate import Certificate
from edgepose.artifacts.manifest import Manifest
from edgepose.artifacts.spec import ModelSpec
from edgepose.backends import about, choose, load
from edgepose.backends.choices import options_for
from edgepose.backends.declaration import BuildOptions as EngineOptions
from edgepose.backends.engine import build_engine
from edgepose.errors import BuildError, EdgeposeError, UsageError
from edgepose.quantize.guard import CANNOT


@dataclass(frozen=True, kw_only=True)
class BuildResult:
    """What a build wrote.

    Attributes:
        engines: The engine folders, backend by backend in the order of the options.
        manifests: The manifest of each engine folder.
        graphs: The ONNX file of each precision.
        scales: The scales.json that INT8 used, or None without INT8.
        kept_float: Names of the layers that stay in float in the INT8 graph, each with the reason.
        notes: What quantization and the backends reported, one line each.
        certificate: What was proven about the accuracy of INT8; None without INT8 and without a guard.
    """

    engines: tuple[Path, ...]
    manifests: Mapping[Path, Manifest]
    graphs: Mapping[str, Path]
    scales: Path | None
    kept_float: Mapping[str, str]
    notes: tuple[str, ...]
    certificate: Certificate | None = None


@one_build
def build(
    model: str | Path,
    *,
    out: str | Path,
    options: BuildOptions = BuildOptions(),  # noqa: B008  (frozen)
    overwrite: bool = False,
    command: str = "",
    track: Track = quiet,
    note: Note = silent,
) -> BuildResult:
    """Build an engine in every precision for every backend.

    Each graph and each engine is compared with the original network on a few crops. What fails does not stop the
    others: one error at the end names everything that failed, and what was built stays.

    Args:
        model: A checkpoint (.pt), an ONNX file or a zoo name.
        out: Folder that receives {fp32,fp16,int8}.onnx, scales.json and a folder BACKEND-PRECISION per engine.
        options: Precisions, backends, calibration and the options of the backends.
        overwrite: Whether to replace files that exist.
        command: Command line that the manifests record; by default the one that repeats this build.
        track: Shows the progress of long steps.
        note: Receives lines for the user as the build proceeds.

    Returns:
        The engine folders, the graphs and what there is to know about them.

    Raises:
        UsageError: An option has no effect here, or a file exists and `overwrite` is not set.
        CalibrationError: INT8 is asked for without calibration data, or the scales belong to another network.
        BuildError: A backend cannot compile the graph, or a graph or an engine does not compute what the original
            network computes.
        MissingPackage: A backend is not installed.

    Examples:
        >>> result = build("lite", out="engines", options=BuildOptions(precisions=("fp32",)))
        >>> result.engines
        (PosixPath('engines/openvino-fp32'),)
    """
    request = with_candidates(build_request(model, out, options, overwrite=overwrite, command=command))
    refuse_unused(request)
    backends = tuple(dict.fromkeys(choose(name) for name in request.backends))
    refuse_unused_engine_options(request, backends)
    jobs = {
        request.out / f"{name}-{part}": (name, options_for(name, part, request.out, request.engine))
        for name in backends
        for part in request.precisions
    }
    refuse_losses(request, jobs)
    for name, choices in jobs.values():
        load(name).refuse(choices)
    request, jobs = racing(request, jobs, note)
    on_cpu = not all(about(name).on_gpu for name in backends)
    if wants_int8(request) and on_cpu and (problem := int8_problem()):
        note(problem)
    needed = tuple(load(name).graph_for(choices) for name, choices in jobs.values())
    graphs = write_graphs(request, needed, track=track, note=note)
    jobs = {**jobs, **_instead(request, graphs, jobs)}
    spec = spec_of(graphs.paths["fp32"])
    graphs, reference = verify_graphs(graphs, original(request, graphs), spec, request.calib, note)
    if wants_cache(request) and "int8" in graphs.paths:
        write_calibration_cache(request, graphs.paths["int8"])
    manifests: dict[Path, Manifest] = {}
    failed: dict[str, EdgeposeError] = {}
    job = _Job(request=request, graphs=graphs, reference=reference, spec=spec, track=track)
    wrong: dict[str, EdgeposeError | None] = {}
    for folder, (name, choices) in sorted(jobs.items(), key=lambda item: item[1][1].precision != "fp32"):
        try:
            if choices.precision == "fp32":
                wrong[name] = None
            elif name not in wrong:
                wrong[name] = _float_problem(job, name)
            manifests[folder] = made = _build_one(job, folder, name, choices, wrong[name])
        except UsageError:
            raise
        except EdgeposeError as error:
            failed[folder.name] = error
            if choices.precision == "fp32" and isinstance(error, BuildError):
                wrong[name] = error
            continue
        note(f"built {folder} in {made.build_seconds:.1f} s{_layer_summary(made.layers)}")
    lines = _notes(manifests, said=(*graphs.doubts, *graphs.notes))
    for line in lines:
        note(line)
    speed = judged(request, manifests, failed, track)
    for line in speed.notes:
        note(line)
    if speed.failed:
        raise failure(speed.failed, [folder.name for folder in speed.made])
    return BuildResult(
        engines=tuple(folder for folder in jobs if folder in speed.made),
        manifests=speed.made,
        graphs=graphs.paths,
        scales=graphs.scales,
        kept_float=graphs.kept_float,
        notes=(*graphs.doubts, *graphs.notes, *lines, *speed.notes),
        certificate=graphs.certificate,
    )


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What all engines of a build share."""

    request: BuildRequest
    graphs: Graphs
    reference: Reference
    spec: ModelSpec
    track: Track


def _build_one(job: _Job, folder: Path, name: str, choices: EngineOptions, wrong: EdgeposeError | None) -> Manifest:
    """Build one engine; the error of its graph where there is none, and of its backend where that computes wrongly."""
    from edgepose.api.diagnose import where_wrong

    graphs, reference = job.graphs, job.reference
    precision = load(name).graph_for(choices)
    cached = precision == "fp32" and choices.precision.startswith("int8")  # with the ranges of the int8 graph
    if (source := "int8" if cached else precision) in graphs.failed:
        raise graphs.failed[source]
    if wrong is not None:
        raise BuildError(
            f"{name} does not run this network rightly in float32, so no other precision is built: {wrong}"
        )
    sample = reference.sample

    def explain(made: Path) -> str:
        return where_wrong(reference.source, name, made, precision, sample.inputs) if sample else ""

    return build_engine(
        graphs.paths[precision],
        folder,
        job.spec,
        choices,
        name,
        _overwriting(job.request),
        scales_sha256=_scales_sha256(graphs, choices.precision),
        notes=(*graphs.doubts, *(graphs.notes if choices.precision.startswith("int8") else ())),
        overwrite=job.request.overwrite,
        track=job.track,
        acceptance=sample,
        expected_db=reference.snr_db.get(precision),
        explain=explain,
        guard=graphs.certificate.to_json() if graphs.certificate and choices.precision.startswith("int8") else None,
    )


def _instead(
    request: BuildRequest, graphs: Graphs, jobs: Mapping[Path, tuple[str, EngineOptions]]
) -> dict[Path, tuple[str, EngineOptions]]:
    """Return the FP16 engines to build instead of INT8 engines that cannot keep the accuracy."""
    if graphs.certificate is None or graphs.certificate.answer != CANNOT:
        return {}
    names = dict.fromkeys(name for name, choices in jobs.values() if choices.precision.startswith("int8"))
    folders = {request.out / f"{name}-fp16": name for name in names}
    return {
        folder: (name, options_for(name, "fp16", request.out, request.engine))
        for folder, name in folders.items()
        if folder not in jobs and (request.overwrite or not folder.exists())
    }


def _float_problem(job: _Job, name: str) -> EdgeposeError | None:
    """Return what is wrong with the float32 engine of a backend, which the loss of other precisions would hide.

    A backend that computes an operator by another rule is 20 dB or 30 dB off, as INT8 may be. The engine is built in a
    temporary folder. Building for a GPU takes too long for that.
    """
    if about(name).on_gpu or job.reference.sample is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        choices = options_for(name, "fp32", job.request.out, job.request.engine)
        try:
            _build_one(job, Path(folder) / f"{name}-fp32", name, choices, None)
        except BuildError as error:
            return error
    return None


def int8_problem() -> str | None:
    """Return why INT8 engines compute in float on this CPU, as a sentence, or None where they compute in integers."""
    from edgepose.backends.cpu import cpu_name, int8_reason

    reason = int8_reason()
    return reason and (
        f"{cpu_name()}: {reason}, so INT8 engines compute in float here. "
        "Their accuracy is that of INT8; their speed is not"
    )


def _overwriting(request: BuildRequest) -> str:
    return request.command if "--overwrite" in request.command else f"{request.command} --overwrite"


def _scales_sha256(graphs: Graphs, precision: str) -> str | None:
    return sha256_file(graphs.scales) if graphs.scales is not None and is_quantized(precision) else None


def _notes(manifests: Mapping[Path, Manifest], said: Collection[str]) -> tuple[str, ...]:
    """Each note of the backends once, with the engines that it is about; without those that were said before."""
    notes: dict[str, list[str]] = {}
    for folder, manifest in manifests.items():
        for line in (line for line in manifest.notes if line not in said):
            notes.setdefault(line, []).append(folder.name)
    return tuple(f"{', '.join(folders)}: {line}" for line, folders in notes.items())


def _layer_summary(layers: Mapping[str, str]) -> str:
    kinds = list(layers.values())
    counts = {kind: kinds.count(kind) for kind in sorted(set(kinds))}
    return ": layers that run " + ", ".join(f"{kind} {n}" for kind, n in counts.items()) if counts else ""
