"""Engines that `load` built of a zoo model or an ONNX file, kept in the user's cache folder.

An entry is an engine folder. Its name ends in a digest of everything that decides its content, so that another
network, option or backend version makes another entry. A lock file per entry lets one process build while others wait.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import edgepose
from edgepose._files import sha256_file, sha256_json
from edgepose._leftovers import locked
from edgepose._progress import Note, Track, quiet, silent
from edgepose.api.request import BuildOptions, is_quantized, refuse_unknown_precision
from edgepose.artifacts.manifest import NAME as MANIFEST
from edgepose.artifacts.manifest import read_manifest
from edgepose.errors import EdgeposeError, EngineError, UsageError, nearest
from edgepose.graph.folder import network_file
from edgepose.zoo import ZOO, zoo_model, zoo_scales

ENTRY = re.compile(r"^\.?[\w.+-]+-[0-9a-f]{16}(-building|-old|\.lock)?$")
CPU_BACKENDS = ("openvino", "onnxruntime")


@dataclass(frozen=True, kw_only=True)
class EngineChoice:
    """How `load` builds an engine.

    Attributes:
        precision: fp32, fp16, int8, int8-fp16 or fp8; None chooses, see `default_precision`.
        backend: Name of a backend, or "auto".
        spec: A spec.toml, the contract of an ONNX file that was trained elsewhere.
        calib: Calibration images as KIND:PATH[:SPLIT]. The cache knows them by this text only: after the images
            changed, clear the cache.
        det_classes: Names or numbers of the classes of a person detector that count as people; empty is "person".
    """

    precision: str | None = None
    backend: str = "auto"
    spec: Path | None = None
    calib: str | None = None
    det_classes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CacheEntry:
    """One engine in the cache.

    Attributes:
        path: The engine folder.
        size_bytes: Size of its files.
    """

    path: Path
    size_bytes: int


def cache_folder(given: str | Path | None = None) -> Path:
    """Return the cache folder: `given`, else $EDGEPOSE_CACHE, else the user's cache folder of the system.

    Examples:
        >>> cache_folder()
        PosixPath('/home/user/.cache/edgepose')
    """
    import platformdirs

    chosen = given or os.environ.get("EDGEPOSE_CACHE") or platformdirs.user_cache_path("edgepose")
    return Path(chosen).expanduser()


def cache_entries(folder: str | Path | None = None) -> tuple[CacheEntry, ...]:
    """List the engines in the cache.

    Args:
        folder: The cache folder; by default that of `cache_folder`.

    Returns:
        The entries, sorted by name.
    """
    found = [path for path in _ours(cache_folder(folder)) if (path / MANIFEST).is_file() and path.name[0] != "."]
    return tuple(CacheEntry(path=path, size_bytes=_size(path)) for path in found)


def clear_cache(folder: str | Path | None = None) -> tuple[CacheEntry, ...]:
    """Delete the engines in the cache, and what interrupted builds left; other files in the folder stay.

    Args:
        folder: The cache folder; by default that of `cache_folder`.

    Returns:
        The entries that were deleted.

    Raises:
        EdgeposeError: An entry cannot be deleted.
    """
    entries = cache_entries(folder)
    for path in _ours(cache_folder(folder)):
        try:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        except FileNotFoundError:
            continue  # another process deletes too
        except OSError as error:
            raise EdgeposeError(
                f"cannot delete {path}: {error.strerror or error}; delete the folder yourself"
            ) from error
    return entries


def engine_folder(
    model: str | Path,
    choice: EngineChoice = EngineChoice(),
    *,
    cache_dir: str | Path | None = None,
    rebuild: bool = False,
    track: Track = quiet,
    note: Note = silent,
) -> Path:
    """Return an engine folder of a model; a zoo model or an ONNX file is built into the cache where needed.

    Args:
        model: A zoo name, an ONNX file, the folder that one was published in, or an engine folder, which is returned
            as it is.
        choice: How to build the engine.
        cache_dir: The cache folder; by default that of `cache_folder`.
        rebuild: Whether to build although the cache has the engine.
        track: Shows the progress of a build.
        note: Receives lines about a build.

    Returns:
        The engine folder.

    Raises:
        UsageError: `model` is a checkpoint, or an option of `choice` is wrong or has no effect.
        EngineError: There is no such model.
        EdgeposeError: The cache folder cannot be written, or a build fails.

    Examples:
        >>> engine_folder("lite")
        PosixPath('/home/user/.cache/edgepose/lite-openvino-int8-0a1b2c3d4e5f6071')
    """
    refuse_unknown_precision(choice.precision or "fp32")
    if str(model) not in ZOO:
        model = network_file(Path(model))
    source = _onnx_of(model, choice)
    if source is None:
        return Path(model)
    _refuse_unused(choice)
    from edgepose.backends import choose

    backend = choose(choice.backend)
    precision = choice.precision or default_precision(model, backend, choice.calib)
    folder = cache_folder(cache_dir)
    entry = folder / f"{source.stem}-{backend}-{precision}-{_digest(model, source, backend, precision, choice)}"
    if not rebuild and _usable(entry):
        return entry
    with _locked(folder, entry.name):
        if rebuild or not _usable(entry):  # another process may have built it meanwhile
            _build(model, entry, backend, precision, choice, track, note)
    return entry


def engine_folders(
    models: str | Path | Sequence[str | Path], *, track: Track = quiet, note: Note = silent
) -> list[Path]:
    """Return the engine folders of one or several models, see `engine_folder`.

    Raises:
        UsageError: There is no model.
    """
    several = [models] if isinstance(models, (str, Path)) else list(models)
    if not several:
        raise UsageError("no engine is given; name an engine folder, an ONNX file or a zoo name")
    return [engine_folder(model, track=track, note=note) for model in several]


def compiled_folder(cache_dir: str | Path | None = None) -> Path | None:
    """Return the folder in which backends keep code that they compiled for this CPU; None in a read-only cache."""
    from edgepose.backends.cpu import cpu_flags, cpu_name

    folder = cache_folder(cache_dir)
    if not os.access(folder, os.W_OK):
        return None
    return folder / f".compiled-{sha256_json([cpu_name(), cpu_flags()])[:16]}"


def default_precision(model: str | Path, backend: str, calib: str | None = None) -> str:
    """Return the precision that `load` builds without an explicit one.

    It is int8 where quantization scales ship with the model and the processor computes INT8 in integers. On a CPU
    without VNNI or AMX, INT8 engines are no faster than float ones and lose some accuracy, so fp32 is used there.
    Calibration images are a request for INT8. Every other model is built in fp32.
    """
    from edgepose.backends.cpu import int8_saturates

    if calib is not None:
        return "int8"
    integers = backend not in CPU_BACKENDS or not int8_saturates()
    return "int8" if str(model) in ZOO and integers else "fp32"


def _onnx_of(model: str | Path, choice: EngineChoice) -> Path | None:
    """The ONNX file to build from, or None for an engine folder."""
    path = Path(model)
    if str(model) in ZOO:
        return zoo_model(str(model))
    if path.suffix == ".onnx":
        if not path.is_file():
            raise EngineError(f"no ONNX file at {path}")
        return path
    if path.suffix in (".pt", ".pth"):
        raise UsageError(f"{path} is a checkpoint; write it as ONNX first: edgepose export {path} --out model.onnx")
    if not path.exists():
        raise EngineError(
            f"no engine folder at {path}; give an engine folder, an ONNX file or a zoo name{nearest(str(model), ZOO)}"
        )
    if choice != EngineChoice():
        raise UsageError(
            f"{path} is an engine already: precision, backend, spec, calib and classes apply only to building one; "
            "name the ONNX file"
        )
    return None


def _refuse_unused(choice: EngineChoice) -> None:
    """Raise UsageError for a contract that is no file, and for calibration images that nothing is calibrated on."""
    if choice.spec is not None and not choice.spec.is_file():
        raise UsageError(f"no contract at {choice.spec}; pass the spec.toml that describes the network")
    if choice.calib is not None and not is_quantized(choice.precision or "int8"):
        raise UsageError(f"calib is about int8, and precision is {choice.precision}")


def _digest(model: str | Path, source: Path, backend: str, precision: str, choice: EngineChoice) -> str:
    from edgepose.backends import load
    from edgepose.backends.choices import options_for
    from edgepose.graph.external import data_files
    from edgepose.recognize.candidate import side_files

    weights = [sha256_file(path) for path in data_files(source) if path.is_file()]
    parts: dict[str, Any] = {
        "onnx": [sha256_file(source), *weights] if weights else sha256_file(source),
        "scales": sha256_file(zoo_scales(str(model))) if str(model) in ZOO else None,
        "spec": sha256_file(choice.spec) if choice.spec else None,
        "beside": [sha256_file(path) for path in side_files(source)],
        "calib": choice.calib,
        "precision": precision,
        "graph": load(backend).graph_for(options_for(backend, precision, source.parent, {})),
        "backend": [backend, load(backend).version()],
        "edgepose": edgepose.__version__,
    }
    if choice.det_classes:
        parts["classes"] = list(choice.det_classes)
    return sha256_json(parts)[:16]


def _usable(entry: Path) -> bool:
    """Whether an entry is whole and was made for this machine and these versions."""
    from edgepose.backends import load

    if not entry.is_dir():
        return False
    try:
        manifest = read_manifest(entry)
    except EngineError:
        return False
    return not load(manifest.backend).differs(manifest)


def _build(
    model: str | Path, entry: Path, backend: str, precision: str, choice: EngineChoice, track: Track, note: Note
) -> None:
    """Build in a folder of its own and rename the engine onto its entry."""
    from edgepose.api.build import build

    work = entry.with_name(f".{entry.name}-building")
    old = entry.with_name(f".{entry.name}-old")
    for path in (work, old):
        shutil.rmtree(path, ignore_errors=True)  # of a process that was killed
    _remove_unfinished(entry.parent)
    options = BuildOptions(
        precisions=(precision,),
        backends=(backend,),
        spec=choice.spec,
        calib=choice.calib,
        det_classes=choice.det_classes,
    )
    try:
        (made,) = build(model, out=work, options=options, track=track, note=note).engines
        if entry.exists():
            entry.rename(old)
        made.rename(entry)
    finally:
        for path in (work, old):
            shutil.rmtree(path, ignore_errors=True)


def _remove_unfinished(folder: Path) -> None:
    """Remove what killed builds of other entries left: those whose lock nobody holds."""
    for path in folder.glob(".*-building"):
        name = path.name.removesuffix("-building")
        with contextlib.suppress(OSError):
            handle = locked(folder / f"{name}.lock", needed=True)
            if handle is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(handle)


@contextlib.contextmanager
def _locked(folder: Path, name: str) -> Iterator[None]:
    """Hold the lock of an entry; the system releases it when the process ends, however it ends."""
    import fcntl

    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / f".{name}.lock").open("a")
    except OSError as error:
        raise EdgeposeError(
            f"cannot write the cache folder {folder}: {error.strerror or error}; set EDGEPOSE_CACHE to another folder"
        ) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _ours(folder: Path) -> list[Path]:
    """What `engine_folder` made in a folder: engines, unfinished ones and locks."""
    if not folder.is_dir():
        return []
    named = [path for path in folder.iterdir() if ENTRY.match(path.name)]
    return sorted(path for path in named if path.name[0] == "." or (path / MANIFEST).is_file())


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
