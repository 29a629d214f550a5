"""Boxes: files in every accepted form, YOLOX decoding against a slow twin and on photographs."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edgepose.backends.session import OpenOptions
from edgepose.errors import DataError, EdgeposeError, ModelError, UsageError
from edgepose.media.images import read_image
from edgepose.pose.geometry import apply_affine
from edgepose.runtime import detect
from edgepose.runtime.detect import (
    STRIDES,
    BoxesFile,
    Yolox,
    iou,
    letterbox,
    nms,
    open_boxes,
    open_detector,
    whole_frame,
    yolox_boxes,
    yolox_grid,
)

IMAGE = np.zeros((120, 160, 3), np.uint8)


def test_whole_frame_reaches_every_edge():
    boxes, scores = whole_frame(IMAGE, "any")
    assert boxes.tolist() == [[-0.5, -0.5, 159.5, 119.5]]
    assert boxes.dtype == scores.dtype == np.float32


def write(path, value):
    path.write_text(json.dumps(value))
    return path


def test_boxes_file_by_name_number_and_score(tmp_path):
    entries = [
        {"image_id": 7, "category_id": 1, "bbox": [1, 2, 10, 20], "score": 0.5},
        {"image_id": 7, "category_id": 1, "bbox": [3, 4, 10, 20], "score": 0.9},
        {"image_id": 7, "category_id": 3, "bbox": [3, 4, 10, 20], "score": 0.9},  # no person
        {"file_name": "street/a1.jpg", "bbox": [5, 6, 1, 1]},
        {"image_id": 0, "frame": "clip-000012", "bbox": [7, 8, 1, 1], "score": 0.3},
    ]
    boxes = BoxesFile(write(tmp_path / "b.json", entries))
    found, scores = boxes(IMAGE, "000000000007.jpg")
    assert found.tolist() == [[3, 4, 13, 24], [1, 2, 11, 22]]
    assert scores.tolist() == pytest.approx([0.9, 0.5])
    assert boxes(IMAGE, "clip-000007")[0].tolist() == found.tolist()
    assert boxes(IMAGE, "a1.jpg")[0].tolist() == [[5, 6, 6, 7]]
    assert boxes(IMAGE, "clip-000012")[0].tolist() == [[7, 8, 8, 9]]
    assert boxes(IMAGE, "clip-000013")[0].shape == (0, 4)
    assert boxes(IMAGE, "nameless")[1].shape == (0,)


def test_a_dot_in_a_frame_name_is_no_suffix(tmp_path):
    entries = [{"frame": f"walk.720p-00000{i}", "bbox": [i, 0, 1, 1]} for i in (1, 2)]
    boxes = BoxesFile(write(tmp_path / "b.json", entries))
    for i in (1, 2):
        assert boxes(IMAGE, f"walk.720p-00000{i}")[0].tolist() == [[i, 0, i + 1, 1]]
    assert boxes(IMAGE, "walk.720p-000003")[0].shape == (0, 4)
    numbered = BoxesFile(write(tmp_path / "n.json", [{"image_id": 2, "bbox": [2, 0, 1, 1]}]))
    assert len(numbered(IMAGE, "walk.720p-000002")[0]) == 1


def test_an_image_of_a_data_set_is_known_by_its_own_number(tmp_path):
    """Its number is what the labels call it, whatever digits its name ends in; a name in the file comes first."""
    numbered = BoxesFile(write(tmp_path / "n.json", [{"image_id": 12, "bbox": [2, 0, 1, 1], "score": 0.5}]))
    assert len(numbered.of("frame-7.jpg", 12)[0]) == 1
    assert len(numbered.of("frame-12.jpg", 7)[0]) == 0
    named = BoxesFile(write(tmp_path / "s.json", [{"file_name": "a/frame-7.jpg", "bbox": [2, 0, 1, 1]}]))
    assert len(named.of("frame-7.jpg", 12)[0]) == 1
    named.check_used()


def test_coco_labels_are_boxes(tmp_path):
    value = {
        "images": [{"id": 3, "file_name": "x.jpg"}],
        "annotations": [
            {"image_id": 3, "category_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": 0},
            {"image_id": 3, "category_id": 1, "bbox": [0, 0, 99, 99], "iscrowd": 1},
        ],
    }
    assert BoxesFile(write(tmp_path / "b.json", value))(IMAGE, "x.jpg")[0].tolist() == [[1, 2, 4, 6]]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"image_id": 1}, r"entry 1: bbox = None.*expected \[x, y, width, height\]"),
        ({"image_id": 1, "bbox": [1, 2, 3]}, "entry 1: bbox"),
        ({"image_id": 1, "bbox": [1, 2, "3", 4]}, "entry 1: bbox"),
        ({"image_id": 1, "bbox": [1, 2, 0, 4]}, "entry 1: .* is empty"),
        ({"image_id": 1, "bbox": [1, 2, 3, 4], "score": None}, "entry 1: .*score = None"),
        ({"image_id": 1, "bbox": [1, float("nan"), 3, 4]}, "entry 1: bbox"),
        ({"bbox": [1, 2, 3, 4]}, "entry 1: names no frame"),
        ("box", "entry 1: expected a table"),
    ],
)
def test_malformed_entries_are_named(tmp_path, entry, message):
    good = {"image_id": 1, "bbox": [1, 2, 3, 4]}
    with pytest.raises(DataError, match=message):
        BoxesFile(write(tmp_path / "b.json", [good, entry]))


def test_boxes_file_that_is_none(tmp_path):
    with pytest.raises(DataError, match="no boxes file at"):
        BoxesFile(tmp_path / "missing.json")
    with pytest.raises(DataError, match="expected a list of boxes"):
        BoxesFile(write(tmp_path / "b.json", {"boxes": []}))
    for content in ({"annotations": [1]}, {"annotations": [], "images": [2]}, {"annotations": [], "images": 3}):
        with pytest.raises(DataError, match="is no list of tables"):
            BoxesFile(write(tmp_path / "b.json", content))


def test_boxes_for_other_frames_are_an_error(tmp_path):
    path = write(tmp_path / "b.json", [{"file_name": "a.jpg", "bbox": [1, 2, 3, 4]}])
    with pytest.raises(DataError, match="none of its 1 boxes"), open_boxes(str(path), OpenOptions()) as boxes:
        boxes(IMAGE, "b.jpg")
    with open_boxes(str(path), OpenOptions()) as boxes:
        boxes(IMAGE, "a.jpg")


def test_open_boxes_by_its_word(tmp_path):
    with open_boxes("whole", OpenOptions()) as boxes:
        assert boxes is whole_frame
    with pytest.raises(UsageError, match="expected whole"), open_boxes("yolo.pt", OpenOptions()):
        pass
    with pytest.raises(EdgeposeError, match="cannot read"), open_boxes("missing.onnx", OpenOptions()):
        pass


def test_no_room_to_compile_a_detector_is_said_on_one_line(monkeypatch):
    def full(*given):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(detect, "_input_size", lambda path: (416, 416))
    monkeypatch.setattr(detect, "choose", lambda name: name)
    monkeypatch.setattr(detect, "load", lambda name: SimpleNamespace(build=full))
    with (
        pytest.raises(EdgeposeError, match=r"cannot compile the detector x\.onnx .*No space left on device; free"),
        open_detector(Path("x.onnx"), OpenOptions()),
    ):
        pytest.fail("the block must not run")


def test_nms_is_its_slow_twin():
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 60, (80, 2))
    boxes = np.concatenate([low, low + rng.uniform(5, 40, (80, 2))], axis=1)
    scores = rng.random(80)
    kept = []
    for i in np.argsort(-scores):
        if all(iou(boxes[i], boxes[j : j + 1])[0] <= 0.45 for j in kept):
            kept.append(i)
    assert nms(boxes, scores, 0.45).tolist() == kept
    assert 5 < len(kept) < 80
    assert nms(np.zeros((0, 4)), np.zeros(0), 0.45).shape == (0,)


def test_iou():
    boxes = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [5, 5, 6, 6], [4, 4, 4, 4]], float)
    assert iou(np.array([0, 0, 2, 2.0]), boxes).tolist() == pytest.approx([1, 1 / 7, 0, 0])


def test_letterbox_keeps_the_picture_and_its_map():
    image = np.random.default_rng(0).integers(0, 100, (120, 161, 3), dtype=np.uint8)
    canvas, to_image = letterbox(image, (416, 416))
    assert canvas.shape == (1, 3, 416, 416)
    assert canvas.dtype == np.float32
    assert (canvas[0, :, 310:] == 114).all()  # 120 * 416/161 = 310.06
    assert (canvas[0, :, :310] < 101).all()
    assert np.allclose(apply_affine(to_image, np.array([[-0.5, -0.5], [415.5, 309.5]])), [[-0.5] * 2, [160.5, 119.5]])


def test_yolox_decodes_a_box_put_into_its_output(session):
    grid = yolox_grid((416, 416))
    assert len(grid) == 3549
    assert sorted(set(grid[:, 2])) == list(STRIDES)
    row = int(np.flatnonzero((grid == [20, 5, 16]).all(axis=1))[0])
    assert row == 52 * 52 + 5 * 26 + 20
    output = np.zeros((1, 3549, 85), np.float32)
    output[0, row, :6] = [0.25, 0.5, np.log(4), np.log(6), 0.9, 0.8]
    output[0, row + 1, :6] = [-0.75, 0.5, np.log(4), np.log(6), 0.9, 0.7]  # the same box, less sure
    output[0, 0, :7] = [0, 0, 3, 3, 1, 0, 1]  # a bicycle
    assert np.allclose(
        yolox_boxes(output[0, row : row + 1, :4], grid[row : row + 1]),
        [[324 - 32 - 0.5, 88 - 48 - 0.5, 324 + 32 - 0.5, 88 + 48 - 0.5]],
    )

    class Detector:
        inputs, outputs = ("images",), ("output",)

        def run(self, feed):
            return {"output": output}

    boxes, scores = Yolox(Detector())(np.zeros((832, 832, 3), np.uint8), "frame")  # twice the canvas
    assert np.allclose(boxes, [[583.5, 79.5, 711.5, 271.5]])
    assert scores.tolist() == pytest.approx([0.72])
    output = output[:, :100]
    with pytest.raises(ModelError, match=r"gives \[1, 100, 85\]"):
        Yolox(Detector())(IMAGE, "frame")


@pytest.fixture(scope="module")
def yolox(data_root):
    path = data_root.parent / "models" / "yolox_nano.onnx"
    if not path.is_file():
        pytest.skip(f"no detector at {path}")
    pytest.importorskip("openvino")
    with open_detector(path, OpenOptions(threads=1)) as detector:
        yield detector


@pytest.mark.parametrize("name", ["000000397133", "000000181303", "000000549055", "000000552775"])
def test_yolox_finds_people_on_photographs(yolox, data_root, name):
    root = data_root / "coco-mini"
    labels = json.loads((root / "annotations" / "person_keypoints_val2017.json").read_text())
    path = root / "val2017" / f"{name}.jpg"
    if not path.is_file():
        pytest.skip(f"no {path.name} in this copy of coco-mini")
    boxes, scores = yolox(read_image(path), path.name)
    people = [entry for entry in labels["annotations"] if entry["image_id"] == int(name) and entry["area"] > 9000]
    assert people
    for x, y, width, height in (entry["bbox"] for entry in people):
        assert iou(np.array([x, y, x + width, y + height]), boxes).max() > 0.5
    assert (np.diff(scores) <= 0).all()


def test_yolox_finds_nobody_in_noise(yolox):
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    boxes, scores = yolox(noise, "noise")
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)
