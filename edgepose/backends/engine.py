"""Build and open engine folders.

A folder is built under a temporary name and renamed when it is complete. It is opened only after every check.

    manifest = build_engine(onnx, folder, spec, BuildOptions(precision="int8"), "openvino", command)
    session, manifest = open_engine(folder, OpenOptions(threads=1))

Run only the tests of this file with `pytest tests/backends/test_engine.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edgepose import __version__
from edgepose._files import replacing_folder, sha256_file
from edgepose._outputs import refuse_existing_folder
from edgepose._progress import Track, quiet
from edgepose.artifacts.acceptance import Acceptance, read_acceptance, write_acceptance
from edgepose.artifacts.manifest import NAME as MANIFEST
from edgepose.artifacts.manifest import Manifest, read_manifest, write_manifest
from edgepose.artifacts.spec import ModelSpec
from edgepose.backends import BACKENDS, about, choose, load
from edgepose.backends.declaration import BuildOptions
from edgepose.backends.int8_share import Int8Share, share_of, share_that_runs, too_little
from edgepose.backends.session import Backend, Built, OpenOptions, Session
from edgepose.errors import BuildError, EngineError, ModelError, UsageError
from edgepose.measure.acceptance import examine

Explain = Callable[[Path], str]  # an engine folder without a manifest -> where it departs, as a clause


def build_engine(
    onnx_path: Path,
    folder: Path,
    spec: ModelSpec,
    options: BuildOptions,
    backend: str,
    build_command: str,
    *,
    scales_sha256: str | None = None,
    notes: tuple[str, ...] = (),
    overwrite: bool = False,
    track: Track = quiet,
    acceptance: Acceptance | None = None,
    expected_db: Mapping[str, float] | None = None,
    explain: Explain | None = None,
    guard: Mapping[str, Any] | None = None,
) -> Manifest:
    """Compile a graph into an engine folder and open the engine once, if this machine can open it.

    With an acceptance sample, the engine is run on it, and an engine that computes something else is refused.

    After any error, including a full disk, `folder` is as it was before.

    Args:
        onnx_path: The graph.
        folder: The engine folder to write.
        spec: The contract of the network; inputs and outputs of the engine are checked against it.
        options: An instance of the options class that the backend declares.
        backend: Name of the backend, or "auto".
        build_command: Command line that repeats the build; error messages show it.
        scales_sha256: Digest of the scales.json that an INT8 graph was made with.
        notes: Remarks about the graph that the manifest keeps, one line each.
        overwrite: Whether to replace an existing folder.
        track: Shows the progress.
        acceptance: Crops and what the float network makes of them, which stay in the folder.
        expected_db: The signal-to-noise ratio of the graph by output, for an engine that cannot be opened here.
        explain: Says where a wrong engine departs from the float network, for the error message.
        guard: What was proven about the accuracy of an INT8 graph, the content of guard.json.

    Returns:
        The manifest that was written.

    Raises:
        UsageError: The folder exists and `overwrite` is not set, or the options are those of another backend.
        ModelError: There is no graph at `onnx_path`.
        BuildError: The backend cannot compile the graph, the contract names other inputs or outputs, or the engine
            does not compute what the float network computes.
        MissingPackage: The backend is not installed.
    """
    refuse_existing_folder(folder, overwrite, MANIFEST, [onnx_path])
    if not onnx_path.is_file():
        raise ModelError(f"no ONNX file at {onnx_path}; make one with: edgepose export MODEL.pt --out F")
    name = choose(backend)
    module = load(name)
    if not isinstance(options, about(name).options):
        raise UsageError(f"{name} is built with {about(name).options.__name__}, not with {type(options).__name__}")
    module.refuse(options)
    began = time.perf_counter()
    with replacing_folder(folder) as temporary:
        built = module.build(onnx_path, temporary, options, track)
        payload = {file.name: sha256_file(file) for file in sorted(temporary.iterdir())}
        tried = _try_out(module, temporary, built, _Trial(onnx_path, spec, options.precision, acceptance, explain))
        share = share_of(onnx_path, tried.layers) if options.precision.startswith("int8") else Int8Share()
        shortage = too_little(share.graph, share_that_runs(share.multiply_adds, tried.layers))
        manifest = Manifest(
            spec=spec,
            precision=options.precision,
            backend=name,
            backend_version=module.version(),
            edgepose_version=__version__,
            onnx_sha256=sha256_file(onnx_path),
            scales_sha256=scales_sha256,
            payload=payload,
            build_seconds=round(time.perf_counter() - began, 3),
            built_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            build_command=build_command,
            machine=built.machine,
            shapes=built.shapes,
            build=built.build,
            layers=tried.layers,
            notes=[*notes, *built.notes, *tried.notes, *([] if shortage is None else [shortage])],
            acceptance={} if acceptance is None else write_acceptance(temporary, acceptance),
            agreement=dict(expected_db or {}) if tried.snr_db is None else tried.snr_db,
            multiply_adds=share.multiply_adds,
            int8_in_graph=share.graph,
            guard=dict(guard or {}),
        )
        write_manifest(temporary, manifest)
    return manifest


def open_engine(folder: Path, options: OpenOptions) -> tuple[Session, Manifest]:
    """Check an engine folder and load the engine. The caller must close the session.

    Args:
        folder: An engine folder.
        options: Options for opening it.

    Returns:
        The session and the manifest.

    Raises:
        EngineError: The folder is damaged or was built for another machine or version; the message says what
            differs and which command rebuilds the engine. With `options.check`, also where the engine does not
            compute what it should.
        MissingPackage: The backend is not installed.
    """
    manifest = read_manifest(folder)
    if manifest.backend not in BACKENDS:
        raise EngineError(
            f"{folder} was built for {manifest.backend!r}, which this edgepose cannot open; "
            f"it opens {', '.join(BACKENDS)}. Rebuild it with --backend, as here: {manifest.build_command}"
        )
    module = load(choose(manifest.backend))
    problem = module.cannot_open()
    if problem is not None:
        raise EngineError(f"{folder} cannot be opened here: {problem}")
    differences = module.differs(manifest)
    if differences:
        raise EngineError(
            f"{folder} was made for another machine or version: {'; '.join(differences)}. "
            f"Rebuild it here with: {manifest.build_command}"
        )
    session = module.open(folder, options)
    if options.check:
        _refuse_departed(session, folder, manifest)
    return session, manifest


def _refuse_departed(session: Session, folder: Path, manifest: Manifest) -> None:
    """Raise EngineError, and close the session, where it does not compute what the engine computed when built."""
    try:
        found = examine(session, manifest.spec, read_acceptance(folder, manifest))
        problem = found.problem(manifest.precision, manifest.agreement)
    except BaseException:
        session.close()
        raise
    if problem is not None:
        session.close()
        raise EngineError(f"{folder} computes wrongly here: {problem}. Rebuild it here with: {manifest.build_command}")


@dataclass(frozen=True)
class _Trial:
    """What a new engine is tried with."""

    onnx_path: Path
    spec: ModelSpec
    precision: str
    acceptance: Acceptance | None
    explain: Explain | None


@dataclass(frozen=True, kw_only=True)
class _Tried:
    """What was found when a new engine was opened; `snr_db` is None where it was not run."""

    layers: dict[str, str]
    notes: tuple[str, ...] = ()
    snr_db: dict[str, float] | None = field(default=None)


def _try_out(module: Backend, folder: Path, built: Built, trial: _Trial) -> _Tried:
    """Open the new engine, check its inputs and outputs and run it; a note says so if it cannot be opened."""
    problem = module.cannot_open()
    if problem is not None:
        _check_names(built, trial.spec, trial.onnx_path)
        return _Tried(layers=built.layers, notes=(f"not opened here, so what it computes was not checked: {problem}",))
    try:
        with module.open(folder, OpenOptions()) as session:
            _check_names(session, trial.spec, trial.onnx_path)
            return _examined(session, folder, trial)
    except EngineError as error:
        reason = str(error).removesuffix("; rebuild the engine")  # which would fail in the same way
        raise BuildError(
            f"{trial.onnx_path} was built but does not open or run: {reason}. Use another --backend or --precision "
            "for this network"
        ) from error


def _examined(session: Session, folder: Path, trial: _Trial) -> _Tried:
    """Run the new engine on the acceptance sample, and return its layers and how closely it agrees."""
    if trial.acceptance is None:
        return _Tried(layers=session.layers())
    found = examine(session, trial.spec, trial.acceptance)
    problem = found.problem(trial.precision)
    if problem is not None:
        where = f"; {trial.explain(folder)}" if trial.explain else ""
        raise BuildError(f"the engine of {trial.onnx_path} is wrong: {problem}{where}")
    notes = (*found.warnings(trial.precision), f"on {found.count} crops, {found.describe()}")
    return _Tried(layers=session.layers(), notes=notes, snr_db=found.snr_db())


def _check_names(session: Session | Built, spec: ModelSpec, onnx_path: Path) -> None:
    if session.inputs != (spec.input.name,):
        found = ", ".join(session.inputs)
        raise BuildError(f"{onnx_path} takes {found}, its spec says {spec.input.name}; correct the spec")
    missing = [name for name in spec.outputs if name not in session.outputs]
    if missing:
        found = ", ".join(session.outputs)
        raise BuildError(f"{onnx_path} gives {found}, its spec says {', '.join(missing)}; correct the spec")
