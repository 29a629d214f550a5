"""Pose networks of Ultralytics: from their metadata, and from shapes where it is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from published import returning

from edgepose.artifacts.spec import read_toml, set_metadata
from edgepose.artifacts.toml import spec_to_toml
from edgepose.codecs.codec import People
from edgepose.errors import SpecError
from edgepose.export.batch import run_graph
from edgepose.export.foreign import Imported, import_network
from edgepose.recognize import candidate_of, recognize

SIZE = (128, 96)
ANCHORS = sum((SIZE[0] // stride) * (SIZE[1] // stride) for stride in (8, 16, 32))
JOINTS = 17
METADATA = {
    "description": "Ultralytics YOLO11n-pose model trained on coco-pose.yaml",
    "task": "pose",
    "kpt_shape": "[17, 3]",
    "imgsz": "[128, 96]",
    "names": "{0: 'person'}",
    "stride": "32",
}


def person(joints: int = JOINTS, dims: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """A box (x0, y0, x1, y1) and joints [K, dims], counted from the edge of the canvas."""
    random = np.random.default_rng(2)
    xy = random.uniform(20, 70, (joints, 2))
    return np.array([10.0, 20.0, 70.0, 100.0]), np.c_[xy, random.uniform(0.3, 0.9, joints)][:, :dims]


def raw(joints: int = JOINTS, dims: int = 3, classes: int = 1, at: int = 40) -> np.ndarray:
    """[4 + classes + K * dims, A]: one person, found twice, and nobody elsewhere."""
    box, found = person(joints, dims)
    made = np.zeros((4 + classes + joints * dims, ANCHORS), np.float32)
    center, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    for place, score in ((at, 0.9), (at + 1, 0.8)):
        made[:, place] = [*center, *size, *([0.1] * (classes - 1)), score, *found.ravel()]
    return made


def network(values: np.ndarray, metadata: dict[str, str] | None = None, **form: Any) -> onnx.ModelProto:
    """A network of this output, with the metadata of an export."""
    model = returning({"output0": values}, **{"size": SIZE, "name": "images", **form})
    for key, value in (METADATA if metadata is None else metadata).items():
        set_metadata(model, key, value)
    return model


def imported(model: onnx.ModelProto, folder: Path, table: dict[str, Any] | None = None) -> Imported:
    onnx.save(model, folder / "net.onnx")
    return import_network(folder / "net.onnx", table)


def people_of(made: Imported) -> People:
    """The people that an imported network finds in an empty canvas, in its pixels."""
    dtype = np.float16 if made.spec.input.dtype == "float16" else np.float32
    outputs = run_graph(made.model, made.spec, np.zeros((1, *made.spec.input.shape), dtype))
    found = made.spec.codec.decode(outputs, None, np.eye(2, 3)[None], made.spec)
    assert isinstance(found, People)
    return found


def check_person(made: Imported, joints: int = JOINTS, dims: int = 3, people: int = 1) -> None:
    box, xys = person(joints, dims)
    found = people_of(made)
    assert len(found.box_scores) == people and np.allclose(found.box_scores[0], 0.9)
    assert np.allclose(found.boxes_xyxy[0], box - 0.5, atol=1e-3)
    assert np.allclose(found.xy_image[0], xys[:, :2] - 0.5, atol=1e-3)
    assert np.allclose(found.scores[0], xys[:, 2] if dims == 3 else 0.9, atol=1e-5)


def test_raw_output(tmp_path: Path) -> None:
    made = imported(network(raw()), tmp_path)
    assert made.recognized is not None
    assert (made.recognized.family, made.recognized.source) == ("ultralytics-pose", "metadata")
    assert made.recognized.guesses == () and made.spec.skeleton.name == "coco17"
    image, crop = made.spec.input, made.spec.crop
    assert (image.color, image.mean, image.std, image.scale) == ("rgb", (0, 0, 0), (1, 1, 1), 1 / 255)
    assert (crop.place, crop.resize, crop.border_value, crop.padding) == ("center", "round", 114, 1.0)
    assert made.spec.codec.parameters()["iou_threshold"] == 0.7
    check_person(made)  # found once


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("joints", [17, 5])
def test_other_numbers_of_joints_and_classes(dims: int, classes: int, joints: int, tmp_path: Path) -> None:
    names = str({i: f"kind{i}" for i in range(classes)})
    metadata = {**METADATA, "kpt_shape": f"[{joints}, {dims}]", "names": names, "description": ""}
    made = imported(network(raw(joints, dims, classes), metadata), tmp_path)
    check_person(made, joints, dims)
    fields = ["skeleton", *(["codec.iou_threshold"] if classes > 1 else [])]
    assert made.recognized is not None and [guess.field for guess in made.recognized.guesses] == fields


def test_one_being_of_two_classes_is_one_pose(tmp_path: Path) -> None:
    """Ultralytics suppresses within each class; a pose has no class here, so the two would be the same pose twice."""
    values = raw(classes=2)
    best = int(np.argmax(values[4:6].max(axis=0)))
    other = (best + 1) % values.shape[1]
    values[:, other] = values[:, best]
    values[4:6, best], values[4:6, other] = (0.9, 0.0), (0.0, 0.8)
    made = imported(network(values, {**METADATA, "names": "{0: 'dog', 1: 'cat'}"}), tmp_path)
    check_person(made)
    assert made.recognized is not None
    (guess,) = [guess for guess in made.recognized.guesses if guess.field == "codec.iou_threshold"]
    assert "the 2 classes are suppressed together" in guess.line()


@pytest.mark.parametrize("rows", [300, 100])
def test_people_that_are_suppressed_inside(rows: int, tmp_path: Path) -> None:
    box, found = person()
    values = np.zeros((rows, 6 + 3 * JOINTS), np.float32)
    values[0] = [*box, 0.9, 0, *found.ravel()]
    values[1] = [*box, 0.8, 0, *found.ravel()]
    made = imported(network(values), tmp_path)
    assert "iou_threshold" not in made.spec.codec.parameters()
    check_person(made, people=2)  # what the network kept stays


@pytest.mark.parametrize("stated", [["batch", 56, "anchors"], None])
def test_a_free_size_is_that_of_the_metadata(stated: list[Any] | None, tmp_path: Path) -> None:
    shapes = {"output0": stated}
    made = imported(network(raw(), size=("height", "width"), shapes=shapes), tmp_path)
    assert made.spec.input.size == SIZE
    check_person(made)


@pytest.mark.parametrize("said", ["-128", "[0, 0]", "[1000000, 1000000]", "{[]: 1}", "True", ""])
def test_an_impossible_size_in_the_metadata_is_replaced_by_a_guess(said: str, tmp_path: Path) -> None:
    free = network(np.ones((56, 8400), np.float32), {**METADATA, "imgsz": said}, size=("height", "width"))
    made = imported(free, tmp_path)
    assert made.recognized is not None and made.spec.input.size == (640, 640)
    assert "input.size" in {guess.field for guess in made.recognized.guesses}
    fixed = imported(network(raw(), {**METADATA, "imgsz": said}), tmp_path)
    assert fixed.recognized is not None and fixed.spec.input.size == SIZE
    assert "input.size" not in {guess.field for guess in fixed.recognized.guesses}


def test_a_network_of_half_floats(tmp_path: Path) -> None:
    made = imported(network(raw(), dtype=TensorProto.FLOAT16), tmp_path)
    check_person(made)


def test_names_of_joints_come_from_the_metadata(tmp_path: Path) -> None:
    names = ["nose", "Left Ear", "right-ear", "left_paw", "tail"]
    metadata = {**METADATA, "kpt_shape": "[5, 3]", "kpt_names": str({0: names})}
    made = imported(network(raw(5), metadata), tmp_path)
    assert made.spec.skeleton.joints == ("nose", "left_ear", "right_ear", "left_paw", "tail")
    assert made.spec.skeleton.flips == (("left_ear", "right_ear"),)
    assert made.recognized is not None and made.recognized.guesses == ()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"kpt_shape": "[17, 4]"}, r"kpt_shape = '\[17, 4\]'; expected"),
        ({"kpt_shape": "os.system('true')"}, "expected .K, 2. or"),
        ({"kpt_shape": "{[]: 17}"}, "expected .K, 2. or"),
        ({"kpt_shape": "[True, 3]"}, "expected .K, 2. or"),
        ({"kpt_shape": "[13, 3]"}, r"its output is \[1, 44, A\] or \[1, 300, 45\], but it is \[1, 56, 252\]"),
        ({"names": "{0: 'a', 1: 'b'}"}, r"2 classes and 17 joints .* \[1, 57, A\]"),
    ],
)
def test_metadata_that_contradicts_the_graph(change: dict[str, str], why: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=why):
        imported(network(raw(), {**METADATA, **change}), tmp_path)


def test_without_metadata(tmp_path: Path) -> None:
    made = imported(network(raw(), {}), tmp_path)
    assert made.recognized is not None
    assert (made.recognized.family, made.recognized.source) == ("ultralytics-pose-shapes", "shapes")
    fields = {"input.color", "input.mean", "input.std", "input.scale", "crop.resize", "skeleton"}
    assert {guess.field for guess in made.recognized.guesses} == fields
    check_person(made)


def test_the_form_of_deepstream(tmp_path: Path) -> None:
    """Cells first, and corners in the place of centers and sizes."""
    box, found = person()
    values = np.zeros((ANCHORS, 5 + 3 * JOINTS), np.float32)
    values[7] = [*box, 0.9, *found.ravel()]
    made = imported(network(values, {}, name="input"), tmp_path)
    check_person(made)


def test_classes_are_no_joints() -> None:
    """A YOLOX detector of 51 classes has as many columns as DeepStream's export of 17 joints."""
    found = recognize(candidate_of(network(np.full((ANCHORS, 5 + 3 * JOINTS), 0.5, np.float32), {})))
    assert found is None or found.family != "ultralytics-pose-shapes"


