"""Engine folders: whole or not there, opened only when everything fits."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgepose._files import sha256_file
from edgepose.artifacts.manifest import NAME, Manifest, field_digests, read_manifest
from edgepose.artifacts.spec import ModelSpec, spec_from_dict
from edgepose.backends import onnxruntime, openvino
from edgepose.backends.declaration import BuildOptions
from edgepose.backends.engine import build_engine, open_engine
from edgepose.backends.session import Built, OpenOptions
from edgepose.errors import BuildError, EdgeposeError, EngineError, ModelError, UsageError

CPU = ("openvino", "onnxruntime")
COMMAND = "edgepose build tiny.onnx --out out"


def build(tiny: Path, folder: Path, spec: ModelSpec, backend: str = "onnxruntime", **more: object) -> Manifest:
    return build_engine(tiny, folder, spec, BuildOptions(), backend, COMMAND, **more)  # type: ignore[arg-type]


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def edit(folder: Path, **fields: object) -> None:
    value = json.loads((folder / NAME).read_text())
    value |= fields
    (folder / NAME).write_text(json.dumps(value | {"sha256": field_digests(value)}))


@pytest.mark.parametrize("backend", CPU)
def test_built_engine_opens_and_runs(
    backend: str, tiny: Path, tmp_path: Path, spec: ModelSpec, images: np.ndarray
) -> None:
    manifest = build(tiny, tmp_path / "engine", spec, backend, scales_sha256="ab")
    session, read = open_engine(tmp_path / "engine", OpenOptions(threads=1))
    with session:
        assert session.run({"image": images})["heatmaps"].shape == (7, 14, 8, 6)
    assert read == manifest
    assert manifest.onnx_sha256 == sha256_file(tiny)
    assert (manifest.backend, manifest.scales_sha256) == (backend, "ab")
    assert set(manifest.layers.values()) == {"fp32"}
    assert set(manifest.payload) == {file.name for file in (tmp_path / "engine").iterdir()} - {NAME}


def test_auto_is_written_as_what_it_chose(tiny: Path, tmp_path: Path, spec: ModelSpec) -> None:
    assert build(tiny, tmp_path / "engine", spec, "auto").backend == "openvino"


def test_an_existing_engine_is_kept_unless_asked(tiny: Path, tmp_path: Path, spec: ModelSpec) -> None:
    build(tiny, tmp_path / "engine", spec)
    with pytest.raises(UsageError, match="--overwrite"):
        build(tiny, tmp_path / "engine", spec)
    assert build(tiny, tmp_path / "engine", spec, "openvino", overwrite=True).backend == "openvino"
    assert set(files(tmp_path / "engine")) == {"model.xml", "model.bin", NAME}


@pytest.mark.parametrize("existing", [True, False])
def test_full_disk_leaves_everything_as_it_was(
    existing: bool, tiny: Path, tmp_path: Path, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    if existing:
        build(tiny, out / "engine", spec)
    before = files(out / "engine") if existing else {}

    def half_written(source: Path, target: Path) -> None:
        target.write_bytes(Path(source).read_bytes()[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", half_written)
    with pytest.raises(EdgeposeError, match=r"cannot write .*engine: No space left.*nothing was changed"):
        build(tiny, out / "engine", spec, overwrite=True)
    assert [path.name for path in out.iterdir()] == (["engine"] if existing else [])
    if existing:
        assert files(out / "engine") == before
        open_engine(out / "engine", OpenOptions())[0].close()


def test_openvino_that_cannot_write_is_told_as_a_disk_that_is_full(
    tiny: Path, tmp_path: Path, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("basic_ios::clear: iostream error")  # what OpenVINO says on a full disk

    monkeypatch.setattr("openvino.save_model", full)
    with pytest.raises(EdgeposeError, match=r"cannot write .*iostream error.*Free some space"):
        build(tiny, tmp_path / "out" / "engine", spec, "openvino")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_payload_cut_short_without_an_error_is_noticed(
    tiny: Path, tmp_path: Path, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = openvino.build

    def cut(onnx_path: Path, folder: Path, options: BuildOptions, track: object) -> Built:
        built = real(onnx_path, folder, options)
        with (folder / "model.bin").open("r+b") as file:
            file.truncate(64)
        return built

    monkeypatch.setattr(openvino, "build", cut)
    with pytest.raises(BuildError, match="does not open"):
        build(tiny, tmp_path / "out" / "engine", spec, "openvino")
    assert list((tmp_path / "out").iterdir()) == []


def test_no_onnx_file(tmp_path: Path, spec: ModelSpec) -> None:
    with pytest.raises(ModelError, match="no ONNX file"):
        build(tmp_path / "none.onnx", tmp_path / "engine", spec)


@pytest.mark.parametrize("backend", CPU)
def test_a_file_that_is_no_onnx_is_refused(backend: str, tmp_path: Path, spec: ModelSpec) -> None:
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(EdgeposeError, match=r"text\.onnx"):
        build(tmp_path / "text.onnx", tmp_path / "out" / "engine", spec, backend)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input": {"name": "data", "size": [16, 12]}}, "takes image, its spec says data"),
        ({"input": {"name": "image"}, "outputs": ["maps"]}, "gives heatmaps, its spec says maps"),
    ],
)
def test_a_spec_that_names_other_ports_is_refused(
    change: dict[str, object], message: str, tiny: Path, tmp_path: Path
) -> None:
    spec = spec_from_dict({"name": "tiny", "skeleton": "lsp14"} | change, "test")
    with pytest.raises(BuildError, match=message):
        build(tiny, tmp_path / "engine", spec)


def test_a_missing_payload_names_the_rebuild_command(tiny: Path, tmp_path: Path, spec: ModelSpec) -> None:
    build(tiny, tmp_path / "engine", spec)
    (tmp_path / "engine" / "model.onnx").unlink()
    with pytest.raises(EngineError, match=f"model.onnx is missing; rebuild it with: {COMMAND}"):
        open_engine(tmp_path / "engine", OpenOptions())


def test_an_altered_payload_is_refused(tiny: Path, tmp_path: Path, spec: ModelSpec) -> None:
    build(tiny, tmp_path / "engine", spec)
    onnx_file = tmp_path / "engine" / "model.onnx"
    onnx_file.write_bytes(onnx_file.read_bytes() + b"\0")
    with pytest.raises(EngineError, match="altered"):
        open_engine(tmp_path / "engine", OpenOptions())


def test_an_engine_of_another_backend_is_refused(tiny: Path, tmp_path: Path, spec: ModelSpec) -> None:
    build(tiny, tmp_path / "engine", spec)
    edit(tmp_path / "engine", backend="tvm")
    with pytest.raises(EngineError, match=r"built for 'tvm'.*edgepose build"):
        open_engine(tmp_path / "engine", OpenOptions())


@pytest.mark.parametrize(
    ("built_by", "opens"), [("1.0.0", True), ("1.18.9", True), ("1.19.0", False), ("2.0.0", False)]
)
def test_only_an_engine_of_a_later_release_is_refused(
    built_by: str, opens: bool, tiny: Path, tmp_path: Path, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tiny, tmp_path / "engine", spec)
    edit(tmp_path / "engine", backend_version=built_by)
    monkeypatch.setattr(onnxruntime, "version", lambda: "1.18.1")
    if opens:
        open_engine(tmp_path / "engine", OpenOptions())[0].close()
        return
    with pytest.raises(EngineError, match=rf"built by onnxruntime {built_by}, installed is 1\.18\.1.*{COMMAND}"):
        open_engine(tmp_path / "engine", OpenOptions())


def test_no_engine_folder(tmp_path: Path, tiny: Path) -> None:
    with pytest.raises(EngineError, match="not an engine folder"):
        open_engine(tiny, OpenOptions())
    with pytest.raises(EngineError, match=r"no engine folder at .*nothing; make one with"):
        read_manifest(tmp_path / "nothing")


def test_the_graph_on_disk_is_untouched(tiny: Path, tmp_path: Path, spec: ModelSpec) -> None:
    before = tiny.read_bytes()
    build(tiny, tmp_path / "engine", spec, "openvino")
    assert tiny.read_bytes() == before
    onnx.checker.check_model(onnx.load(tiny))
