"""Engines in the cache: built once, found again, rebuilt where they cannot be used, deleted without a trace."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from edgepose.api import cache as module
from edgepose.api.cache import EngineChoice, cache_entries, cache_folder, clear_cache, default_precision, engine_folder
from edgepose.artifacts.manifest import read_manifest
from edgepose.errors import EdgeposeError, EngineError, UsageError
from edgepose.zoo import zoo_model

FP32 = EngineChoice(precision="fp32")


@pytest.fixture
def copied(cache: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(cache, tmp_path / "copied"))


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The builds that were made, as they were asked for."""
    made: list[Any] = []
    real = module._build

    def counting(*args: Any) -> None:
        made.append(args)
        real(*args)

    monkeypatch.setattr(module, "_build", counting)
    return made


def test_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEPOSE_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    assert cache_folder("given") == Path("given")
    assert cache_folder("~/given") == Path.home() / "given"
    monkeypatch.delenv("EDGEPOSE_CACHE")
    assert cache_folder().name == "edgepose"


def test_a_second_time_nothing_is_built(cache: Path, builds: list[Any]) -> None:
    folder = engine_folder("lite", FP32, cache_dir=cache)
    assert read_manifest(folder).precision == "fp32"
    assert not builds
    assert [entry.path for entry in cache_entries(cache)] == [folder]
    assert cache_entries(cache)[0].size_bytes > 1e6


def test_an_onnx_file_is_known_by_its_content(copied: Path, tmp_path: Path, builds: list[Any]) -> None:
    onnx = tmp_path / "net.onnx"
    shutil.copy(zoo_model("lite"), onnx)
    first = engine_folder(onnx, cache_dir=copied)
    assert read_manifest(first).precision == "fp32"  # without scales
    assert engine_folder(onnx, cache_dir=copied) == first
    assert len(builds) == 1
    assert not [path for path in copied.iterdir() if path.name.endswith(("-building", "-old"))]


@pytest.mark.parametrize("damage", ["altered", "missing", "no manifest", "another machine"])
def test_an_engine_that_cannot_be_used_is_rebuilt(
    copied: Path, builds: list[Any], monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    folder = engine_folder("lite", FP32, cache_dir=copied)
    if damage == "altered":
        with (folder / "model.bin").open("ab") as file:
            file.write(b"x")
    elif damage == "missing":
        (folder / "model.bin").unlink()
    elif damage == "no manifest":
        (folder / "manifest.json").unlink()
    else:
        from edgepose.backends import openvino

        built_at = read_manifest(folder).built_at
        monkeypatch.setattr(
            openvino, "differs", lambda manifest: ["cpu: other"] if manifest.built_at == built_at and not builds else []
        )
    assert engine_folder("lite", FP32, cache_dir=copied) == folder
    assert len(builds) == 1
    read_manifest(folder)


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    onnx = tmp_path / "net.onnx"
    onnx.write_bytes(b"no network")
    with pytest.raises(EdgeposeError, match=r"net\.onnx"):
        engine_folder(onnx, cache_dir=tmp_path / "cache")
    assert cache_entries(tmp_path / "cache") == ()
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


def _build_lite(folder: str) -> str:
    return str(engine_folder("lite", FP32, cache_dir=folder))


def test_two_processes_build_one_engine(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        first, second = pool.map(_build_lite, [str(tmp_path)] * 2)
    assert first == second
    read_manifest(Path(first))
    assert len(cache_entries(tmp_path)) == 1


def test_clearing_deletes_engines_and_nothing_else(copied: Path) -> None:
    (copied / "notes.txt").write_text("mine")
    (copied / "mine-0123456789abcdef").mkdir()  # named like an engine, but no engine
    (copied / ".x-0123456789abcdef-building").mkdir()
    assert len(clear_cache(copied)) == 1
    assert {path.name for path in copied.iterdir()} == {"notes.txt", "mine-0123456789abcdef"}
    assert clear_cache(copied / "nothing") == ()


def test_models_that_are_none(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="did you mean 'lite'"):
        engine_folder("lit", cache_dir=tmp_path)
    with pytest.raises(EngineError, match="no ONNX file"):
        engine_folder("nothing.onnx", cache_dir=tmp_path)
    with pytest.raises(UsageError, match="edgepose export"):
        engine_folder("best.pt", cache_dir=tmp_path)
    engine = engine_folder("lite", FP32, cache_dir=cache)
    assert engine_folder(engine) == engine
    with pytest.raises(UsageError, match="is an engine already"):
        engine_folder(engine, FP32)


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EdgeposeError, match="set EDGEPOSE_CACHE"):
        engine_folder("lite", cache_dir=tmp_path / "file")


@pytest.mark.parametrize("saturates", [True, False])
def test_the_precision_that_is_chosen(monkeypatch: pytest.MonkeyPatch, saturates: bool) -> None:
    monkeypatch.setattr("edgepose.backends.cpu.int8_saturates", lambda: saturates)
    assert default_precision("lite", "openvino") == ("fp32" if saturates else "int8")
    assert default_precision("lite", "tensorrt") == "int8"
    assert default_precision("net.onnx", "tensorrt") == "fp32"
    assert default_precision("net.onnx", "openvino", "images:photos") == "int8"


def test_an_entry_that_cannot_be_deleted(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("edgepose.api.cache.shutil.rmtree", refuse)
    with pytest.raises(EdgeposeError, match=r"cannot delete .*: Permission denied"):
        clear_cache(copied)
    assert cache_entries(copied)


def test_a_build_removes_what_killed_builds_of_other_entries_left(tmp_path: Path) -> None:
    from edgepose._leftovers import locked
    from edgepose.api.cache import _remove_unfinished

    for name in ("dead", "alive"):
        (tmp_path / f".{name}-building").mkdir()
        (tmp_path / f".{name}.lock").write_text("")
    handle = locked(tmp_path / ".alive.lock")
    assert handle is not None
    _remove_unfinished(tmp_path)
    os.close(handle)
    assert sorted(path.name for path in tmp_path.glob("*-building")) == [".alive-building"]
