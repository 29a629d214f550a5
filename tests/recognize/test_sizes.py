"""`--shape` for networks that take images of any size, and the sizes that are taken without it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from pooled import pooled

from edgepose.api.request import BuildOptions, build_request, size_of
from edgepose.artifacts.manifest import read_manifest
from edgepose.errors import UsageError
from edgepose.export.foreign import import_network

Edgepose = Callable[..., Any]
SIMCC = {"simcc_x": (1, 17, 200), "simcc_y": (1, 17, 304)}  # of images of 152 x 100, which is no usual size


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    onnx.save(model, folder / "net.onnx")
    return folder / "net.onnx"


@pytest.mark.parametrize(
    ("text", "size"), [("256x192", (256, 192)), ("640X640", (640, 640)), (" 96,128 ", (96, 128)), ("1x4096", (1, 4096))]
)
def test_sizes_are_height_first(text: str, size: tuple[int, int]) -> None:
    assert size_of(text) == size and BuildOptions(shape=text).shape == size  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "256", "256x", "0x192", "256x5000", "-1x5", "axb", "256x192x3", "1e3x2", "²x1"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected HEIGHTxWIDTH in pixels from 1 to 4096"):
        size_of(text)


def test_a_build_takes_the_shape(edgepose: Edgepose, tmp_path: Path) -> None:
    path = saved(pooled((1, 3, "h", "w"), SIMCC, stated=dict.fromkeys(SIMCC)), tmp_path)
    common = ("--precision", "fp32", "--backend", "onnxruntime")
    done = edgepose("build", path, "--out", tmp_path / "out", "--shape", "152x100", *common)
    assert done.code == 0, done.err
    manifest = read_manifest(tmp_path / "out" / "onnxruntime-fp32")
    assert manifest.spec.input.size == (152, 100) and "--shape 152x100" in manifest.build_command
    assert "input.size" not in done.err
    done = edgepose("build", path, "--out", tmp_path / "other", *common)
    assert done.code == 1 and "pass --shape HEIGHTxWIDTH" in done.err


@pytest.mark.parametrize(
    "table", [None, {"family": "simcc", "name": "mine"}, {"family": "simcc", "input": {"color": "bgr"}}]
)
@pytest.mark.parametrize("last", [True, False])
def test_an_import_takes_the_shape(table: dict[str, Any] | None, last: bool, tmp_path: Path) -> None:
    image = (1, "h", "w", 3) if last else (1, 3, "h", "w")
    made = import_network(saved(pooled(image, SIMCC), tmp_path), table, size=(152, 100))
    assert made.spec.input.size == (152, 100) and made.recognized is not None
    assert not [guess for guess in made.recognized.guesses if guess.field == "input.size"]


@pytest.mark.parametrize(
    ("image", "table", "why"),
    [
        ((1, 3, 256, 192), None, "takes images of 256 x 192 pixels, so that --shape 152x100 cannot be"),
        ((1, "h", 192, 3), None, "takes images of any x 192 pixels"),
        ((1, 3, "h", "w"), {"family": "simcc", "input": {"size": [64, 48]}}, r"--shape is 152x100, and the spec has"),
    ],
)
def test_a_shape_that_contradicts(image: tuple[Any, ...], table: Any, why: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=why):
        import_network(saved(pooled(image, SIMCC), tmp_path), table, size=(152, 100))


def test_a_shape_for_something_with_one_size(edgepose: Edgepose, tmp_path: Path) -> None:
    done = edgepose("build", "lite", "--out", tmp_path / "out", "--shape", "152x100", "--precision", "fp32")
    assert done.code == 2 and "--shape is for an ONNX file" in done.err


def test_the_command_of_a_build_repeats_the_shape(tmp_path: Path) -> None:
    request = build_request("net.onnx", tmp_path, BuildOptions(shape=(152, 100)))
    assert "--shape 152x100" in request.command


@pytest.mark.parametrize("family", ["heatmaps", "simcc"])
def test_a_size_that_was_assumed_is_a_guess(family: str, tmp_path: Path) -> None:
    outputs = (
        {"heatmaps": (1, 17, 64, 48)} if family == "heatmaps" else {"simcc_x": (1, 17, 384), "simcc_y": (1, 17, 512)}
    )
    made = import_network(saved(pooled((1, 3, "h", "w"), outputs), tmp_path), None)
    assert made.recognized is not None and made.recognized.family == family
    (guess,) = [guess for guess in made.recognized.guesses if guess.field == "input.size"]
    assert guess.value == "[256, 192]" and "--shape" in guess.reason
