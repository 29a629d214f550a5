"""The child process that reads label files: it survives requests, is replaced after a crash, and stays silent."""

from __future__ import annotations

import os
import signal
import sys

import numpy as np
import pytest
from labelfiles import mat

from edgepose.datasets.labelfiles import read_array
from edgepose.datasets.labelfiles.process import READER
from edgepose.errors import DataError, MissingPackage

pytest.importorskip("scipy")


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "joints.mat"
    made.write_bytes(mat({"joints": np.arange(6.0).reshape(2, 3)}))
    return made


def test_one_child_answers_all_requests(path):
    read_array(path, "joints")
    first = READER.running().pid
    read_array(path, "joints")
    assert READER.running().pid == first


def test_a_crash_is_a_data_error_and_the_next_file_is_read(path, monkeypatch):
    child = READER.running()
    os.kill(child.pid, signal.SIGSTOP)  # it will not answer before it dies
    real = READER._ask

    def crash(request):
        os.kill(child.pid, signal.SIGSEGV)
        os.kill(child.pid, signal.SIGCONT)
        return real(request)

    monkeypatch.setattr(READER, "running", lambda: child)
    monkeypatch.setattr(READER, "_ask", crash)
    with pytest.raises(DataError, match=r"joints\.mat is not a readable \.mat file: the reader crashed"):
        read_array(path, "joints")
    monkeypatch.undo()
    assert read_array(path, "joints").tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_reader_that_is_stuck_is_ended(path, monkeypatch):
    child = READER.running()
    os.kill(child.pid, signal.SIGSTOP)
    monkeypatch.setattr(READER, "timeout_s", 0.2)
    with pytest.raises(DataError, match="stuck"):
        read_array(path, "joints")
    monkeypatch.undo()
    assert read_array(path, "joints").shape == (2, 3)


def test_a_forked_process_has_a_child_of_its_own(path):
    read_array(path, "joints")
    mine = READER.running().pid
    reading, writing = os.pipe()
    if not os.fork():
        read_array(path, "joints")
        os.write(writing, str(READER.running().pid).encode())
        os._exit(0)
    os.wait()
    assert int(os.read(reading, 100)) != mine
    assert read_array(path, "joints").shape == (2, 3)


def test_without_scipy_the_extra_is_named(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(MissingPackage, match=r"pip install 'edgepose\[data\]'"):
        read_array(path, "joints")
