"""What killed processes leave is removed, what living ones use is not, and one build at a time has a folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgepose._files import replacing, replacing_folder, write_bytes
from edgepose._leftovers import locked, only_one, remove_leftovers
from edgepose.errors import EdgeposeError

WRITES = """
import sys
from pathlib import Path
from edgepose._files import replacing, replacing_folder
with replacing(Path(sys.argv[1]) / "fp16.onnx") as file, replacing_folder(Path(sys.argv[1]) / "engine") as folder:
    file.write_text("half")
    (folder / "payload").write_text("half")
    print("writing", flush=True)
    sys.stdin.read()
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def writer(tmp_path):
    """A process in the middle of writing fp16.onnx and engine/ into `tmp_path`."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", WRITES, str(tmp_path)], **pipes) as process:
        assert process.stdout is not None and process.stdout.readline() == b"writing\n"
        yield process
        process.kill()


def test_leftovers_of_a_killed_process_go_with_the_next_output(tmp_path, writer):
    users = [".fp16-notes.onnx", ".fp16-edgepose-mine.onnx", ".hidden"]
    for name in users:
        (tmp_path / name).write_text("precious")
    assert len(names(tmp_path)) == 5
    write_bytes(tmp_path / "other.json", b"")
    assert len(names(tmp_path)) == 6  # the process lives
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    write_bytes(tmp_path / "other.json", b"")
    assert names(tmp_path) == sorted([*users, "other.json"])


def test_a_living_process_finishes_what_it_writes(tmp_path, writer):
    remove_leftovers(tmp_path)
    writer.communicate()
    assert writer.returncode == 0
    assert names(tmp_path) == ["engine", "fp16.onnx"]


def test_own_unfinished_files_are_no_leftovers(tmp_path):
    with replacing(tmp_path / "a.json") as first, replacing_folder(tmp_path / "b") as second:
        remove_leftovers(tmp_path)
        assert first.exists() and second.exists()


def test_a_folder_that_gave_way_comes_back(tmp_path):
    """Its process was killed between the two renames."""
    old = tmp_path / ".openvino-fp32-edgepose-abcd1234-old"
    old.mkdir()
    (old / "manifest.json").write_text("{}")
    remove_leftovers(tmp_path)
    assert names(tmp_path / "openvino-fp32") == ["manifest.json"]
    old.mkdir()
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["openvino-fp32"]


def test_one_at_a_time(tmp_path):
    out = tmp_path / "deep" / "out"
    with only_one(out, "build"):
        busy = pytest.raises(EdgeposeError, match=r"another build is writing into .*out; wait until it has ended")
        with busy, only_one(out, "build"):
            pytest.fail("the block must not run")
        assert out.is_dir()
    assert not (tmp_path / "deep").exists()  # what stayed empty is removed
    out.mkdir(parents=True)
    with only_one(out, "build"):
        (out / "x").write_text("")
    with only_one(out, "build"):
        assert names(out) == ["x"]
    (tmp_path / "file").write_text("")
    with pytest.raises(EdgeposeError, match=r"cannot write .*file"), only_one(tmp_path / "file", "build"):
        pytest.fail("the block must not run")


def test_locks_end_with_their_handles(tmp_path):
    handle = locked(tmp_path)
    assert handle is not None and locked(tmp_path) is None
    os.close(handle)
    again = locked(tmp_path)
    assert again is not None
    os.close(again)
    assert locked(tmp_path / "missing") is None
