"""Manifests: what was written is read back; what was altered is refused, with the way out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgepose._files import sha256_file, sha256_json
from edgepose.artifacts.manifest import NAME, Manifest, read_manifest, write_manifest
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
            layers={"conv": "int8"},
        ),
    )
    return folder


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    value = json.loads((folder / NAME).read_text())
    change(value)
    (folder / NAME).write_text(json.dumps(value))


def test_written_is_read_back(engine: Path) -> None:
    manifest = read_manifest(engine)
    assert (manifest.precision, manifest.layers, manifest.scales_sha256) == ("int8", {"conv": "int8"}, None)
    assert manifest.spec == spec_from_dict({"name": "net", "skeleton": "lsp14"}, "test")
    assert set(manifest.payload) == {"model.xml", "model.bin"}


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
        (lambda v: v["spec"]["crop"].update(padding=1.5), "the spec was altered"),
        (lambda v: v.update(spec_sha256="0"), "the spec was altered"),
        (lambda v: v.update(format=2), "format is 2, this edgepose reads 1"),
        (lambda v: v.pop("precision"), "missing .'precision'"),
        (lambda v: v.update(colour="red"), "unknown .'colour'"),
        (lambda v: v.update(payload={}), "payload names no file"),
        (lambda v: v["payload"].update({"../../secret": "0"}), "was altered"),
        (lambda v: v.update(precision="fp16"), "was altered"),
        (lambda v: v.update(backend_version=5), "was altered"),
        (lambda v: v.pop("sha256"), "was altered"),
    ],
)
def test_an_altered_manifest(engine: Path, change: Callable[[dict[str, Any]], object], message: str) -> None:
    edit(engine, change)
    with pytest.raises(EngineError, match=message):
        read_manifest(engine)


def test_a_payload_name_never_leaves_the_folder(engine: Path) -> None:
    """Even where the manifest's own sha256 was made to fit."""

    def change(value: dict[str, Any]) -> None:
        value["payload"]["../../secret"] = "0"
        del value["sha256"]
        value["sha256"] = sha256_json(value)

    edit(engine, change)
    with pytest.raises(EngineError, match="leaves the folder"):
        read_manifest(engine)


def test_a_spec_with_an_unknown_key(engine: Path) -> None:
    edit(engine, lambda v: v["spec"].update(skelton="lsp14"))
    with pytest.raises(SpecError, match="did you mean 'skeleton'"):
        read_manifest(engine)


def test_a_manifest_that_is_no_json(engine: Path) -> None:
    (engine / NAME).write_text("{")
    with pytest.raises(EngineError, match=r"no valid JSON.*rebuild the engine"):
        read_manifest(engine)


def test_a_folder_that_is_no_engine(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no engine folder"):
        read_manifest(tmp_path)
