"""Speed is part of a build: `--fastest` keeps the fastest engine, and an INT8 engine that is slower is named.

The candidates of `--fastest` are the engines of every precision and backend that the build names, by default fp32, fp16
and int8. Those that pass all checks are timed in one interleaved run on this machine. The fastest stays, or a more
precise one that cannot be told apart from it; the folders of the others are removed. The ONNX graphs stay.

Before that, the INT8 graph is chosen in the same way among the candidates of the guard that passed its test: fewer
float layers are not always faster, since each border between INT8 and float costs a conversion.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose._progress import Note, Track, quiet, silent
from edgepose.api.request import PRECISIONS, BuildOptions, BuildRequest
from edgepose.artifacts.manifest import Manifest, write_manifest
from edgepose.artifacts.spec import ModelSpec
from edgepose.backends import about, choose, load
from edgepose.backends.choices import options_for
from edgepose.backends.cpu import cpu_name, int8_reason
from edgepose.backends.declaration import BuildOptions as EngineOptions
from edgepose.backends.engine import build_engine
from edgepose.errors import EdgeposeError, UsageError
from edgepose.measure.fastest import Times, time_networks

if TYPE_CHECKING:
    import onnx

CANDIDATES = ("fp32", "fp16", "int8")  # where --precision is left at its default
BUDGET_S = 10.0
WARNING_BUDGET_S = 0.5  # for each backend
TINY_MS = 0.3  # below it, the overhead of a call decides and not the precision
Job = tuple[str, EngineOptions]


def with_candidates(request: BuildRequest) -> BuildRequest:
    """Return the request with the precisions that `--fastest` compares; other requests are returned as they are."""
    if request.fastest and request.precisions == BuildOptions().precisions:
        return replace(request, precisions=CANDIDATES)
    return request


def racing(
    request: BuildRequest, jobs: Mapping[Path, Job], note: Note = silent
) -> tuple[BuildRequest, dict[Path, Job]]:
    """Return the request and the engines without those that `--fastest` cannot choose here, which `note` names.

    An INT8 engine that a CPU computes in float is not built: its time is not that of INT8.

    Args:
        request: The options of the build.
        jobs: Engine folder -> its backend and options.
        note: Receives what is left out, and why.

    Raises:
        UsageError: Engines of a backend cannot be opened on this machine, or no candidate is left.
    """
    if not request.fastest:
        return request, dict(jobs)
    for name in dict.fromkeys(name for name, _ in jobs.values()):
        problem = load(name).cannot_open()
        if problem is not None:
            raise UsageError(f"--fastest times the engines, and those of {name} cannot be opened here: {problem}")
    kept = {
        folder: (name, choices)
        for folder, (name, choices) in jobs.items()
        if not choices.precision.startswith("int8") or _integers(name)
    }
    if len(kept) < len(jobs):
        left_out = ", ".join(folder.name for folder in jobs if folder not in kept)
        reason = f"{cpu_name()} computes INT8 in float ({int8_reason()})"
        if not kept:
            raise UsageError(f"--fastest has no candidate here: {reason}; add fp32 or fp16 to --precision")
        note(f"{left_out}: not a candidate for the fastest, since {reason}")
    named = {choices.precision for _, choices in kept.values()}
    return replace(request, precisions=tuple(part for part in request.precisions if part in named)), kept


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What is left of a build after the speed of its engines was judged.

    Attributes:
        made: Engine folder -> manifest, of the engines that stay.
        failed: Name of an engine -> why it was not built, where that is an error of the build.
        notes: What was found, one line each; the manifests hold their lines too.
    """

    made: dict[Path, Manifest]
    failed: dict[str, EdgeposeError]
    notes: tuple[str, ...] = ()


def judged(
    request: BuildRequest, made: Mapping[Path, Manifest], failed: Mapping[str, EdgeposeError], track: Track = quiet
) -> Judged:
    """Judge the speed of the engines of a build.

    Without `--fastest`, INT8 engines that are slower than float ones are named, and all engines stay. With it, the
    fastest stays, and an error is a reason not to be a candidate, unless no engine is left.

    Args:
        request: The options of the build.
        made: Engine folder -> manifest, of the engines that passed their checks.
        failed: Name of an engine that was not built -> why.
        track: Shows the progress.
    """
    if not request.fastest:
        noted, lines = with_warnings(made)
        return Judged(made=noted, failed=dict(failed), notes=lines)
    if not made:
        return Judged(made={}, failed=dict(failed))
    kept, lines = keep_fastest(made, track)
    out = tuple(f"{name} is no candidate for the fastest: {error}" for name, error in failed.items())
    return Judged(made=kept, failed={}, notes=(*out, *lines))


def keep_fastest(made: Mapping[Path, Manifest], track: Track = quiet) -> tuple[dict[Path, Manifest], tuple[str, ...]]:
    """Time the engines of a build, keep the fastest and remove the folders of the others.

    The times are written into the manifest of the engine that stays.

    Args:
        made: Engine folder -> manifest, of the engines that passed their checks; at least one.
        track: Shows the progress.

    Returns:
        The one engine that stays with its new manifest, and the lines of the table of times.
    """
    folders = {folder.name: folder for folder in sorted(made, key=lambda folder: _precise_first(made[folder]))}
    times = time_networks(folders, *_one_person(), BUDGET_S, track)
    winner = times.fastest(tuple(folders))
    lines = _table(times, winner)
    manifest = replace(
        made[folders[winner]],
        candidates_ms={name: round(times.median_ms(name), 4) for name in folders},
        notes=[*made[folders[winner]].notes, *lines],
    )
    write_manifest(folders[winner], manifest)
    for name, folder in folders.items():
        if name != winner:
            shutil.rmtree(folder)
    return {folders[winner]: manifest}, lines


