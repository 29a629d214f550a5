"""Engine folders: built beside their place and renamed, opened only after every check.

    manifest = build_engine(onnx, folder, spec, BuildOptions(precision="int8"), "openvino", command)
    session, manifest = open_engine(folder, OpenOptions(threads=1))

Test alone: `pytest tests/backends/test_engine.py`.
"""

from __future__ import annotations

import time
from datetime import datetime, timezone
from pathlib import Path

from edgepose import __version__
from edgepose._files import refuse_existing, replacing_folder, sha256_file
from edgepose._progress import Track, quiet
from edgepose.artifacts.manifest import Manifest, read_manifest, write_manifest
from edgepose.artifacts.spec import ModelSpec
from edgepose.backends import BACKENDS, about, choose, load
from edgepose.backends.declaration import BuildOptions
from edgepose.backends.session import Backend, Built, OpenOptions, Session
from edgepose.errors import BuildError, EngineError, ModelError, UsageError


def build_engine(
    onnx_path: Path,
    folder: Path,
    spec: ModelSpec,
    options: BuildOptions,
    backend: str,
    build_command: str,
    *,
    scales_sha256: str | None = None,
    overwrite: bool = False,
    track: Track = quiet,
) -> Manifest:
    """Compile `onnx_path` into the engine `folder`, open it once where that can be, and return its manifest.

    On any error, a full disk among them, `folder` is as it was before. Raises UsageError when it exists and
    `overwrite` is not set, BuildError when the backend cannot take the graph, MissingPackage without it.
    """
    refuse_existing(folder, overwrite)
    if not onnx_path.is_file():
        raise ModelError(f"no ONNX file at {onnx_path}; make one with: edgepose export MODEL.pt --out F")
    name = choose(backend)
    module = load(name)
    if not isinstance(options, about(name).options):
        raise UsageError(f"{name} is built with {about(name).options.__name__}, not with {type(options).__name__}")
    module.refuse(options)
    began = time.perf_counter()
    with replacing_folder(folder) as beside:
        built = module.build(onnx_path, beside, options, track)
        payload = {file.name: sha256_file(file) for file in sorted(beside.iterdir())}
        layers, untried = _try_out(module, beside, spec, onnx_path, built)
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
            layers=layers,
            notes=[*built.notes, *untried],
        )
        write_manifest(beside, manifest)
    return manifest


def open_engine(folder: Path, options: OpenOptions) -> tuple[Session, Manifest]:
    """Check an engine folder and load it; the caller closes the session.

    Raises EngineError for a damaged folder or one made for something else, saying what differs and the
    command that rebuilds it; MissingPackage when its backend is not installed.
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
    return module.open(folder, options), manifest


def _try_out(
    module: Backend, folder: Path, spec: ModelSpec, onnx_path: Path, built: Built
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Open what was just built, check its ports against the spec; its layers, and a note where it cannot open."""
    problem = module.cannot_open()
    if problem is not None:
        _check_names(built, spec, onnx_path)
        return built.layers, (f"not opened here, so not yet tried: {problem}",)
    try:
        with module.open(folder, OpenOptions()) as session:
            _check_names(session, spec, onnx_path)
            return session.layers(), ()
    except EngineError as error:
        raise BuildError(f"{onnx_path} was built but does not open: {error}") from error


def _check_names(session: Session | Built, spec: ModelSpec, onnx_path: Path) -> None:
    if session.inputs != (spec.input.name,):
        found = ", ".join(session.inputs)
        raise BuildError(f"{onnx_path} takes {found}, its spec says {spec.input.name}; correct the spec")
    missing = [name for name in spec.outputs if name not in session.outputs]
    if missing:
        found = ", ".join(session.outputs)
        raise BuildError(f"{onnx_path} gives {found}, its spec says {', '.join(missing)}; correct the spec")
