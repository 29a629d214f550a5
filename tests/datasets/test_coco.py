"""COCO keypoints: what each annotation becomes, images without people, splits, and damaged files."""

from __future__ import annotations

import copy
import json

import cv2
import numpy as np
import pytest

from edgepose.datasets.coco import coco_splits, load_coco
from edgepose.errors import DataError, UsageError
from edgepose.pose.skeletons import SKELETONS

JOINTS = list(SKELETONS["coco17"].joints)


def annotation(number, **changes):
    keypoints = [0, 0, 0] * 17
    keypoints[:9] = [30, 40, 2, 32, 38, 1, 0, 0, 0]
    made = {
        "id": number, "image_id": 7, "category_id": 1, "iscrowd": 0, "num_keypoints": 2, "area": 812.5,
        "bbox": [10.5, 20, 30, 25.25], "keypoints": keypoints,
    }  # fmt: skip
    return made | changes


def labels():
    crowd = annotation(3, iscrowd=1, num_keypoints=0, keypoints=[0] * 51, segmentation={"counts": [], "size": []})
    return {
        "categories": [{"id": 1, "name": "person", "keypoints": JOINTS}],
        "images": [{"id": 7, "file_name": "7.png", "height": 60, "width": 80},
                   {"id": 9, "file_name": "9.png", "height": 60, "width": 80}],
        "annotations": [annotation(1), annotation(2, num_keypoints=0, keypoints=[0] * 51), crowd],
    }  # fmt: skip


def write(root, content, split="val2017"):
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    (root / split).mkdir(exist_ok=True)
    (root / "annotations" / f"person_keypoints_{split}.json").write_text(json.dumps(content))
    cv2.imwrite(str(root / split / "7.png"), np.full((60, 80, 3), 7, np.uint8))
    return root


def test_one_sample_per_annotation(tmp_path):
    data = load_coco(write(tmp_path, labels()), "val2017")
    assert len(data) == 3
    assert data.image_ids == (7, 9)  # nobody is in 9, and it is still there
    person, nobody, crowd = data
    assert (person.image_id, person.name, person.area) == (7, "7.png", 812.5)
    assert person.xy_image[:3].tolist() == [[30, 40], [32, 38], [0, 0]]
    assert np.flatnonzero(person.labeled).tolist() == [0, 1]
    assert np.flatnonzero(person.occluded).tolist() == [1]
    assert person.box_xyxy.tolist() == [10.5, 20, 40.5, 45.25]
    assert (person.read() == 7).all()
    assert [sample.ignore for sample in data] == [False, True, True]
    assert [sample.crowd for sample in data] == [False, False, True]
    assert not nobody.labeled.any()
    assert not crowd.labeled.any()


def test_splits(tmp_path):
    write(tmp_path, labels())
    assert load_coco(tmp_path).name == f"coco:{tmp_path}:val2017"
    write(tmp_path, labels(), "train2017")
    assert coco_splits(tmp_path) == ["train2017", "val2017"]
    with pytest.raises(UsageError, match="has the splits train2017, val2017"):
        load_coco(tmp_path)
    with pytest.raises(UsageError, match="'val2014'; did you mean 'val2017'"):
        load_coco(tmp_path, "val2014")
    with pytest.raises(DataError, match="not a COCO folder"):
        load_coco(tmp_path / "val2017")


PERSON = {
    "keypoints: a joint short": ({"keypoints": [0] * 48}, "expected 51 numbers"),
    "keypoints: text": ({"keypoints": ["1"] * 51}, "joint 1 of 17, nose, has visibility '1'"),
    "keypoints: missing": ({"keypoints": None}, "expected 51 numbers"),
    "keypoints: NaN": ({"keypoints": [float("nan")] * 51}, "joint 1 of 17, nose, has visibility nan"),
    "a coordinate: NaN": ({"keypoints": [*[0] * 48, 5, float("nan"), 0]}, "joint 17 of 17, right_ankle, has y = nan"),
    "visibility": ({"keypoints": [1, 1, 3] * 17}, r"has visibility 3; expected 0 \(not labeled\), 1 .* or 2"),
    "box": ({"bbox": [1, 2, 3]}, "expected 4 numbers"),
    "box: infinite": ({"bbox": [1, 2, 3, float("inf")]}, "expected 4 numbers"),
    "area": ({"area": [3]}, "expected a number"),
    "crowd": ({"iscrowd": None}, "expected a whole number"),
    "joints counted": ({"num_keypoints": 2.5}, "expected a whole number"),
    "image": ({"image_id": 8}, "there is no image 8"),
}


