"""Networks in other forms than floats with channels first, one size and stated outputs: all families take them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from pooled import pooled
from published import returning

from edgepose.artifacts.spec import ModelSpec
from edgepose.errors import SpecError
from edgepose.export.foreign import Imported, import_network
from edgepose.recognize import candidate_of, recognize

ort = pytest.importorskip("onnxruntime")

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
PERSON = ((256, 192), (1, 17, 64, 48))
DTYPES = ("uint8", "int32", "float32", "float16", "float64")
# family -> size, outputs
FAMILIES: dict[str, tuple[tuple[int, int], dict[str, tuple[int, ...]]]] = {
    "heatmaps": ((256, 192), {"heatmaps": (1, 17, 64, 48)}),
    "simcc": ((256, 192), {"simcc_x": (1, 17, 384), "simcc_y": (1, 17, 512)}),
    "ultralytics-pose-shapes": ((256, 192), {"output0": (1, 56, 1008)}),
}


def imported(model: onnx.ModelProto, folder: Path, table: dict[str, Any] | None = None) -> Imported:
    onnx.save(model, folder / "net.onnx")
    return import_network(folder / "net.onnx", table)


def run(model: onnx.ModelProto, image: np.ndarray) -> list[np.ndarray]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: list[np.ndarray] = session.run(None, {session.get_inputs()[0].name: image})
    return found


def normalized(spec: ModelSpec, pixels: np.ndarray) -> np.ndarray:
    """The input of the contract for RGB pixels [1, H, W, 3]."""
    image = spec.input
    channels = pixels if image.color == "rgb" else pixels[..., ::-1]
    made = (channels * image.scale - np.array(image.mean)) / np.array(image.std)
    return made.transpose(0, 3, 1, 2).astype(image.dtype)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_input_is_taken(family: str, last: bool, dtype: str, tmp_path: Path) -> None:
    size, outputs = FAMILIES[family]
    image = (1, *size, 3) if last else (1, 3, *size)
    made = imported(pooled(image, outputs, dtype=dtype), tmp_path)
    assert made.recognized is not None and made.recognized.family == family
    spec = made.spec
    assert (spec.input.size, spec.input.layout) == (size, "nchw")
    said = {guess.field for guess in made.recognized.guesses}
    if dtype in ("uint8", "int32"):
        assert (spec.input.mean, spec.input.std, spec.input.scale) == ((0, 0, 0), (1, 1, 1), 1)
        assert not said & {"input.mean", "input.std", "input.scale"} and "input.color" in said
    else:
        assert "input.mean" in said


@pytest.mark.parametrize("last", [True, False])
def test_preprocessing_inside_moves_into_the_contract(last: bool, tmp_path: Path) -> None:
    """The file and the import find the same in one image."""
    size, shape = PERSON
    image = (1, *size, 3) if last else (1, 3, *size)
    file = pooled(image, {"heatmaps": shape}, dtype="uint8", scaled=(MEAN, STD))
    made = imported(file, tmp_path)
    assert np.allclose(made.spec.input.mean, MEAN) and np.allclose(made.spec.input.std, STD)
    pixels = np.random.default_rng(1).integers(0, 256, (1, *size, 3)).astype(np.uint8)
    given = pixels if last else pixels.transpose(0, 3, 1, 2)
    (expected,), (found,) = run(file, np.ascontiguousarray(given)), run(made.model, normalized(made.spec, pixels))
    assert np.abs(expected).max() > 0.01 and np.allclose(found, expected, atol=1e-4)
    assert not {"Sub", "Div", "Transpose"} & {node.op_type for node in made.model.graph.node}


def test_maps_with_channels_last(tmp_path: Path) -> None:
    size, _ = PERSON
    file = pooled((1, *size, 3), {"heatmaps": (1, 64, 48, 17)})
    made = imported(file, tmp_path)
    image = np.random.default_rng(1).normal(size=(1, *size, 3)).astype(np.float32)
    expected, found = run(file, image)[0], run(made.model, np.ascontiguousarray(image.transpose(0, 3, 1, 2)))[0]
    assert np.abs(expected).max() > 0.01 and np.allclose(found, expected.transpose(0, 3, 1, 2), atol=1e-5)


# name -> image, outputs, its kind of input and the family
UNSTATED: dict[str, tuple[tuple[Any, ...], dict[str, tuple[int, ...]], str, str]] = {
    "MoveNet": ((1, 192, 192, 3), {"output_0": (1, 1, 17, 3)}, "int32", "movenet"),
    "MoveNet of any size": ((1, "h", "w", 3), {"output_0": (1, 1, 17, 3)}, "int32", "movenet"),
    "MultiPose": ((1, 256, 256, 3), {"output_0": (1, 6, 56)}, "int32", "movenet-multipose"),
    "BlazePose": ((1, 256, 256, 3), {"a": (1, 195), "b": (1, 1), "c": (1, 117)}, "float32", "blazepose"),
    "BlazePose of any size": ((1, "h", "w", 3), {"a": (1, 195)}, "float32", "blazepose"),
    "BlazePose of integers": ((1, 256, 256, 3), {"a": (1, 195)}, "uint8", "blazepose"),
    "SSD": ((1, 3, 300, 300), {"det": (1, 1, 100, 7)}, "float32", "ssd"),
    "SSD of any size": ((1, 3, "h", "w"), {"det": (1, 1, 100, 7)}, "float32", "ssd"),
    "heatmaps": ((1, 3, 256, 192), {"heatmaps": (1, 17, 64, 48)}, "float32", "heatmaps"),
}


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("name", UNSTATED)
def test_outputs_that_the_file_does_not_state(name: str, named: bool, tmp_path: Path) -> None:
    image, outputs, dtype, family = UNSTATED[name]
    stated = {
        output: [f"{output}_{axis}" for axis in range(len(shape))] if named else None
        for output, shape in outputs.items()
    }
    made = imported(pooled(image, outputs, dtype=dtype, stated=stated), tmp_path)
    assert made.recognized is not None and made.recognized.family == family
    sizes = [guess for guess in made.recognized.guesses if guess.field == "input.size"]
    assert len(sizes) == ("h" in image) and all("--shape" in guess.reason for guess in sizes)


def test_nanodet_that_states_nothing(tmp_path: Path) -> None:
    """The last 32 columns are no scores, so the stub has its Sigmoid in front of the first 80 only."""
    rows = np.zeros((1, 3598, 112), np.float32)
    rows[..., 80:] = 3
    model = returning({"output": rows[0]}, size=(416, 416), shapes={"output": None})
    made = imported(model, tmp_path)
    assert made.recognized is not None and made.recognized.family == "nanodet"


@pytest.mark.parametrize("last", [True, False])
def test_an_image_whose_shape_is_not_stated(last: bool, tmp_path: Path) -> None:
    """The first layer tells where the channels are."""
    image = (1, 256, 192, 3) if last else (1, 3, 256, 192)
    model = pooled(image, {"simcc_x": (1, 17, 384), "simcc_y": (1, 17, 512)})
    model.graph.input[0].type.tensor_type.ClearField("shape")
    made = imported(model, tmp_path)
    assert made.recognized is not None and made.recognized.family == "simcc" and made.spec.input.size == (256, 192)


def test_a_network_in_the_usual_form_is_left_as_it_is() -> None:
    model = pooled((1, 3, 256, 192), {"heatmaps": (1, 17, 64, 48)}, stated={"heatmaps": None})
    found = recognize(candidate_of(model))
    assert found is not None and found.model is model


@pytest.mark.parametrize(
    ("image", "outputs", "dtype", "absent", "said"),
    [
        ((1, 192, 256, 3), {"output_0": (1, 1, 17, 3)}, "int32", "heatmaps", "not movenet because"),
        ((1, 3, 640, 640), {"output": (1, 8400, 85)}, "float32", "ultralytics-pose-shapes because", "not yolox"),
        ((1, 3, 640, 640), {"output": (1, 25200, 85)}, "float32", "ultralytics-pose-shapes because", "YOLOv5 kind"),
        ((1, 3, 800, 800), {"keypoints": (1, 100, 17, 3), "s": (1, 100)}, "float32", "heatmaps because", "resembles"),
    ],
)  # fmt: skip
def test_the_families_that_are_named_are_near(
    image: tuple[int, ...], outputs: dict[str, tuple[int, ...]], dtype: str, absent: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match=said) as caught:
        imported(pooled(image, outputs, dtype=dtype), tmp_path)
    assert f"not {absent}" not in str(caught.value)
