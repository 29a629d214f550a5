"""Manifests: what was written is read back; what was altered is refused, with the way out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgepose._files import sha256_file
from edgepose.artifacts.manifest import LATER, NAME, Manifest, field_digests, read_manifest, write_manifest
from edgepose.artifacts.spec import spec_from_dict
from edgepose.errors import EngineError, SpecError


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """An engine folder with a payload of two files."""
    folder = tmp_path / "engine"
    folder.mkdir()
    (folder / "model.xml").write_text("<net/>")
    (folder / "model.bin").write_bytes(b"\1\2")
    payload = {file.name: sha256_file(file) for file in folder.iterdir()}
    write_manifest(
        folder,
        Manifest(
            spec=spec_from_dict({"name": "net", "skeleton": "lsp14"}, "test"),
            precision="int8",
            backend="openvino",
            backend_version="2026.4.1",
            edgepose_version="0.1.0",
            onnx_sha256="ab",
            scales_sha256=None,
            payload=payload,
            build_seconds=1.5,
            built_at="2026-11-22T00:00:00+00:00",
            build_command="edgepose build net.onnx",
            machine={"gpu": "Orin", "compute_capability": "8.7"},
            shapes={"input": [[1, 3, 8, 8], [1, 3, 8, 8], [4, 3, 8, 8]]},
            build={"typing": "strong"},
            layers={"conv": "int8"},
            notes=["4 of 40 layers run on the GPU"],
            acceptance={"acceptance.npz": "ab"},
            agreement={"heatmaps": 25.5},
        ),
    )
    return folder


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    value = json.loads((folder / NAME).read_text())
    change(value)
    (folder / NAME).write_text(json.dumps(value))


def refit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """As `edit`, with the digests made to fit: what is left is checked for what it says."""

    def both(value: dict[str, Any]) -> None:
        change(value)
        value["sha256"] = field_digests(value)

    edit(folder, both)


def test_written_is_read_back(engine: Path) -> None:
    manifest = read_manifest(engine)
    assert (manifest.precision, manifest.layers, manifest.scales_sha256) == ("int8", {"conv": "int8"}, None)
    assert manifest.spec == spec_from_dict({"name": "net", "skeleton": "lsp14"}, "test")
    assert set(manifest.payload) == {"model.xml", "model.bin"}


def test_a_manifest_of_an_earlier_release_has_no_acceptance_sample(engine: Path) -> None:
    def earlier(value: dict[str, Any]) -> None:
        del value["acceptance"], value["agreement"]

    refit(engine, earlier)
    manifest = read_manifest(engine)
    assert (manifest.acceptance, manifest.agreement) == ({}, {})


def test_a_missing_payload_file(engine: Path) -> None:
    (engine / "model.bin").unlink()
    with pytest.raises(EngineError, match=r"model\.bin is missing; rebuild it with: edgepose build net\.onnx"):
        read_manifest(engine)


def test_an_altered_payload_file(engine: Path) -> None:
    (engine / "model.bin").write_bytes(b"\1\3")
    with pytest.raises(EngineError, match=r"model\.bin was altered; rebuild it with: edgepose build net\.onnx"):
        read_manifest(engine)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda v: v["spec"]["crop"].update(padding=1.5),
            r"spec was altered; rebuild it with: edgepose build net\.onnx",
        ),
        (lambda v: v.update(spec_sha256="0"), "spec_sha256 was altered"),
        (lambda v: v.update(format=3), "format is 3, this edgepose reads 2"),
        (lambda v: v.pop("precision"), "missing .'precision'"),
        (lambda v: v.update(colour="red"), "unknown .'colour'"),
        (lambda v: v["payload"].update({"../../secret": "0"}), r"payload, payload\.\.\./\.\./secret were altered"),
        (lambda v: v.pop("sha256"), "sha256 is no table of digests"),
        (lambda v: v["sha256"].pop("precision"), "precision was altered"),
        (lambda v: v["sha256"].update(color="0"), "color was altered"),
    ],
)
def test_an_altered_manifest(engine: Path, change: Callable[[dict[str, Any]], object], message: str) -> None:
    edit(engine, change)
    with pytest.raises(EngineError, match=message):
        read_manifest(engine)


# What stands in a manifest, and another value of it; the payload and the format have tests of their own.
MUTATIONS: dict[str, Any] = {
    "precision": "fp16",
    "backend": "onnxruntime",
    "backend_version": "2026.5.0",
    "edgepose_version": "0.2.0",
    "onnx_sha256": "cd",
    "scales_sha256": "ef",
    "build_seconds": 1.6,
    "built_at": "2026-11-23T00:00:00+00:00",
    "machine.gpu": "Thor",
    "machine.compute_capability": "11.0",
    "shapes": {"input": [[1, 3, 8, 8]] * 3},
    "build.typing": "weak",
    "layers": {"conv": "fp32"},
    "notes": [],
    "multiply_adds": {"conv": 7},
    "int8_in_graph": 0.5,
    "acceptance": {},
    "agreement": {"heatmaps": 40.0},
    "candidates_ms": {"openvino-fp32": 3.5},
    "guard": {"answer": "kept"},
    "spec_sha256": "0",
    "payload.model.xml": "0",
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutated_field_is_named_with_the_command_that_rebuilds(engine: Path, name: str) -> None:
    def change(value: dict[str, Any]) -> None:
        table, _, part = name.partition(".")
        if table in ("machine", "build", "payload"):
            value[table][part] = MUTATIONS[name]
        else:
            value[name] = MUTATIONS[name]

    edit(engine, change)
    with pytest.raises(EngineError) as caught:
        read_manifest(engine)
    message = f"manifest.json: {name} was altered; rebuild it with: edgepose build net.onnx"
    assert str(caught.value).endswith(message)


def test_the_mutations_cover_every_field(engine: Path) -> None:
    written = set(json.loads((engine / NAME).read_text())["sha256"])
    tables = {"machine", "build", "payload"}  # their keys: covered by adding and removing one
    assert written - tables - {"spec", "format", "build_command", "payload.model.bin"} == set(MUTATIONS)


@pytest.mark.parametrize("name", LATER)
def test_a_field_that_came_later_may_be_missing(engine: Path, name: str) -> None:
    def change(value: dict[str, Any]) -> None:
        del value[name], value["sha256"][name]

    edit(engine, change)
    assert not getattr(read_manifest(engine), name)


@pytest.mark.parametrize("table", ["machine", "build"])
def test_an_entry_added_or_removed_is_named(engine: Path, table: str) -> None:
    edit(engine, lambda value: value[table].update(extra="1"))
    with pytest.raises(EngineError, match=rf"{table}, {table}\.extra were altered"):
        read_manifest(engine)


def test_an_altered_command_is_not_printed(engine: Path) -> None:
    edit(engine, lambda value: value.update(build_command="rm -rf /"))
    with pytest.raises(EngineError, match=r"build_command was altered; rebuild the engine with: edgepose build MODEL"):
        read_manifest(engine)


def test_a_payload_name_never_leaves_the_folder(engine: Path) -> None:
    refit(engine, lambda value: value["payload"].update({"../../secret": "0"}))
    with pytest.raises(EngineError, match="leaves the folder"):
        read_manifest(engine)


def test_a_payload_of_no_files(engine: Path) -> None:
    refit(engine, lambda value: value.update(payload={}))
    with pytest.raises(EngineError, match="payload names no file"):
        read_manifest(engine)


def test_a_spec_that_is_not_of_its_sha256(engine: Path) -> None:
    refit(engine, lambda value: value["spec"]["crop"].update(padding=1.5))
    with pytest.raises(EngineError, match="spec_sha256 is not that of the spec"):
        read_manifest(engine)


def test_a_spec_with_an_unknown_key(engine: Path) -> None:
    refit(engine, lambda value: value["spec"].update(skelton="lsp14"))
    with pytest.raises(SpecError, match="did you mean 'skeleton'"):
        read_manifest(engine)


def test_a_manifest_that_is_no_json(engine: Path) -> None:
    (engine / NAME).write_text("{")
    with pytest.raises(EngineError, match=r"no valid JSON.*rebuild the engine"):
        read_manifest(engine)


def test_a_folder_that_is_no_engine(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="not an engine folder"):
        read_manifest(tmp_path)


def test_a_field_of_another_type_is_named(engine: Path) -> None:
    def change(value: dict[str, Any]) -> None:
        value["layers"] = {"conv": 3}
        value["sha256"] = field_digests(value)

    edit(engine, change)
    with pytest.raises(EngineError, match=r"layers = .*; expected text, got whole number.*; rebuild it with: edgepose"):
        read_manifest(engine)