@pytest.mark.parametrize(("changes", "says"), PERSON.values(), ids=PERSON.keys())
def test_a_bad_annotation_is_named(tmp_path, changes, says):
    content = labels()
    content["annotations"][1] = annotation(22, **changes)
    with pytest.raises(DataError, match=rf"person_keypoints_val2017\.json: annotation 22: .*{says}"):
        load_coco(write(tmp_path, content))


def test_a_bad_file_is_named(tmp_path):
    for key, value, says in (
        ("images", None, "no list of 'images'"),
        ("annotations", [1], "no list of 'annotations'"),
        ("images", [{"id": 7, "file_name": 3, "height": 1, "width": 1}], "file_name is 3"),
        ("images", [{"id": 7, "file_name": "7.png", "height": 1}], "width is None"),
        ("images", [{"file_name": "7.png"}], "id is None"),
        ("categories", [{"keypoints": ["nose"]}], "not COCO's 17"),
        ("categories", [{"keypoints": JOINTS[::-1]}], "not COCO's 17"),
    ):
        content = copy.deepcopy(labels()) | {key: value}
        with pytest.raises(DataError, match=f"person_keypoints_val2017.*{says}"):
            load_coco(write(tmp_path, content))
    for text in ("[]", "{", ""):
        (tmp_path / "annotations" / "person_keypoints_val2017.json").write_text(text)
        with pytest.raises(DataError, match="person_keypoints_val2017"):
            load_coco(tmp_path)


def test_an_image_of_another_size_is_refused(tmp_path):
    data = load_coco(write(tmp_path, labels()))
    cv2.imwrite(str(tmp_path / "val2017" / "7.png"), np.zeros((30, 40, 3), np.uint8))
    with pytest.raises(DataError, match="is 40x30, its labels are for 80x60"):
        data[0].read()
    (tmp_path / "val2017" / "7.png").unlink()
    with pytest.raises(DataError, match=r"7\.png: No such file"):
        data[0].read()


@pytest.mark.parametrize(("split", "people", "images"), [("train2017", 86, 34), ("val2017", 68, 38)])
def test_photographs(data_root, split, people, images):
    data = load_coco(data_root / "coco-mini", split)
    counted = [sample for sample in data if not sample.ignore]
    assert len(counted) == people  # as the data's README says
    assert len(data.image_ids) == images
    assert set(data.image_ids) - {sample.image_id for sample in data}  # some hold nobody
    for sample in counted:
        x0, y0, x1, y1 = sample.box_xyxy
        near = 0.5 * max(x1 - x0, y1 - y0)
        xy = sample.xy_image[sample.labeled]
        assert (xy >= [x0 - near, y0 - near]).all()
        assert (xy <= [x1 + near, y1 + near]).all()
        assert sample.read().ndim == 3


def test_as_pycocotools_reads_it(data_root):
    """The reference reader sees the same people, joints, areas and crowds."""
    pycocotools = pytest.importorskip("pycocotools.coco")
    reference = pycocotools.COCO(str(data_root / "coco-mini" / "annotations" / "person_keypoints_val2017.json"))
    data = load_coco(data_root / "coco-mini", "val2017")
    entries = reference.loadAnns(reference.getAnnIds())
    by_key = {(entry["image_id"], *entry["bbox"]): entry for entry in entries}
    assert len(data) == len(by_key) == len(entries)
    for sample in data:
        x0, y0, x1, y1 = sample.box_xyxy.tolist()
        box = np.array([sample.image_id, x0, y0, x1 - x0, y1 - y0])
        key = min(by_key, key=lambda known, box=box: np.abs(np.array(known) - box).sum())  # float32 rounds
        entry = by_key.pop(key)
        joints = np.array(entry["keypoints"]).reshape(17, 3)
        assert np.array_equal(sample.labeled, joints[:, 2] > 0)
        assert np.array_equal(sample.occluded, joints[:, 2] == 1)
        assert np.array_equal(sample.xy_image[sample.labeled], joints[joints[:, 2] > 0, :2])
        assert (sample.area, sample.crowd) == (entry["area"], bool(entry["iscrowd"]))
