"""How the boxes of a teacher and the labels of a data set are combined."""

from __future__ import annotations

import numpy as np
import pytest

from edgepose.datasets.samples import Picture, Sample, SampleList
from edgepose.datasets.taught_people import GROWN, TeachOptions, taught_people
from edgepose.pose.skeletons import PERSON, SKELETONS

LSP = SKELETONS["lsp14"]
OPTIONS = TeachOptions(sure=0.4)


def sample(box: list[float], *, of_joints: bool = False, crowd: bool = False, number: int = 0) -> Sample:
    """A person whose joints fill the box, or the middle of it."""
    edges = np.array(box, np.float32)
    margin = 0 if of_joints else 0.2 * (edges[2:] - edges[:2])
    spread = np.linspace(0, 1, len(LSP))[:, None]
    xy = edges[:2] + margin + spread * (edges[2:] - edges[:2] - 2 * margin)
    known = np.ones(len(LSP), bool)
    return Sample(
        image_id=number, name=f"{number}.jpg", read=lambda: np.zeros((100, 100, 3), np.uint8),
        xy_image=xy.astype(np.float32), labeled=known, occluded=~known, box_xyxy=edges, area=1.0, crowd=crowd,
        ignore=crowd,
    )  # fmt: skip


def combined(samples: list[Sample], *found: list[float]) -> SampleList:
    data = SampleList(name="one", skeleton=LSP, samples=tuple(samples), image_ids=(0,))
    return taught_people(data, {(0, "0.jpg"): np.array(found)}, OPTIONS)


def boxes(data: SampleList, crowd: bool = False) -> list[list[float]]:
    return [one.box_xyxy.tolist() for one in data.samples if one.crowd is crowd]


def test_a_labeled_box_stays() -> None:
    data = combined([sample([10, 10, 40, 90])], [12, 12, 42, 92, 0.9])
    assert boxes(data) == [[10, 10, 40, 90]] and boxes(data, crowd=True) == []
    assert data.skeleton == PERSON and not data.samples[0].ignore


def test_the_teacher_says_how_large_a_person_with_joints_is() -> None:
    assert boxes(combined([sample([10, 10, 40, 90], of_joints=True)], [5, 5, 44, 95, 0.2])) == [[5, 5, 44, 95]]
    (grown,) = boxes(combined([sample([10, 10, 40, 90], of_joints=True)]))
    assert grown == pytest.approx([10 - 30 * GROWN, 10 - 80 * GROWN, 40 + 30 * GROWN, 90 + 80 * GROWN])


def test_others_are_people_where_the_teacher_is_sure() -> None:
    data = combined([sample([10, 10, 40, 90])], [60, 10, 90, 90, 0.4], [45, 10, 55, 30, 0.39])
    assert boxes(data) == [[10, 10, 40, 90], [60, 10, 90, 90]]
    assert boxes(data, crowd=True) == [[45, 10, 55, 30]]


def test_two_people_do_not_share_a_box() -> None:
    near = [sample([10, 10, 40, 90], of_joints=True), sample([12, 10, 42, 90], of_joints=True)]
    first, second = boxes(combined(near, [9, 9, 41, 91, 0.9]))
    assert first == [9, 9, 41, 91] and second != first


def test_boxes_in_a_crowd_do_not_count() -> None:
    data = combined([sample([10, 10, 90, 90], crowd=True)], [20, 20, 40, 80, 0.9])
    assert boxes(data) == [] and boxes(data, crowd=True) == [[10, 10, 90, 90]]


def test_photographs_without_people_stay() -> None:
    data = SampleList(name="two", skeleton=LSP, samples=(), image_ids=(1, 2), empty=(empty(1), empty(2)))
    found = {(1, "1.jpg"): np.zeros((0, 5)), (2, "2.jpg"): np.array([[-3, 2, 8, 9, 0.8]])}
    taught = taught_people(data, found, OPTIONS)
    assert [one.name for one in taught.empty] == ["1.jpg"] and taught.image_ids == (1, 2)
    assert boxes(taught) == [[-0.5, 2, 8, 9]]


def empty(number: int) -> Picture:
    return Picture(image_id=number, name=f"{number}.jpg", read=lambda: np.zeros((10, 10, 3), np.uint8), size=(10, 10))
