"""Looking through a data set: what is counted, what is missing, broken or odd, and when a run is refused."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
from labelfiles import coco_labels, mpii_h5, write_json
from made_people import person

from edgepose.datasets.check import check_labels, examine
from edgepose.datasets.mpii import load_mpii
from edgepose.datasets.own import load_own
from edgepose.datasets.samples import Picture, SampleList, counted
from edgepose.errors import DataError
from edgepose.pose.skeletons import SKELETONS

LSP = SKELETONS["lsp14"]


def people(*samples, empty=()):
    ids = tuple(dict.fromkeys([*(sample.image_id for sample in samples), *(picture.image_id for picture in empty)]))
    return SampleList(name="people", skeleton=LSP, samples=samples, image_ids=ids, empty=empty)


def test_what_is_counted():
    hidden = np.arange(14) == 1
    good = person([[20, 20], [81, 20], [10, 62]], box=(10, 10, 80, 50), occluded=hidden, head_px=9.0)
    nobody = person([], ignore=True)
    crowd = person([], ignore=True, crowd=True, image_id=5, name="5.jpg", size=(30, 90))
    empty = Picture(image_id=9, name="9.jpg", read=lambda: np.zeros((90, 90, 3), np.uint8))
    found = examine(people(good, nobody, crowd, empty=(empty,)))
    assert (found.people, found.ignored, found.crowds, found.heads) == (3, 2, 1, 1)
    assert (found.images, found.empty) == (3, 1)
    assert (found.joints, found.occluded, found.outside) == (3, 1, 2)
    assert found.labeled.tolist() == [1, 1, 1, *[0] * 11]
    assert found.hidden.tolist() == [0, 1, *[0] * 12]
    assert found.height_px == 40
    assert found.sizes == ((30, 90), (90, 90))
    assert (found.missing, found.broken, found.swapped) == ((), (), ())
    assert [(odd.index, odd.reason) for odd in found.odd] == [(0, "2 joints outside the image, by up to 2.5 px")]
    assert counted(people(nobody, good)) == [1]


def test_each_image_is_read_once():
    reads = []

    def read():
        reads.append(1)
        return np.zeros((60, 80, 3), np.uint8)

    examine(people(person([[20, 20]], read=read), person([[30, 20]], read=read)))
    assert len(reads) == 1
    examine(people(person([[20, 20]], read=read)), read=False)
    assert len(reads) == 1


def gone():
    raise DataError("cannot read image 4.jpg: No such file")


def test_missing_images_and_broken_labels_are_gathered():
    lost, far = person([[20, 20]], read=gone, name="lost.jpg"), person([[500, 20]], name="far.jpg")
    found = examine(people(lost, far, person([[20, 20]])))
    assert found.missing == ("cannot read image 4.jpg: No such file",)
    assert len(found.broken) == 1
    assert "far.jpg" in found.broken[0]
    assert found.joints == 3


def test_a_run_about_to_start_is_refused():
    bad = person([[500, 20]], name="bad.jpg")
    with pytest.raises(DataError, match=r"people: 2 images or people are bad: bad\.jpg .*; bad\.jpg"):
        check_labels(people(bad, person([[20, 20]]), bad))
    assert check_labels(people(person([[20, 20]]))).people == 1


ODD = {
    "three at one place": (person([[20, 20]] * 3 + [[30, 30]]), r"3 joints at one place, \(20, 20\)"),
    "an empty box": (person([[20, 20]], box=(20, 20, 20, 30)), "the box is empty"),
    "a box elsewhere": (person([[70, 55], [75, 58], [12, 12]], box=(10, 10, 20, 20)), "2 of 3 joints are outside"),
}


@pytest.mark.parametrize(("sample", "says"), ODD.values(), ids=ODD.keys())
def test_what_looks_wrong(sample, says):
    (odd,) = examine(people(person([[20, 20], [20, 20], [30, 30]]), sample)).odd
    assert odd.index == 1
    assert odd.where == "4.jpg"
    assert re.search(says, odd.reason)


def test_json(tmp_path):
    labels = write_json(tmp_path / "labels.json", coco_labels(17) | {"categories": [
        {"id": 1, "keypoints": list(SKELETONS["coco17"].joints)}]})  # fmt: skip
    for name in ("7.png", "9.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((60, 80, 3), np.uint8))
    value = examine(load_own(labels)).to_json()
    assert (value["images"], value["empty_images"], value["people"], value["crowds"]) == (2, 1, 3, 1)
    assert value["sizes"] == [[60, 80], [60, 80]]
    assert sum(value["labeled"].values()) == value["joints"]


def test_labels_without_photographs(tmp_path):
    """As MPII is often passed on: everything but the edges is known."""
    mpii_h5(tmp_path / "valid.h5")
    found = examine(load_mpii(tmp_path))
    assert len(found.missing) == found.images == 4
    assert found.sizes is None
    assert found.heads == 4
    assert found.joints == 4 * 16 - 2


def test_published_labels(data_root):
    """LSP's quarter pixel beyond an edge, kept as published; MPII's four joints at one place."""
    from edgepose.datasets.lsp import load_lsp

    whole = load_lsp(data_root / "lsp", "train")
    report = check_labels(people(*(whole[i] for i in range(600, 660))))
    assert report.joints == 60 * 14
    assert report.outside == 1
    found = examine(load_mpii(data_root / "mpii"), read=False)
    assert (2763, "4 joints at one place, (280, 93)") in [(odd.index, odd.reason) for odd in found.odd]
    assert found.swapped == ()
