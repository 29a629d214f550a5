"""Boxes files in every accepted form, and malformed ones."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgepose.backends.session import OpenOptions
from edgepose.errors import DataError
from edgepose.runtime.finders import open_finder
from edgepose.runtime.finders.boxes_file import BoxesFile

IMAGE = np.zeros((120, 160, 3), np.uint8)


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
    numbered.number_frames({"frame-7.jpg": 12, "frame-12.jpg": 7})
    assert len(numbered(IMAGE, "frame-7.jpg")[0]) == 1
    assert len(numbered(IMAGE, "frame-12.jpg")[0]) == 0
    named = BoxesFile(write(tmp_path / "s.json", [{"file_name": "a/frame-7.jpg", "bbox": [2, 0, 1, 1]}]))
    named.number_frames({"frame-7.jpg": 12})
    assert len(named(IMAGE, "frame-7.jpg")[0]) == 1
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
    with pytest.raises(DataError, match="none of its 1 boxes"), open_finder(str(path), OpenOptions()) as boxes:
        boxes(IMAGE, "b.jpg", None)
    with open_finder(str(path), OpenOptions()) as boxes:
        boxes(IMAGE, "a.jpg")
