"""Images with borders: what is found in them is moved back to where it is in the image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgepose._checks import Array
from edgepose.datasets.samples import Picture, SampleList
from edgepose.measure.moved_images import BORDER, Border, borders, with_borders
from edgepose.measure.predictions import Detected, Engine
from edgepose.pose.skeletons import Skeleton

ONE = Skeleton(name="one", joints=("nose",))


def spotted(at: tuple[int, int]) -> Array:
    """A black image [40, 60, 3] with one white pixel at (x, y)."""
    image = np.zeros((40, 60, 3), np.uint8)
    image[at[1], at[0]] = 255
    return image


def test_people_are_moved_back_by_whole_pixels() -> None:
    places = [(0, 0), (59, 39), (7, 30)]
    made = tuple(Picture(image_id=i, name=f"{i}.jpg", read=lambda at=at: spotted(at)) for i, at in enumerate(places))
    data = SampleList(name="d", skeleton=ONE, samples=(), image_ids=(0, 1, 2), empty=made)
    for copy in range(4):
        moved = with_borders(data, copy, 114)
        images = [picture.read() for picture in moved.data.empty]
        assert all(image.shape[0] <= 40 * (1 + BORDER) + 1 for image in images)
        assert any((image == 114).any() for image in images)
        spots = np.array([np.argwhere(image[..., 0] == 255)[0][::-1] for image in images], float)
        found = Detected(
            engine=Engine(path="", precision="", backend="", onnx_sha256="", skeleton=ONE), boxes="itself",
            image=np.arange(3), xy_image=spots[:, None], scores=np.ones((3, 1)), box_scores=np.ones(3), area=np.ones(3),
            grouped=True,
        )  # fmt: skip
        assert moved.moved_back(found).xy_image[:, 0].tolist() == [list(at) for at in places]
        nobody = replace(
            found, image=found.image[:0], xy_image=found.xy_image[:0], scores=found.scores[:0],
            box_scores=found.box_scores[:0], area=found.area[:0],
        )  # fmt: skip
        assert len(moved.moved_back(nobody).image) == 0


def test_copies_differ_and_are_the_same_in_every_run() -> None:
    first, again, other = borders(8, 0), borders(8, 0), borders(8, 1)
    assert [one.grown for one in first] == [one.grown for one in again]
    assert [one.grown for one in first] != [one.grown for one in other]
    assert all(0 <= one.grown <= BORDER for one in first + other)


@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_no_pixel_is_cut_off(place: float) -> None:
    border = Border(grown=0.27, place=np.array([place, place]))
    around = border.around(np.full((41, 63, 3), 9, np.uint8), 0)
    assert (around == 9).sum() == 41 * 63 * 3
