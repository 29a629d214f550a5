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


def test_category_0_and_5_are_the_people_of_category_1(cases, tmp_path):
    """A file's only category is that of its people, and in labels it is the one with joints."""
    first = BoxesFile(cases / "boxes" / "category_1.json")
    same = (cases / "boxes" / "category_0.json", cases / "labels" / "category_5.json", cases / "labels" / "bom.json")
    for path in same:
        boxes = BoxesFile(path)
        for finder in (first, boxes):
            finder.number_frames({"fig0.jpg": 1, "fig1.jpg": 2})
        for name in ("fig0.jpg", "fig1.jpg"):
            assert np.allclose(boxes(IMAGE, name)[0], first(IMAGE, name)[0], atol=0.01)


def test_a_whole_number_as_frame_is_the_place_in_the_source(cases):
    path = cases / "boxes" / "frame_as_integer.json"
    video, folder = BoxesFile(path), BoxesFile(path)
    found = [len(video(IMAGE, f"clip-{i:06d}")[0]) for i in range(7)]
    assert found == [1, 0, 0, 0, 0, 1, 0]
    found = [len(folder(IMAGE, f"walk-{i + 1:06d}.jpg")[0]) for i in range(7)]  # images are counted as they come
    assert found == [1, 0, 0, 0, 0, 1, 0]
    late = BoxesFile(path)  # a live source may lose frames
    assert [len(late(IMAGE, f"clip-{i:06d}")[0]) for i in (3, 5)] == [0, 1]


def entries(*more, **fields):
    made = {"image_id": 1, "category_id": 1, "bbox": [5, 6, 20, 30], "score": 0.5} | fields
    return [made, *more]


@pytest.mark.parametrize(
    "fields",
    [
        {"image_id": "1"}, {"image_id": 1.0}, {"image_id": "a-1.jpg"}, {"image_id": None, "file_name": "x\\a-1.jpg"},
        {"category_id": "person"}, {"category_id": 1.0}, {"category_id": 3}, {"score": 50}, {"category_id": None},
    ],
    ids=str,
)  # fmt: skip
def test_other_ways_to_write_the_same_box(tmp_path, fields):
    boxes, scores = BoxesFile(write(tmp_path / "b.json", entries(**fields)))(IMAGE, "a-1.jpg")
    assert boxes.tolist() == [[5, 6, 25, 36]]
    assert scores.tolist() == [0.5]


def test_a_box_twice_counts_once(tmp_path):
    twice = entries({"image_id": 1, "category_id": 1, "bbox": [5, 6, 20, 30], "score": 0.7})
    boxes, scores = BoxesFile(write(tmp_path / "b.json", twice))(IMAGE, "a-1.jpg")
    assert boxes.tolist() == [[5, 6, 25, 36]]
    assert scores.tolist() == pytest.approx([0.7])


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (
            entries({"image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4]}, category_id=0),
            "categories 0, 2, .* category 1",
        ),
        (entries({"image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4]}, category_id=3), "not clear which are people"),
        (entries(bbox=[0.1, 0.2, 0.3, 0.4]), "all 1 boxes lie within 1 px .* Multiply"),
        (entries(score=-1), "score = -1; expected a number from 0 to 1"),
        (entries(score=101), "score = 101"),
        (entries(image_id=1.5), "image_id is 1.5"),
        (
            {"annotations": entries(), "categories": [{"id": 2, "name": "person"}]},
            "all 1 boxes are of category 1, not 2; correct category_id",
        ),
    ],
)
def test_boxes_without_a_right_reading_are_refused(tmp_path, value, says):
    with pytest.raises(DataError, match=says):
        BoxesFile(write(tmp_path / "b.json", value))


def test_corners_in_place_of_width_and_height(tmp_path):
    corners = [{"file_name": f"{i}.jpg", "bbox": [60, 50, 150, 110 + i]} for i in range(4)]
    boxes = BoxesFile(write(tmp_path / "b.json", corners))
    for i in range(4):
        boxes(IMAGE, f"{i}.jpg")
    with pytest.raises(DataError, match=r"4 of 4 boxes reach up to 50 px beyond .* as x0 y0 x1 y1; bbox must be"):
        boxes.check_used()
    clipped = BoxesFile(write(tmp_path / "c.json", [{"file_name": "0.jpg", "bbox": [60, 50, 105, 75]}]))
    clipped(IMAGE, "0.jpg")  # a detector's box may reach a little beyond the image
    clipped.check_used()


def test_what_boxes_say_after_a_run(tmp_path):
    value = [{"image_id": i, "bbox": [i, 2, 30, 40], "score": 0.5} for i in range(3)]
    boxes = BoxesFile(write(tmp_path / "b.json", value))
    boxes(IMAGE, "fig1.jpg")
    assert boxes.notes() == [
        f"{tmp_path}/b.json: 2 of 3 boxes belong to no frame of the source, those of 0, 2; image_id was compared with "
        "the digits at the end of frame names, and file_name is surer"
    ]
    for name in ("fig0.jpg", "fig2.jpg"):
        boxes(np.zeros((720, 1280, 3), np.uint8), name)
    assert boxes.notes() == []  # the first image is small
    large = BoxesFile(write(tmp_path / "b.json", value))
    for name in ("fig0.jpg", "fig1.jpg", "fig2.jpg"):
        large(np.zeros((720, 1280, 3), np.uint8), name)
    assert len(large.notes()) == 1
    assert "in images of 1280x720 and larger: percent?" in large.notes()[0]


def test_corners_that_reach_only_a_little_beyond_the_image(cases):
    boxes = BoxesFile(cases / "labels" / "bbox_xyxy.json")
    for i in range(2):
        boxes(np.zeros((320, 256, 3), np.uint8), f"fig{i}.jpg")
    assert len(boxes.notes()) == 1
    assert "all 2 boxes fit into their image as x0 y0 x1 y1, and 1 of them reach beyond it" in boxes.notes()[0]
    right = BoxesFile(cases / "labels" / "base.json")
    for i in range(2):
        right(np.zeros((320, 256, 3), np.uint8), f"fig{i}.jpg")
    assert right.notes() == []
