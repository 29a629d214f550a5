"""`Manifest`: what an engine folder holds, what it was made from, and where it may be opened.

`engine/manifest.json` lies in the engine folder with the files that the backend wrote (`model.xml`/`model.bin`,
`model.onnx`, `model.plan`). It lists the sha256 of each of these files: an altered or missing file is refused. A
manifest with an altered field is refused as well, and the error names the field. The digests detect damage and edits,
not forgery.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from edgepose._files import read_json, sha256_file, sha256_json, write_json
from edgepose.artifacts.spec import ModelSpec, spec_from_dict
from edgepose.artifacts.tables import read_as
from edgepose.errors import EdgeposeError, EngineError

NAME = "manifest.json"
FORMAT = 2
NESTED = ("machine", "build", "payload")  # fields whose entries have a digest each
# Fields that manifests of earlier releases do not have.
LATER = ("acceptance", "agreement", "multiply_adds", "int8_in_graph", "candidates_ms", "guard")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The content of manifest.json.

    Attributes:
        spec: The contract of the network.
        precision: The precision that was asked for.
        backend: The backend that compiled the engine.
        backend_version: The version of the backend's library.
        edgepose_version: The version of edgepose that built the engine.
        onnx_sha256: The sha256 of the graph that was compiled.
        scales_sha256: The sha256 of the quantization scales; None without any.
        payload: File name -> sha256.
        build_seconds: How long the build took.
        built_at: When it was built, ISO 8601.
        build_command: The command that builds it again.
        machine: The machine that it was built on; for a GPU its name, compute capability, driver and CUDA version.
        shapes: Input name -> its smallest, usual and largest shape, where the engine is bound to shapes.
        build: The options of the builder, and whether the timing cache was used.
        layers: Layer name -> precision, where the backend can tell.
        notes: What a person should know about the build.
        multiply_adds: Layer -> its multiply-adds for one image, for the layers of an INT8 engine that could be found in
            its graph.
        int8_in_graph: Share of the multiply-adds that the graph of an INT8 engine asks to run in int8; None for other
            engines, and where the graph does not fix its shapes.
        acceptance: The file of the acceptance sample -> sha256; empty for an engine that was built without one.
        agreement: Output name -> signal-to-noise ratio against the float network in decibels, as measured on the
            acceptance sample when the engine was built, or of its graph where the engine could not be opened.
            Outputs that are equal have no entry.
        candidates_ms: Name of an engine -> its median latency in milliseconds, for the candidates of `build --fastest`
            on the machine of the build; empty for other builds.
        guard: What was proven about the accuracy of an INT8 engine, the content of guard.json; empty for other engines,
            and where nothing was tested.
        format: The version of this file's format.
    """

    spec: ModelSpec
    precision: str
    backend: str
    backend_version: str
    edgepose_version: str
    onnx_sha256: str
    scales_sha256: str | None
    payload: dict[str, str]
    build_seconds: float
    built_at: str
    build_command: str
    machine: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, list[list[int]]] = field(default_factory=dict)
    build: dict[str, str] = field(default_factory=dict)
    layers: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    multiply_adds: dict[str, int] = field(default_factory=dict)
    int8_in_graph: float | None = None
    acceptance: dict[str, str] = field(default_factory=dict)
    agreement: dict[str, float] = field(default_factory=dict)
    candidates_ms: dict[str, float] = field(default_factory=dict)
    guard: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    def to_json(self) -> dict[str, Any]:
        """Return the JSON value with the digest of every field."""
        value = {**asdict(self), "spec": self.spec.to_json()}
        value["spec_sha256"] = self.spec.sha256()
        return value | {"sha256": field_digests(value)}


def field_digests(value: dict[str, Any]) -> dict[str, str]:
    """Field (`precision`, `machine.gpu`) -> a digest of its name and value."""
    return {name: sha256_json([name, item])[:16] for name, item in _fields(value)}


