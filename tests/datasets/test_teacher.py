"""A teacher's joints: the file, the rule for each joint, and which people they belong to."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepose.datasets.own import load_own
from edgepose.datasets.samples import Sample, SampleList
from edgepose.datasets.synthetic import SyntheticPeople
from edgepose.datasets.teacher import BlendOptions, blend, read_teacher, taught
from edgepose.errors import DataError
from edgepose.pose.skeletons import SKELETONS

LSP, COCO = SKELETONS["lsp14"], SKELETONS["coco17"]
SHARED = LSP.shared(COCO)
OPTIONS = BlendOptions()
BOX = (0.0, 0.0, 60.0, 80.0)  # a diagonal of 100 pixels, so joints agree within 6


def place(joint: str) -> tuple[float, float]:
    """Somewhere in the box, far from the other joints."""
    k = sorted({*LSP.joints, *COCO.joints}).index(joint)
    return 3.0 + 12 * (k % 5), 4.0 + 18 * (k // 5)


def found(skeleton: Any = COCO, **changes: tuple[float, float, float]) -> list[list[float]]:
    """What a teacher that is sure says, but for the joints in `changes`."""
    return [list(changes.get(joint, (*place(joint), 0.9))) for joint in skeleton.joints]


def annotation(number: int, teacher: Any, box: tuple[float, ...] = BOX, **changes: Any) -> dict[str, Any]:
    x0, y0, x1, y1 = box
    labels = [value for x, y, c in teacher for value in ((x, y, 2) if c > 0.4 else (0, 0, 0))]
    return {
        "id": number, "image_id": number, "category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0],
        "keypoints": labels, "teacher": teacher, **changes,
    }  # fmt: skip


def write(folder: Path, annotations: list[dict[str, Any]], joints: Any = COCO.joints) -> Path:
    path = folder / "teacher.json"
    images = [{"id": number, "file_name": f"{number}.jpg"} for number in {a["image_id"] for a in annotations}]
    category = {"id": 1, "name": "person", "keypoints": list(joints)}
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": [category]}))
    return path


def person(number: int, box: tuple[float, ...] = BOX, shift: float = 1.0) -> Sample:
    """All 14 joints of LSP, `shift` pixels to the right of `place`: not copied from the teacher, but close."""
    xy = np.array([place(joint) for joint in LSP.joints], np.float32) + np.array([shift, 0], np.float32)
    return Sample(
        image_id=number,
        name=f"{number}.jpg",
        read=lambda: np.zeros((100, 100, 3), np.uint8),
        xy_image=xy,
        labeled=np.ones(14, bool),
        occluded=np.zeros(14, bool),
        box_xyxy=np.array(box, np.float32),
        area=4800.0,
    )


def people(*samples: Sample) -> SampleList:
    return SampleList(name="people", skeleton=LSP, samples=samples, image_ids=(1,))


def one(path: Path, *samples: Sample, options: BlendOptions = OPTIONS) -> Sample:
    (combined,) = taught([people(*(samples or (person(1),)))], [read_teacher(path)], COCO, options)
    assert combined.skeleton == COCO
    return combined[0]


def weight(sample: Sample, joint: str) -> float:
    assert sample.confidence is not None
    return float(sample.confidence[COCO.index(joint)])


def test_the_rule_for_one_joint() -> None:
    """Only the teacher; only the data; agreeing; disagreeing with a sure and with an unsure teacher; copied; nobody."""
    xy = np.array([[0, 0], [5, 5], [10, 10], [10, 10], [10, 10], [7, 7], [0, 0], [10, 10]], float)
    labeled = np.array([False, True, True, True, True, True, False, True])
    teacher = np.array([[1, 2], [0, 0], [12, 10], [90, 10], [90, 10], [7, 7], [3, 3], [10, 10]], float)
    confidence = np.array([0.8, 0.0, 0.7, 0.9, 0.4, 0.6, 0.1, 0.2])
    near = np.array([False, False, True, False, False, True, True, True])
    places, weights = blend(xy, labeled, teacher, confidence, near, OPTIONS)
    assert weights.tolist() == pytest.approx([0.8, 1.0, 1.0, 0.01, 0.36, 0.6, 0.0, 0.64])
    assert places[:6].tolist() == [[1, 2], [5, 5], [11, 10], [10, 10], [10, 10], [7, 7]]
    assert places[7].tolist() == [10, 10]


@pytest.mark.parametrize(("share", "x"), [(0.0, 2.0), (0.5, 1.0), (1.0, 0.0)])
def test_the_share_of_the_teacher(tmp_path: Path, share: float, x: float) -> None:
    sample = one(write(tmp_path, [annotation(1, found())]), person(1, shift=2.0), options=BlendOptions(share=share))
    for joint in SHARED:
        assert sample.xy_image[COCO.index(joint)] == pytest.approx(np.add(place(joint), (x, 0)), abs=1e-5)
        assert weight(sample, joint) == 1.0


def test_joints_of_both_skeletons_meet_by_name(tmp_path: Path) -> None:
    """LSP has no face and COCO neither neck nor head top; the teacher's faces weigh what it is sure of."""
    nose = (20.0, 9.0, 0.7)
    sample = one(write(tmp_path, [annotation(1, found(nose=nose, left_ear=(1, 1, 0.2)))]))
    assert sample.labeled.sum() == 16 and len(sample.labeled) == 17
    assert weight(sample, "nose") == pytest.approx(0.7)
    assert sample.xy_image[COCO.index("nose")].tolist() == [20, 9]
    assert weight(sample, "left_ear") == 0 and not sample.labeled[COCO.index("left_ear")]
    assert all(weight(sample, joint) == 1 for joint in SHARED)


