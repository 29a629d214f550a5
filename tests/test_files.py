"""Written beside, then renamed: whatever goes wrong, the old file stays and nothing is left over."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest

from edgepose import _files, _leftovers
from edgepose._files import (
    read_json,
    replacing,
    replacing_folder,
    sha256_bytes,
    sha256_file,
    sha256_json,
    write_bytes,
    write_json,
)
from edgepose._outputs import refuse_existing
from edgepose.errors import EdgeposeError, UsageError

FULL = OSError(errno.ENOSPC, "No space left on device")
ERRORS = [FULL, ValueError("a bug"), KeyboardInterrupt()]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_hashes(tmp_path):
    path = tmp_path / "big"
    data = bytes(range(256)) * 10_000  # more than one read
    path.write_bytes(data)
    assert sha256_file(path) == sha256_bytes(data) == hashlib.sha256(data).hexdigest()
    assert sha256_json({"b": [1, 2.5], "a": None}) == sha256_bytes(b'{"a":null,"b":[1,2.5]}')
    assert sha256_json({"a": 1, "b": 2}) == sha256_json({"b": 2, "a": 1}) != sha256_json({"a": 2, "b": 1})


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "deep" / "x.json"
    write_bytes(path, b"old")
    with replacing(path) as beside:
        assert beside.parent == path.parent
        assert beside.suffix == ".json"
        beside.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert names(path.parent) == ["x.json"]


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077])
def test_permissions_are_those_of_any_new_file(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_bytes(tmp_path / "x", b"")
        with replacing_folder(tmp_path / "engine") as beside:
            fill(beside, "")
        (tmp_path / "usual").write_text("")
        (tmp_path / "folder").mkdir()
        modes = {path.name: path.stat().st_mode for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes["x"] == modes["usual"] and modes["engine"] == modes["folder"]


ELSEWHERE = [
    FileNotFoundError(errno.ENOENT, "No such file or directory", "source.onnx"),
    PermissionError(errno.EACCES, "Permission denied", "source.onnx"),
    ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
]


@pytest.mark.parametrize("error", ELSEWHERE, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("write", [replacing, replacing_folder])
def test_an_error_about_something_else_stays_what_it_is(tmp_path, write, error):
    with pytest.raises(OSError) as caught, write(tmp_path / "x"):
        raise error
    assert caught.value is error
    assert names(tmp_path) == []


@pytest.mark.parametrize("write", [replacing, replacing_folder])
def test_an_error_that_names_what_is_written_is_explained(tmp_path, write):
    with pytest.raises(EdgeposeError, match=r"cannot write .*/x: Permission denied"), write(tmp_path / "x") as beside:
        raise PermissionError(errno.EACCES, "Permission denied", str(beside))


@pytest.mark.parametrize("write", [replacing, replacing_folder])
def test_content_is_on_the_disk_before_the_rename_and_the_name_after_it(tmp_path, monkeypatch, write):
    path, synced, fsync = tmp_path / "x", [], os.fsync

    def note(handle):
        fsync(handle)
        synced.append((os.fstat(handle).st_ino, path.exists()))

    monkeypatch.setattr(_files.os, "fsync", note)
    with write(path) as beside:
        file = beside if write is replacing else beside / "deep" / "a"
        file.parent.mkdir(exist_ok=True)
        file.write_text("content")
    file = path if write is replacing else path / "deep" / "a"
    assert (file.stat().st_ino, False) in synced
    assert synced[-1] == (tmp_path.stat().st_ino, True)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("existed", [True, False])
def test_an_error_leaves_the_file_as_it_was(tmp_path, error, existed):
    path = tmp_path / "x.bin"
    if existed:
        path.write_bytes(b"old")
    expected = EdgeposeError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected) as caught, replacing(path) as beside:
        beside.write_bytes(b"half")
        raise error
    assert names(tmp_path) == (["x.bin"] if existed else [])
    assert not existed or path.read_bytes() == b"old"
    if error is FULL:
        assert f"cannot write {path}: No space left on device; nothing was changed" in str(caught.value)


def test_a_disk_that_fills_while_writing(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})

    def half(self, data):
        with self.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise FULL

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(EdgeposeError, match="No space left"):
        write_json(path, {"a": list(range(100))})
    assert read_json(path, "test") == {"a": 1}
    assert names(tmp_path) == ["x.json"]


@pytest.mark.parametrize("step", ["mkstemp", "mkdtemp"])
def test_a_place_where_nothing_can_be_made(tmp_path, monkeypatch, step):
    def refuse(**options):
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(_leftovers.tempfile, step, refuse)
    write = replacing if step == "mkstemp" else replacing_folder
    with pytest.raises(EdgeposeError, match="Permission denied"), write(tmp_path / "x"):
        pytest.fail("the block must not run")


def test_a_parent_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("here")
    with pytest.raises(EdgeposeError, match="cannot write"):
        write_bytes(tmp_path / "file" / "x", b"")


def fill(folder: Path, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "a").write_text(text)


def test_a_folder_is_replaced_whole(tmp_path):
    path = tmp_path / "engine"
    for text in ("first", "second"):
        with replacing_folder(path) as beside:
            fill(beside, text)
            if text == "second":
                (beside / "more").write_text("")
        assert (path / "a").read_text() == text
        assert names(tmp_path) == ["engine"]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("existed", [True, False])
def test_an_error_leaves_the_folder_as_it_was(tmp_path, error, existed):
    path = tmp_path / "engine"
    if existed:
        fill(path, "old")
    expected = EdgeposeError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected), replacing_folder(path) as beside:
        fill(beside, "half")
        raise error
    assert names(tmp_path) == (["engine"] if existed else [])
    assert not existed or (path / "a").read_text() == "old"


@pytest.mark.parametrize("error", [FULL, KeyboardInterrupt()], ids=["full", "interrupted"])
def test_the_old_folder_comes_back_between_the_renames(tmp_path, monkeypatch, error):
    """Old moved away, then the second rename fails, or Ctrl-C comes before it."""
    path, rename, calls = tmp_path / "engine", Path.replace, []
    fill(path, "old")

    def second_fails(self, target):
        calls.append(target)
        if len(calls) == 2:
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", second_fails)
    with pytest.raises((EdgeposeError, KeyboardInterrupt)), replacing_folder(path) as beside:
        fill(beside, "new")
    assert len(calls) == 3
    assert (path / "a").read_text() == "old"
    assert names(tmp_path) == ["engine"]


def test_a_file_where_the_folder_should_be_stays(tmp_path):
    path = tmp_path / "engine"
    path.write_text("somebody's file")
    with pytest.raises(EdgeposeError, match="a file of that name is there"), replacing_folder(path) as beside:
        fill(beside, "new")
    assert path.read_text() == "somebody's file"
    assert names(tmp_path) == ["engine"]


def test_json(tmp_path):
    path = tmp_path / "x.json"
    value = {"a": [1, 2.5, None, "ü"]}
    write_json(path, value)
    assert path.read_text().endswith("\n")
    assert read_json(path, "scales") == value == json.loads(path.read_text())
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": float("nan")})
    assert read_json(path, "scales") == value


def test_json_that_cannot_be_read(tmp_path):
    path = tmp_path / "x.json"
    with pytest.raises(EdgeposeError, match=r"no scales file at .*x\.json"):
        read_json(path, "scales")
    with pytest.raises(EdgeposeError, match="cannot read scales file"):
        read_json(tmp_path, "scales")
    for content in (b"{", b"", b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(EdgeposeError, match=r"x\.json is not a scales file: it is no valid JSON"):
            read_json(path, "scales")


def test_existing_output_needs_a_word(tmp_path):
    (tmp_path / "old").write_text("")
    refuse_existing(tmp_path / "new", overwrite=False)
    refuse_existing(tmp_path / "old", overwrite=True)
    with pytest.raises(UsageError, match="pass --overwrite"):
        refuse_existing(tmp_path / "old", overwrite=False)
    with pytest.raises(UsageError, match="is a folder"):
        refuse_existing(tmp_path, overwrite=True)