def _fields(value: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        if key in NESTED and isinstance(item, dict):
            yield key, sorted(item)
            yield from ((f"{key}.{part}", content) for part, content in item.items())
        elif key != "sha256":
            yield key, item


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write manifest.json into an engine folder."""
    write_json(folder / NAME, manifest.to_json())


def no_engine(folder: Path) -> str:
    """Return the message about a path that should be an engine folder, for all verbs.

    Args:
        folder: A folder without a manifest, or something else.
    """
    first = f"{folder} is not an engine folder: it has no {NAME}"
    if not folder.exists():
        return f"no engine folder at {folder}; make one with: edgepose build MODEL --out DIR"
    if not folder.is_dir():
        return f"{folder} is not an engine folder, but a file; make one with: edgepose build MODEL --out DIR"
    engines = [path.parent.name for path in sorted(folder.glob(f"*/{NAME}"))]
    if engines:
        return f"{first}; it holds the engines {', '.join(engines)}: name one of them"
    networks = [*sorted(folder.glob("*.onnx")), *sorted(folder.glob("onnx/*.onnx"))]
    if networks:
        return (
            f"{first}; it holds {networks[0].name}, a network: make an engine with: edgepose build {folder} --out DIR"
        )
    return f"{first}, and it holds no network (an ONNX file); make an engine with: edgepose build MODEL --out DIR"


def read_manifest(folder: Path) -> Manifest:
    """Read and check an engine folder's manifest and payload.

    Args:
        folder: The engine folder.

    Returns:
        The manifest.

    Raises:
        EngineError: If the folder is no engine folder, or a field or file was altered.
    """
    path = folder / NAME
    if not folder.is_dir() or not path.is_file():
        raise EngineError(no_engine(folder))
    try:
        value = read_json(path, "manifest")
    except EdgeposeError as error:
        raise EngineError(f"{error}; rebuild the engine with edgepose build") from error
    manifest = _parse(value, path)
    _check_payload(folder, manifest)
    return manifest


def _parse(value: Any, path: Path) -> Manifest:
    if not isinstance(value, dict):
        raise EngineError(f"{path}: a manifest is a table; rebuild the engine with edgepose build")
    if value.get("format") != FORMAT:
        raise EngineError(
            f"{path}: format is {value.get('format')!r}, this edgepose reads {FORMAT}; rebuild the engine"
        )
    names = {item.name for item in fields(Manifest)}
    missing = sorted(names - set(value) - set(LATER))
    unknown = sorted(set(value) - names - {"spec_sha256", "sha256"})
    if missing or unknown:
        raise EngineError(f"{path}: missing {missing}, unknown {unknown}; rebuild the engine with edgepose build")
    _refuse_altered(value, path)
    spec = spec_from_dict(value["spec"], str(path))
    if spec.sha256() != value.get("spec_sha256"):
        raise EngineError(f"{path}: spec_sha256 is not that of the spec; rebuild the engine with edgepose build")
    if not isinstance(value["payload"], dict) or not value["payload"]:
        raise EngineError(f"{path}: payload names no file; rebuild the engine with edgepose build")
    return Manifest(spec=spec, **_parts(value, path))


def _parts(value: dict[str, Any], path: Path) -> dict[str, Any]:
    """The fields but for the spec; EngineError for one of another type."""
    kinds = get_type_hints(Manifest)
    del kinds["spec"]
    try:
        return {
            name: read_as(kind, value[name], str(path), name, EngineError)
            for name, kind in kinds.items()
            if name in value
        }
    except EngineError as error:
        raise EngineError(f"{error}; {_remedy(value, ())}") from error


def _refuse_altered(value: dict[str, Any], path: Path) -> None:
    """EngineError naming every field that is not what was written, with the command that rebuilds the engine."""
    found, written = field_digests(value), value.get("sha256")
    if not isinstance(written, dict):
        raise EngineError(f"{path}: sha256 is no table of digests; {_remedy(value, ())}")
    altered = sorted(name for name in found.keys() | written.keys() if found.get(name) != written.get(name))
    if altered:
        were = "was" if len(altered) == 1 else "were"
        raise EngineError(f"{path}: {', '.join(altered)} {were} altered; {_remedy(value, altered)}")


def _remedy(value: dict[str, Any], altered: Collection[str]) -> str:
    """How to rebuild; the command of the manifest unless that is what was altered."""
    command = value.get("build_command")
    if "build_command" in altered or not isinstance(command, str):
        return "rebuild the engine with: edgepose build MODEL --out DIR"
    return f"rebuild it with: {command}"


def _check_payload(folder: Path, manifest: Manifest) -> None:
    for name, digest in manifest.payload.items():
        file = folder / name
        if Path(name).name != name:
            raise EngineError(f"{folder}: payload name {name!r} leaves the folder; rebuild the engine")
        if not file.is_file():
            raise EngineError(f"{folder}: {name} is missing; rebuild it with: {manifest.build_command}")
        if sha256_file(file) != digest:
            raise EngineError(f"{folder}: {name} was altered; rebuild it with: {manifest.build_command}")
