"""HDF5 files: what h5py writes is read; damage is always a DataError."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from edgepose.datasets.labelfiles import read_datasets
from edgepose.errors import DataError

h5py = pytest.importorskip("h5py")


def everything(path: Path) -> Path:
    """A dataset of every kind that is read, and some that are not."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file["plain"] = rng.random((7, 5))
        file["scalar"] = 3.5
        file["none"] = np.zeros((0, 3))
        file["text"] = np.array([b"ab", b"cde", b""])
        file["big_endian"] = rng.integers(-9, 9, 6).astype(">i4")
        file["half"] = rng.random(9).astype("f2")
        file.create_dataset("deflated", data=rng.integers(-9, 9, (1000, 3)).astype("i2"), compression="gzip")
        file.create_dataset(
            "all_filters", data=rng.random((33, 17, 2)).astype("f4"), chunks=(8, 5, 2),
            compression="gzip", shuffle=True, fletcher32=True,
        )  # fmt: skip
        file.create_dataset("not_written", shape=(4, 2), dtype="f8", chunks=(2, 2))
        file.create_dataset("half_written", shape=(4, 2), dtype="f8", chunks=(2, 2))[:2] = 7
        file.create_dataset("grown", data=rng.random((300, 2)), chunks=(1, 2), maxshape=(None, 2))
        file["variable_text"] = "left out"
        file.create_group("folder")["inside"] = 1
        for i in range(40):  # more names than one symbol table holds
            file[f"n{i}"] = np.arange(i + 1, dtype="u1")
    return path


def test_reads_what_h5py_writes(tmp_path):
    path = everything(tmp_path / "a.h5")
    got = read_datasets(path)
    with h5py.File(path) as file:
        assert set(file) - set(got) == {"variable_text", "folder"}
        for name, values in got.items():
            wanted = np.asarray(file[name][()])
            assert values.shape == wanted.shape
            if wanted.dtype.kind == "S":
                assert np.array_equal(values, wanted.astype(str))
            else:
                assert values.dtype == np.float64
                assert np.array_equal(values, wanted), name


def test_published_file_as_h5py_reads_it(data_root):
    path = data_root / "mpii" / "valid.h5"
    got = read_datasets(path)
    with h5py.File(path) as file:
        assert set(got) == set(file)
        assert np.array_equal(got["part"], file["part"][:])
        assert got["imgname"].tolist() == [name.decode() for name in file["imgname"][:]]


def test_damage_is_an_error_or_harmless(tmp_path):
    """Bytes changed or cut off anywhere, mostly where the structure is."""
    raw, rng, path = everything(tmp_path / "a.h5").read_bytes(), random.Random(0), tmp_path / "d.h5"
    refused = 0
    for trial in range(300):
        bad = bytearray(raw)
        if trial % 4 == 0:
            bad = bad[: rng.randrange(len(bad))]
        for _ in range(rng.choice([1, 3, 20]) if trial % 4 else 0):
            bad[rng.randrange(len(bad) if trial % 2 else 4000)] = rng.choice([0, 1, 255, rng.randrange(256)])
        path.write_bytes(bytes(bad))
        try:
            read_datasets(path)
        except DataError as error:
            assert "d.h5" in str(error)
            refused += 1
    assert refused > 100


def test_refusals_say_what_to_do(tmp_path):
    path = tmp_path / "x.h5"
    with pytest.raises(DataError, match="No such file"):
        read_datasets(path)
    path.write_bytes(b"nothing like it" * 20)
    with pytest.raises(DataError, match=r"not a readable \.h5 file"):
        read_datasets(path)


def test_files_of_newer_libraries(tmp_path):
    path = tmp_path / "new.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file["a"] = np.arange(3)
        file.create_dataset("b", data=np.arange(30), chunks=(5,), compression="lzf")
    got = read_datasets(path)
    assert got["a"].tolist() == [0, 1, 2]
    assert got["b"].tolist() == list(range(30))