def test_exchanged_sides_mask_both_joints(tmp_path: Path) -> None:
    sides = {"left_ankle": (*place("right_ankle"), 1.2), "right_ankle": (*place("left_ankle"), 0.9)}
    sample = one(write(tmp_path, [annotation(1, found(**sides))]))
    assert weight(sample, "left_ankle") == 0  # a confidence above 1 counts as 1
    assert weight(sample, "right_ankle") == pytest.approx(0.01)
    assert weight(sample, "left_knee") == 1


def test_labels_copied_from_the_teacher_weigh_its_confidence(tmp_path: Path) -> None:
    path = write(tmp_path, [annotation(1, found(nose=(20, 9, 0.5), left_hip=(30, 40, 0.35)))])
    own = load_own(path)
    (combined,) = taught([own], [read_teacher(path)], COCO, OPTIONS)
    sample = combined[0]
    assert weight(sample, "nose") == 0.5
    assert weight(sample, "left_hip") == pytest.approx(0.35)  # the data set does not label it
    assert weight(sample, "right_hip") == pytest.approx(0.9)


def test_people_of_one_image_are_told_apart_by_their_boxes(tmp_path: Path) -> None:
    left, right, nowhere = (0.0, 0.0, 60.0, 80.0), (200.0, 0.0, 260.0, 80.0), (100.0, 0.0, 160.0, 80.0)
    teacher = [annotation(1, found(nose=(1, 1, 0.6)), left), annotation(2, found(nose=(9, 1, 0.8)), right, image_id=1)]
    samples = [person(1, right), person(1, left), person(1, nowhere)]
    (combined,) = taught([people(*samples)], [read_teacher(write(tmp_path, teacher))], COCO, OPTIONS)
    assert [weight(combined[i], "nose") for i in range(3)] == pytest.approx([0.8, 0.6, 0.0])
    assert weight(combined[2], "left_knee") == 1  # its published joints remain


def test_a_person_with_no_joint_left_is_not_counted(tmp_path: Path) -> None:
    unlabeled = replace(person(1), labeled=np.zeros(14, bool), ignore=True)
    nobody = [annotation(1, [[0, 0, 0.0]] * 17)]
    assert one(write(tmp_path, nobody), unlabeled).ignore
    assert not one(write(tmp_path, [annotation(1, found())]), unlabeled).ignore
    assert one(write(tmp_path, [annotation(1, found())]), replace(person(1), crowd=True, ignore=True)).ignore


def test_other_data_stays_as_it_is(tmp_path: Path) -> None:
    file = read_teacher(write(tmp_path, [annotation(1, found())]))
    other = SampleList(name="other", skeleton=LSP, samples=(replace(person(2), name="b.jpg"),), image_ids=(2,))
    figures = SyntheticPeople(2, 0)
    combined = taught([other, people(person(1)), figures], [file], COCO, OPTIONS)
    assert combined[0] is other and combined[2] is figures
    assert combined[1].skeleton == COCO


def test_files_that_do_not_belong_are_refused(tmp_path: Path) -> None:
    file = read_teacher(write(tmp_path, [annotation(1, found())]))
    with pytest.raises(DataError, match="names no image of the training data; leave it out, or add its data set"):
        taught([people(replace(person(1), name="b.jpg"))], [file], COCO, OPTIONS)
    with pytest.raises(DataError, match="name the same images of people; pass one of them"):
        taught([people(person(1))], [file, file], COCO, OPTIONS)
    with pytest.raises(DataError, match="does not belong to people: only 0% of its joints are where the published"):
        taught([people(person(1, shift=30.0))], [file], COCO, OPTIONS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher": None}, "annotation 1: teacher must be 17 x"),
        ({"teacher": [[1, 2, 0.5]] * 16}, "annotation 1: teacher must be 17 x"),
        ({"teacher": [[1, 2]] * 17}, "annotation 1: teacher must be 17 x"),
        ({"teacher": [[1, 2, float("nan")]] * 17}, "annotation 1: teacher must be 17 x"),
        ({"teacher": [["a", 2, 0.5]] * 17}, "annotation 1: teacher must be 17 x"),
        ({"bbox": [1, 2, 3]}, "annotation 1: bbox must be"),
        ({"bbox": [1, 2, 3, 1e300]}, "annotation 1: bbox must be"),
    ],
)
def test_wrong_entries_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_teacher(write(tmp_path, [annotation(1, found()) | changes]))


def test_a_file_needs_known_joints_and_its_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no joints of a built-in layout"):
        read_teacher(write(tmp_path, [annotation(1, found())], joints=COCO.joints[:16]))
    path = write(tmp_path, [annotation(1, found())])
    content = json.loads(path.read_text())
    content["annotations"][0]["image_id"] = 7
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="annotation 1: there is no image 7"):
        read_teacher(path)