def with_warnings(made: Mapping[Path, Manifest]) -> tuple[dict[Path, Manifest], tuple[str, ...]]:
    """Find each INT8 engine that is slower than an FP32 or FP16 engine of the same backend and build.

    The engines of a backend are timed for half a second. Nothing is timed where only one kind was built, where engines
    cannot be opened, and on a CPU that computes INT8 in float. Networks that take less than 0.3 ms are not judged.

    Args:
        made: Engine folder -> manifest.

    Returns:
        The engines, of which those that are slower have the warning in their manifest; and the warnings.
    """
    result, lines = dict(made), list[str]()
    for backend in dict.fromkeys(manifest.backend for manifest in made.values()):
        own = {folder.name: folder for folder, manifest in made.items() if manifest.backend == backend}
        int8 = [name for name, folder in own.items() if made[folder].precision.startswith("int8")]
        floats = [name for name, folder in own.items() if made[folder].precision in ("fp32", "fp16")]
        if not int8 or not floats or not _integers(backend) or load(backend).cannot_open() is not None:
            continue
        times = time_networks({name: own[name] for name in (*floats, *int8)}, *_one_person(), WARNING_BUDGET_S)
        for name, line in slower(times, int8, floats).items():
            lines.append(line)
            manifest = result[own[name]]
            result[own[name]] = replace(manifest, notes=[*manifest.notes, line])
            write_manifest(own[name], result[own[name]])
    return result, tuple(lines)


def slower(times: Times, int8: list[str], floats: list[str]) -> dict[str, str]:
    """Return a warning for each INT8 engine that is measurably slower than the fastest float one.

    Args:
        times: The times of all of them.
        int8: Names of the INT8 engines.
        floats: Names of the FP32 and FP16 engines.
    """
    best = min(floats, key=times.median_ms)
    if times.median_ms(best) < TINY_MS:
        return {}
    found = {name: times.longer(name, best) for name in int8}
    return {
        name: f"{name} is slower than {best} on this machine: {times.median_ms(name):.2f} ms against "
        f"{times.median_ms(best):.2f} ms, {item.value:.2f} times as long (95 % interval {item.low:.2f} to "
        f"{item.high:.2f}). Use {best}, or build with --fastest, which keeps the fastest"
        for name, item in found.items()
        if item.low > 1
    }


def fastest_candidate(
    request: BuildRequest, graphs: Iterable[onnx.ModelProto], spec: ModelSpec, track: Track = quiet, note: Note = silent
) -> int | None:
    """Time the INT8 graphs of candidates in one interleaved run, as engines of the first backend that runs them here.

    Args:
        request: The options of the build.
        graphs: The INT8 graphs, from most float layers to most int8 layers; at least one.
        spec: The contract.
        track: Shows the progress.
        note: Receives the times.

    Returns:
        The position of the fastest one, or of one with more float layers that cannot be told apart from it. None where
        no backend of the build runs INT8 graphs on this machine, or builds them as they are.

    Raises:
        BuildError: The backend cannot compile a graph.
    """
    import onnx

    backend = next((name for name in dict.fromkeys(map(choose, request.backends)) if _runs_int8(name, request)), None)
    if backend is None:
        return None
    options = options_for(backend, "int8", request.out, request.engine)
    with tempfile.TemporaryDirectory() as folder:
        engines: dict[str, Path] = {}
        for number, graph in enumerate(graphs):
            path = Path(folder) / f"{number}.onnx"
            onnx.save(graph, path)
            engines[str(number + 1)] = Path(folder) / str(number)
            build_engine(path, engines[str(number + 1)], spec, options, backend, request.command)
        times = time_networks(engines, *_one_person(), BUDGET_S, track)
    winner = times.fastest(tuple(engines))
    shown = ", ".join(f"candidate {name} {times.median_ms(name):.3f} ms" for name in engines)
    note(f"int8: of the candidates that pass, candidate {winner} is the fastest on this machine ({backend}: {shown})")
    return int(winner) - 1


def _runs_int8(backend: str, request: BuildRequest) -> bool:
    """Whether a backend compiles an INT8 graph as it is, and runs it in integers on this machine."""
    options = options_for(backend, "int8", request.out, request.engine)
    as_it_is = load(backend).graph_for(options) == "int8"
    return as_it_is and _integers(backend) and load(backend).cannot_open() is None


def _table(times: Times, winner: str) -> tuple[str, ...]:
    """Return one line about the choice and one for each candidate."""
    head = (
        f"{winner} stays, the fastest of {len(times.seconds)} on this machine (the network alone, one CPU thread, "
        f"{times.rounds} interleaved rounds)"
    )
    rows = []
    for name in sorted(times.seconds, key=times.median_ms):
        item = times.longer(name, winner)
        rows.append(
            f"  {name}: {times.median_ms(name):.3f} ms, {item.value:.3f} times that of {winner} "
            f"({item.low:.3f} to {item.high:.3f})"
            if name != winner
            else f"  {name}: {times.median_ms(name):.3f} ms"
        )
    return (head, *rows)


def _integers(backend: str) -> bool:
    """Whether a backend computes INT8 in integers on this machine."""
    return about(backend).on_gpu or int8_reason() is None


def _precise_first(manifest: Manifest) -> int:
    return PRECISIONS.index(manifest.precision)


def _one_person() -> tuple[Array, Array]:
    """Return a rendered frame and the box of its one person."""
    from edgepose.datasets.rendering import render_clip

    scene = next(iter(render_clip(0, frames=1, size=(720, 1280), people=1)))
    return scene.image, scene.boxes_xyxy[:1].astype(np.float32)