def test_cells_of_another_network_are_not_taken(tmp_path: Path) -> None:
    """YOLOv5-pose and YOLOv7-pose give an objectness, too."""
    values = np.full((ANCHORS, 6 + 3 * JOINTS), 40, np.float32)
    with pytest.raises(SpecError, match="it is not ultralytics-pose-shapes because each cell has 57 numbers"):
        imported(network(values, {}), tmp_path)


def test_the_metadata_of_another_task_is_left_to_others() -> None:
    found = recognize(candidate_of(network(raw(), {**METADATA, "task": "segment"})))
    assert found is None


def test_the_spec_that_inspect_writes_gives_the_same_network(tmp_path: Path) -> None:
    first = imported(network(raw()), tmp_path)
    assert first.recognized is not None
    (tmp_path / "net.toml").write_text(spec_to_toml(first.spec, family=first.recognized.family))
    again = import_network(tmp_path / "net.onnx", read_toml(tmp_path / "net.toml"))
    assert again.spec == first.spec and again.spec.sha256() == first.spec.sha256()
    check_person(again)


def test_yolo11n_pose_as_published(published_model: Callable[[str], Path], tmp_path: Path) -> None:
    path = published_model("yolo11n-pose-640")
    made = import_network(path, None)
    assert made.recognized is not None and made.recognized.guesses == ()
    assert made.spec.input.size == (640, 640) and made.spec.skeleton.name == "coco17"
    lost = onnx.load(path)
    del lost.metadata_props[:]
    without = imported(lost, tmp_path)
    image = np.random.default_rng(0).uniform(0, 1, (1, 3, 640, 640)).astype(np.float32)
    (rows,), (others,) = (run_graph(one.model, one.spec, image) for one in (made, without))
    assert rows.shape == (1, 8400, 56) and np.array_equal(rows, others)
    assert json.dumps(without.spec.codec.parameters()) == json.dumps(made.spec.codec.parameters())


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ("{0: ['nose', 'neck']}", "it names 2 joints and has 17"),
        ("{0: ['nose'] * 17}", "which are no lists of names"),
        (str({0: ["nose"] * 17}), "only 1 differ"),
        ("{0: 'nose'}", "which are no lists of names"),
        ("nose, neck", "which are no lists of names"),
        ("", "which are no lists of names"),
    ],
)
def test_names_of_joints_that_cannot_be_used_are_said(names: str, why: str, tmp_path: Path) -> None:
    made = imported(network(raw(), {**METADATA, "kpt_names": names}), tmp_path)
    assert made.recognized is not None and made.spec.skeleton.name == "coco17"
    (guess,) = made.recognized.guesses
    assert guess.field == "skeleton" and why in guess.reason


@pytest.mark.parametrize("names", ["{0: person}", "3", "{}", None])
def test_classes_that_cannot_be_read_are_said_where_nothing_fits(names: str | None, tmp_path: Path) -> None:
    metadata = {key: value for key, value in {**METADATA, "names": names}.items() if value is not None}
    assert imported(network(raw(), metadata), tmp_path).spec.skeleton.name == "coco17"
    with pytest.raises(SpecError, match=r"says 1 classes \(assumed, as its `names` are missing or cannot be read\)"):
        imported(network(raw(classes=3), metadata), tmp_path)
