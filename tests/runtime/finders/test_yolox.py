"""YOLOX decoding against a slow twin and on photographs."""

from __future__ import annotations

import errno
import json
from types import SimpleNamespace

import numpy as np
import pytest

from edgepose.backends.session import OpenOptions
from edgepose.errors import EdgeposeError, ModelError
from edgepose.kernels.cropping import cut
from edgepose.media.images import read_image
from edgepose.pose.geometry import apply_affine
from edgepose.runtime.finders import yolox as module
from edgepose.runtime.finders.yolox import (
    STRIDES,
    Yolox,
    canvas_box,
    contract_of,
    iou,
    nms,
    open_finder,
    yolox_boxes,
    yolox_grid,
)

IMAGE = np.zeros((120, 160, 3), np.uint8)


def test_no_room_to_compile_a_detector_is_said_on_one_line(monkeypatch):
    def full(*given):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_input_size", lambda path: (416, 416))
    monkeypatch.setattr(module, "choose", lambda name: name)
    monkeypatch.setattr(module, "about", lambda name: SimpleNamespace(options=lambda: None))
    monkeypatch.setattr(module, "load", lambda name: SimpleNamespace(build=full))
    with (
        pytest.raises(EdgeposeError, match=r"cannot compile the detector x\.onnx .*No space left on device; free"),
        open_finder("x.onnx", OpenOptions()),
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


def test_the_canvas_shows_the_frame_in_its_top_left():
    image = np.random.default_rng(0).integers(0, 100, (120, 161, 3), dtype=np.uint8)
    canvas, to_image = cut(image, canvas_box((120, 161), (416, 416)), contract_of((416, 416)))
    assert canvas.shape == (1, 3, 416, 416)
    assert canvas.dtype == np.float32
    inner = 120 * 416 / 161  # 310.06 rows; at the edge, pixels are blended with the gray
    assert (canvas[0, :, 312:] == 114).all()
    assert (canvas[0, :, 2:308, 2:-2] < 101).all()
    corners = apply_affine(to_image[0], np.array([[-0.5, -0.5], [415.5, inner - 0.5]]))
    assert np.allclose(corners, [[-0.5] * 2, [160.5, 119.5]])
    bgr = cut(np.full((8, 8, 3), (1, 2, 3), np.uint8), canvas_box((8, 8), (32, 32)), contract_of((32, 32)))[0]
    assert bgr[0, :, 16, 16].tolist() == [1, 2, 3]


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
def detector(data_root):
    path = data_root.parent / "models" / "yolox_nano.onnx"
    if not path.is_file():
        pytest.skip(f"no detector at {path}")
    pytest.importorskip("openvino")
    with open_finder(str(path), OpenOptions(threads=1)) as opened:
        yield opened


@pytest.mark.parametrize("name", ["000000397133", "000000181303", "000000549055", "000000552775"])
def test_yolox_finds_people_on_photographs(detector, data_root, name):
    root = data_root / "coco-mini"
    labels = json.loads((root / "annotations" / "person_keypoints_val2017.json").read_text())
    path = root / "val2017" / f"{name}.jpg"
    if not path.is_file():
        pytest.skip(f"no {path.name} in this copy of coco-mini")
    boxes, scores = detector(read_image(path), path.name)
    people = [entry for entry in labels["annotations"] if entry["image_id"] == int(name) and entry["area"] > 9000]
    assert people
    for x, y, width, height in (entry["bbox"] for entry in people):
        assert iou(np.array([x, y, x + width, y + height]), boxes).max() > 0.5
    assert (np.diff(scores) <= 0).all()


def test_yolox_finds_nobody_in_noise(detector):
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    boxes, scores = detector(noise, "noise")
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)
