"""Labels that cannot belong to their image."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from made_people import person

from edgepose.datasets.samples import (
    Picture,
    SampleList,
    checked_sample,
    outside,
    pictures,
    refuse_outside,
)
from edgepose.errors import DataError
from edgepose.pose.skeletons import SKELETONS


def people(*samples):
    return SampleList(name="people", skeleton=SKELETONS["lsp14"], samples=samples, image_ids=(4,))


def test_outside_is_measured_from_the_pixels_edge():
    xy = np.array([[0, 0], [-0.5, 59.5], [-3, 10], [79, 70], [82, -2]])
    assert outside(xy, (60, 80)).tolist() == [[0, 0], [0, 0], [2.5, 0], [0, 10.5], [2.5, 1.5]]


def checked(**changes):
    fields = {"xy": np.array([[10.0, 20], [40, 60], [np.nan, 0]]), "labeled": np.array([True, True, False])}
    return checked_sample("f.json: person 3", image_id=1, name="1.jpg", read=lambda: None, **(fields | changes))


def test_a_person_is_whole_with_what_labels_leave_out():
    made = checked()
    assert made.xy_image.tolist() == [[10, 20], [40, 60], [0, 0]]
    assert (made.box_xyxy.tolist(), made.area) == ([10, 20, 40, 60], 1200)
    assert (made.occluded.any(), made.ignore, made.crowd, np.isnan(made.head_px)) == (False, False, False, True)
    assert checked(labeled=np.zeros(3, bool)).ignore
    assert checked(crowd=True).ignore
    assert checked(occluded=np.ones(3, bool)).occluded.tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"labeled": np.ones(3, bool)}, r"a labeled joint is at \(nan, 0\)"),
        ({"xy": np.full((3, 2), 2e6)}, "a labeled joint is at"),
        ({"box_xyxy": np.array([0, 0, np.inf, 1])}, r"a corner of the box is at \(inf, 1\)"),
        ({"box_xyxy": np.array([5.0, 0, 1, 1])}, "negative side"),
        ({"area": float("nan")}, "area is nan"),
        ({"area": -1.0}, "area is -1"),
        ({"head_px": 0.0}, "head size is 0"),
        ({"head_px": float("inf")}, "head size is inf"),
    ],
)
def test_numbers_that_are_no_place_are_refused(changes, says):
    with pytest.raises(DataError, match=rf"f\.json: person 3: .*{says}"):
        checked(**changes)


def test_pictures_are_every_image_once_the_empty_ones_last():
    data = people(person([[1, 1]]), person([[2, 2]]), person([[3, 3]], image_id=9, name="9.jpg"))
    empty = Picture(image_id=2, name="2.jpg", read=lambda: None)
    found = pictures(dataclasses.replace(data, empty=(empty,)))
    assert [(picture.image_id, picture.name) for picture in found] == [(4, "4.jpg"), (9, "9.jpg"), (2, "2.jpg")]


def test_labels_that_cannot_be_right():
    size = (60, 80)
    refuse_outside(person([[20, 20], [159, 119]]), size)  # as far as one more image: kept
    with pytest.raises(DataError, match=r"4\.jpg \(image 4, 80x60\): a joint is labeled at \(170, 20\)"):
        refuse_outside(person([[20, 20], [170, 20]]), size)
    with pytest.raises(DataError, match=r"labeled at \(20, -70\)"):
        refuse_outside(person([[20, -70]]), size)
    refuse_outside(person([], box=(-40, -40, 1, 1)), size)
    with pytest.raises(DataError, match=r"box \(90, 10\) to \(120, 50\) is outside"):
        refuse_outside(person([], box=(90, 10, 120, 50)), size)
    with pytest.raises(DataError, match="is outside the image"):
        refuse_outside(person([], box=(10, -30, 20, -2)), size)
    unlabeled = person([[20, 20]])
    unlabeled.xy_image[5] = 9999
    refuse_outside(unlabeled, size)
