"""MATLAB files: what scipy reads and writes is the reference; damage is a DataError, whatever it hits."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest

from edgepose.datasets.matfile import read_array
from edgepose.errors import DataError

scipy_io = pytest.importorskip("scipy.io")


def saved(value, compress: bool) -> bytes:
    file = io.BytesIO()
    scipy_io.savemat(file, {"other": np.arange(5.0), "joints": value}, do_compression=compress)
    return file.getvalue()


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("dtype", ["f8", "f4", "i4", "u2", "u1", "i8"])
@pytest.mark.parametrize("shape", [(3, 14, 5), (1, 1), (2, 0, 3)])
def test_reads_what_scipy_writes(tmp_path, compress, dtype, shape):
    value = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    path = tmp_path / "a.mat"
    path.write_bytes(saved(value, compress))
    got = read_array(path, "joints")
    assert got.dtype == np.float64
    assert np.array_equal(got, value)


@pytest.mark.parametrize("name", ["lsp", "lspet"])
def test_published_files_as_scipy_reads_them(data_root, name):
    path = data_root / name / "joints.mat"
    assert np.array_equal(read_array(path, "joints"), scipy_io.loadmat(path)["joints"])


def test_big_endian(tmp_path):
    """A [1, 2] int16 array, written by hand as an old Sun would."""
    flags = b"\x00\x00\x00\x06\x00\x00\x00\x08" + b"\x00\x00\x00\x06" + bytes(4)
    dims = b"\x00\x00\x00\x05\x00\x00\x00\x08" + b"\x00\x00\x00\x01\x00\x00\x00\x02"
    name = b"\x00\x01\x00\x01" + b"j\x00\x00\x00"  # the small form
    values = b"\x00\x04\x00\x03" + b"\x00\x07\xff\xfe"
    content = flags + dims + name + values
    path = tmp_path / "old.mat"
    path.write_bytes(bytes(124) + b"\x01\x00MI" + b"\x00\x00\x00\x0e" + len(content).to_bytes(4, "big") + content)
    assert read_array(path, "j").tolist() == [[7, -2]]


@pytest.mark.parametrize("compress", [False, True])
def test_damage_is_a_data_error(tmp_path, compress):
    """Cut or scribbled over anywhere, it is read or refused; scipy's reader crashes on some of these."""
    raw, rng, path = (
        saved(np.random.default_rng(0).random((3, 14, 6)), compress),
        random.Random(0),
        tmp_path / "d.mat",
    )
    refused = 0
    for trial in range(400):
        bad = bytearray(raw)
        if trial % 2:
            bad = bad[: rng.randrange(len(bad))]
        else:
            for _ in range(3):
                bad[rng.randrange(124, len(bad))] = rng.randrange(256)
        path.write_bytes(bytes(bad))
        try:
            read_array(path, "joints")
        except DataError as error:
            assert "d.mat" in str(error)
            refused += 1
    assert refused > 200


def test_refusals_say_what_is_wrong(tmp_path):
    path = tmp_path / "x.mat"
    with pytest.raises(DataError, match="No such file"):
        read_array(path, "joints")
    path.write_bytes(b"MATLAB 7.3 MAT-file" + bytes(600))
    with pytest.raises(DataError, match="save it again with -v7"):
        read_array(path, "joints")
    path.write_bytes(b"nothing like it" * 20)
    with pytest.raises(DataError, match="header"):
        read_array(path, "joints")
    scipy_io.savemat(path, {"pose": np.ones(3), "joints": "text"})
    with pytest.raises(DataError, match="no numeric array named 'joints'"):
        read_array(path, "joints")
    scipy_io.savemat(path, {"joints": np.ones(3) * 1j})
    with pytest.raises(DataError, match="no numeric array"):
        read_array(path, "joints")
