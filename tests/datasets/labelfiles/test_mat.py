"""MATLAB files: their content, access to struct fields, and damage, which is always a DataError."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
from labelfiles import mat, struct_array

from edgepose.datasets.labelfiles import Struct, read_array, read_struct
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
    path.write_bytes(
        b"MATLAB 5.0".ljust(124) + b"\x01\x00MI" + b"\x00\x00\x00\x0e" + len(content).to_bytes(4, "big") + content
    )
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
    for trial in range(200):
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
    assert refused > 100


DEEP = {
    "people": struct_array([
        {"name": "a.jpg", "x": 3.0, "n": np.array([[1, 2, 3]], np.int16), "inner": struct_array([{"y": 1}, {"y": -7}])},
        {"name": "bé.jpg", "x": np.float32(0.1), "inner": {"y": 2.5}, "flag": True},
    ]),
}  # fmt: skip


@pytest.mark.parametrize("compress", [False, True])
def test_structs_inside_structs(tmp_path, compress):
    path = tmp_path / "a.mat"
    path.write_bytes(mat(DEEP, compress=compress))
    people = read_struct(path, "people")
    assert (len(people), set(people.fields)) == (2, {"name", "x", "n", "inner", "flag"})
    assert [people.text(i, "name") for i in range(2)] == ["a.jpg", "bé.jpg"]
    assert [people.number(i, "x") for i in range(2)] == [3, np.float32(0.1)]
    assert people.numbers(0, "n", (1, 3)).tolist() == [[1, 2, 3]]
    inner = people.structs(0, "inner")
    assert [inner.number(i, "y") for i in range(len(inner))] == [1, -7]
    assert people.structs(1, "inner").number(0, "y") == 2.5
    assert people.number(1, "flag") == 1
    assert people.name(1, "x") == f"{path}: people(2).x"


def test_what_is_empty_or_not_there_is_nothing(tmp_path):
    path = tmp_path / "a.mat"
    path.write_bytes(mat(DEEP))
    people = read_struct(path, "people")
    assert people.get(0, "flag") is None
    assert people.get(0, "other") is None
    assert np.isnan(people.number(0, "other"))
    assert len(people.structs(0, "other")) == 0


@pytest.mark.parametrize("code", ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
@pytest.mark.parametrize("value", [0, 1, 7, 100])
def test_single_numbers_of_every_kind(tmp_path, code, value):
    """One number in each of MATLAB's numeric types."""
    path = tmp_path / "a.mat"
    path.write_bytes(mat({"s": struct_array([{"v": np.array([[value]], code)}])}))
    assert read_struct(path, "s").number(0, "v") == value


def test_cells(tmp_path):
    path = tmp_path / "a.mat"
    cells = np.empty((1, 3), object)
    cells[0] = ["text", np.arange(3.0), struct_array([{"x": 5}])]
    path.write_bytes(mat({"s": struct_array([{"c": cells}])}))
    got = read_struct(path, "s").get(0, "c")
    assert got[0] == "text"
    assert got[1].tolist() == [[0, 1, 2]]
    assert got[2]["rows"][0]["x"].tolist() == [[5]]


def test_a_field_of_another_kind_is_named(tmp_path):
    path = tmp_path / "a.mat"
    path.write_bytes(mat(DEEP))
    people = read_struct(path, "people")
    for ask, says in (
        (lambda: people.number(0, "name"), r"people\(1\)\.name: expected one number"),
        (lambda: people.numbers(0, "n", (3, 1)), r"people\(1\)\.n: expected an array \[3, 1\], got \[1, 3\]"),
        (lambda: people.numbers(0, "name", (3, 1)), "got no numbers"),
        (lambda: people.text(1, "x"), r"people\(2\)\.x: expected text"),
        (lambda: people.structs(1, "x"), r"people\(2\)\.x: expected a struct"),
    ):
        with pytest.raises(DataError, match=rf"a\.mat: .*{says}"):
            ask()


def _walk(value):
    """Everything in a struct, to the last number."""
    if isinstance(value, Struct):
        return [_walk(value.get(i, field)) for i in range(len(value)) for field in value.fields]
    if isinstance(value, list):
        return [_walk(part) for part in value]
    return value if value is None or isinstance(value, (str, dict)) else value.tolist()


def test_damage_inside_structs_is_an_error_or_harmless(tmp_path):
    raw, rng, path = mat(DEEP, compress=False), random.Random(2), tmp_path / "d.mat"
    refused = 0
    for _ in range(150):
        bad = bytearray(raw)
        for _ in range(rng.choice([1, 3])):
            bad[rng.randrange(124, len(bad))] = rng.choice([0, 1, 2, 14, 255, rng.randrange(256)])
        path.write_bytes(bytes(bad))
        try:
            _walk(read_struct(path, "people"))
        except DataError as error:
            assert "d.mat" in str(error)
            refused += 1
    assert refused > 40


def test_refusals_say_what_is_wrong(tmp_path):
    path = tmp_path / "x.mat"
    with pytest.raises(DataError, match="No such file"):
        read_array(path, "joints")
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(600))
    with pytest.raises(DataError, match="save it again with -v7"):
        read_array(path, "joints")
    path.write_bytes(b"nothing like it" * 20)
    with pytest.raises(DataError, match=r"not a readable \.mat file"):
        read_array(path, "joints")
    scipy_io.savemat(path, {"pose": np.ones(3), "joints": "text"})
    with pytest.raises(DataError, match="no numeric array named 'joints'"):
        read_array(path, "joints")
    scipy_io.savemat(path, {"joints": np.ones(3) * 1j})
    with pytest.raises(DataError, match="no numeric array"):
        read_array(path, "joints")
