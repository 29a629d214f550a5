"""Weights in other files: taken along, or refused with one line that names the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from foreign_graphs import plain
from onnx import TensorProto, numpy_helper

from edgepose.errors import ModelError
from edgepose.graph.external import has_external_data
from edgepose.graph.lookup import load_onnx

Split = Callable[..., Path]


@pytest.fixture
def split(tmp_path: Path) -> Split:
    """Write the plain network with its weights in other files, in turn, each behind 64 other bytes."""

    def write(*locations: str) -> Path:
        model, contents = plain(), dict.fromkeys(locations, b"")
        for index, tensor in enumerate(model.graph.initializer):
            location, data = locations[index % len(locations)], numpy_helper.to_array(tensor).tobytes()
            contents[location] += bytes(64)
            entries = {"location": location, "offset": str(len(contents[location])), "length": str(len(data))}
            contents[location] += data
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            for key, text in entries.items():
                tensor.external_data.add(key=key, value=text)
        for location, content in contents.items():
            if not location.startswith(("/", "..")):
                (tmp_path / location).parent.mkdir(exist_ok=True)
                (tmp_path / location).write_bytes(content)
        (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
        return tmp_path / "net.onnx"

    return write


@pytest.mark.parametrize("locations", [("net.data",), ("a.bin", "b.bin"), ("weights/net.data",), ("gewichte ü.bin",)])
def test_weights_are_taken_along(locations: tuple[str, ...], split: Split) -> None:
    path = split(*locations)
    assert has_external_data(path)
    model = load_onnx(path)
    for location in locations:
        (path.parent / location).unlink()
    expected = {tensor.name: numpy_helper.to_array(tensor) for tensor in plain().graph.initializer}
    for tensor in onnx.load_from_string(model.SerializeToString()).graph.initializer:
        np.testing.assert_array_equal(numpy_helper.to_array(tensor), expected[tensor.name])


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load_onnx(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("location", ["../net.data", "/net.data", "a/../../net.data", "..\\net.data", "C:\\net.data"])
def test_paths_that_leave_the_folder_are_refused(location: str, split: Split) -> None:
    path = split("net.data")
    model = onnx.load(path, load_external_data=False)
    model.graph.initializer[0].external_data[0].value = location
    path.write_bytes(model.SerializeToString())
    assert "outside the folder of the ONNX file; such paths are refused" in refusal(path)


def test_a_link_that_leaves_the_folder_is_refused(split: Split, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = split("net.data")
    outside = tmp_path_factory.mktemp("outside") / "net.data"
    (path.parent / "net.data").rename(outside)
    (path.parent / "net.data").symlink_to(outside)
    assert "is a link that leaves the folder" in refusal(path)


def test_missing_and_short_files(split: Split) -> None:
    path = split("net.data")
    data = path.parent / "net.data"
    data.write_bytes(data.read_bytes()[:-3])
    assert "the weights file 'net.data' is too short" in refusal(path)
    data.unlink()
    assert "the weights file 'net.data' is missing (it holds 'stem.w')" in refusal(path)


@pytest.mark.parametrize("text", ["7", "1" * 30])
def test_an_entry_of_another_length(text: str, split: Split) -> None:
    path = split("net.data")
    model = onnx.load(path, load_external_data=False)
    model.graph.initializer[0].external_data[2].value = text
    path.write_bytes(model.SerializeToString())
    assert f"its entry for 'net.data' says {text}" in refusal(path)


def test_over_two_gigabytes(split: Split, tmp_path: Path) -> None:
    path = split("net.data")
    model = onnx.load(path, load_external_data=False)
    tensor = model.graph.initializer[0]
    tensor.dims[0] = 2**27
    tensor.external_data[2].value = str(2**27 * 27 * 4)
    path.write_bytes(model.SerializeToString())
    with (tmp_path / "net.data").open("r+b") as file:
        file.truncate(2**27 * 27 * 4 + 10**6)  # a sparse file, which takes no space
    assert "holds 13.5 GiB; models over 2 GB are not supported" in refusal(path)
    with path.open("r+b") as file:
        file.truncate(2**31 + 1)
    assert "holds 2.0 GiB; models over 2 GB are not supported" in refusal(path)
