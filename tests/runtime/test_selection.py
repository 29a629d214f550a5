"""Who counts: the region, the score, and the largest people."""

from __future__ import annotations

import numpy as np
import pytest

from edgepose.errors import UsageError
from edgepose.runtime.selection import PeopleSelection, SelectingFinder

BOXES = np.array([[0, 0, 20, 40], [100, 0, 160, 120], [300, 100, 340, 180], [600, 100, 640, 200]], np.float32)
SCORES = np.array([0.9, 0.3, 0.6, 0.8], np.float32)
SIZE = (240, 640)


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (PeopleSelection(), [0, 1, 2, 3]),
        (PeopleSelection(least_score=0.5), [0, 2, 3]),
        (PeopleSelection(max_people=2), [1, 3]),
        (PeopleSelection(max_people=9), [0, 1, 2, 3]),
        (PeopleSelection(roi=(0, 0, 0.5, 0.5)), [0, 1]),
        (PeopleSelection(roi=(310, 0, 640, 240)), [2, 3]),
        (PeopleSelection(roi=(0, 0, 1, 1)), [0, 1, 2, 3]),
        (PeopleSelection(roi=(0, 0, 400, 240), least_score=0.4, max_people=1), [2]),
    ],
)
def test_people_are_chosen(selection, expected):
    assert selection.people(BOXES, SCORES, SIZE).tolist() == expected
    assert selection.takes_all == (selection == PeopleSelection())


def test_a_finder_finds_only_those_who_count():
    finder = SelectingFinder(lambda image, name, previous: (BOXES, SCORES), PeopleSelection(max_people=1))
    boxes, scores = finder(np.zeros((*SIZE, 3), np.uint8), "", None)
    np.testing.assert_array_equal(boxes, BOXES[1:2])
    np.testing.assert_array_equal(scores, SCORES[1:2])


@pytest.mark.parametrize("roi", [(10, 0, 5, 9), (0, 0, 0, 1), (-1, 0, 5, 5), (0, 0, float("nan"), 1)])
def test_a_region_that_cannot_be_meant_is_refused(roi):
    with pytest.raises(UsageError, match="roi"):
        PeopleSelection(roi=roi)


def test_a_region_outside_of_the_image_is_refused():
    with pytest.raises(UsageError, match="640 x 240"):
        PeopleSelection(roi=(700, 0, 900, 100)).people(BOXES, SCORES, SIZE)
