"""Scenes of person detectors: that labels are where people are drawn, and who counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgepose.artifacts.spec import ModelSpec  # noqa: E402
from edgepose.datasets.images import load_images  # noqa: E402
from edgepose.datasets.people_feed import (  # noqa: E402
    MOST,
    NOTHING,
    PERSON,
    REGION,
    SceneBoxItems,
    SceneCanvas,
    people_pictures,
)
from edgepose.datasets.samples import Picture, Sample, SampleList  # noqa: E402
from edgepose.datasets.scene_options import SceneOptions  # noqa: E402
from edgepose.errors import DataError  # noqa: E402
from edgepose.pose.skeletons import PERSON as LAYOUT  # noqa: E402
from edgepose.training.recipe import read_recipe  # noqa: E402

SIZE = (160, 192)
RED = (0, 0, 255)


def spec() -> ModelSpec:
    return read_recipe("people").spec()


def painted(number: int, *boxes: tuple[int, int, int, int]) -> Callable[[], np.ndarray]:
    """A gray photograph of 120x100 with red people: x0, y0, x1, y1, the first and the last pixel."""
    image = np.full((120, 100, 3), 90 + number, np.uint8)
    for x0, y0, x1, y1 in boxes:
        image[y0 : y1 + 1, x0 : x1 + 1] = RED
    return lambda: image.copy()


def person(number: int, box: tuple[int, int, int, int], crowd: bool = False) -> Sample:
    edges = np.array([box[0] - 0.5, box[1] - 0.5, box[2] + 0.5, box[3] + 0.5], np.float32)
    nothing = np.zeros(0, bool)
    return Sample(
        image_id=number, name=f"{number}.png", read=painted(number, box), xy_image=np.zeros((0, 2), np.float32),
        labeled=nothing, occluded=nothing, box_xyxy=edges, area=1.0, ignore=crowd, crowd=crowd,
    )  # fmt: skip


def photographs() -> SampleList:
    samples = (person(0, (20, 10, 49, 89)), person(1, (60, 40, 79, 99)))
    empty = Picture(image_id=2, name="2.png", read=painted(2))
    return SampleList(name="painted", skeleton=LAYOUT, samples=samples, image_ids=(0, 1, 2), empty=(empty,))


def items(options: SceneOptions, epoch: int = 0) -> SceneBoxItems:
    return SceneBoxItems([photographs()], spec(), SIZE, 3, epoch, options)


def red_boxes(scene: np.ndarray) -> np.ndarray:
    """The box [4] of all red pixels of a scene [3, H, W]."""
    red = (scene[0] > 0.3) & (scene[1] < -0.3) & (scene[2] < -0.3)
    y, x = np.nonzero(red)
    return np.array([x.min() - 0.5, y.min() - 0.5, x.max() + 0.5, y.max() + 0.5])


def test_photographs_with_everyone() -> None:
    first, second, empty = people_pictures(photographs())
    assert first.boxes_xyxy.tolist() == [[19.5, 9.5, 49.5, 89.5]] and first.kinds.tolist() == [PERSON]
    assert second.picture.name == "1.png" and len(empty.boxes_xyxy) == 0


def test_photographs_without_labels_are_refused(tmp_path: Path) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), painted(0)())
    with pytest.raises(DataError, match="has no labels, which a person detector learns; set teacher_network"):
        people_pictures(load_images(tmp_path))


@pytest.mark.parametrize("mirror", [0.0, 1.0])
def test_the_box_is_where_the_person_is_drawn(mirror: float) -> None:
    """One photograph alone; the drawn pixels of its person are the label to a pixel of interpolation."""
    alone = SceneOptions(composed=0.0, bare=0.0, filled=0.0, gray=1.0, mirror=mirror, color=0.0, person_px=(40, 120))
    for epoch in range(20):
        made = items(alone, epoch)
        for index in range(2):
            scene, boxes, kinds = made[index]
            assert scene.shape == (3, *SIZE) and scene.dtype == np.float32
            assert kinds[0] in (PERSON, REGION) and (kinds[1:] == NOTHING).all()
            assert np.abs(red_boxes(scene) - boxes[0]).max() <= 1.5


def test_a_scene_depends_on_seed_epoch_and_index_alone() -> None:
    options = SceneOptions(person_px=(20, 120), composed=1.0)
    one, same = items(options)[1], items(options)[1]
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one[0], items(options, epoch=1)[1][0])
    assert one[1].shape == (MOST, 4) and one[2].shape == (MOST,)


def test_heights_are_within_the_options() -> None:
    options = SceneOptions(composed=0.0, bare=0.0, filled=0.0, mirror=0.0, person_px=(50, 70))
    heights = [boxes[0, 3] - boxes[0, 1] for e in range(30) for _, boxes, kinds in [items(options, e)[0]]]
    assert min(heights) >= 45 and max(heights) <= 71
    assert max(heights) - min(heights) > 10


def test_bare_photographs_give_scenes_without_people() -> None:
    options = SceneOptions(composed=0.0, bare=1.0, filled=0.0)
    assert all((items(options, e)[0][2] == NOTHING).all() for e in range(5))


def test_who_is_hidden_does_not_count() -> None:
    """Drawn over: a fifth leaves a person, three quarters a region, and all of it nobody."""
    image, still = np.zeros((100, 100, 3), np.uint8), np.eye(2, 3)
    people = np.array([[9.5, 9.5, 29.5, 89.5], [39.5, 9.5, 59.5, 89.5], [69.5, 9.5, 89.5, 89.5]])
    canvas = SceneCanvas(image.copy())
    canvas.lay(image, still, people, np.full(3, PERSON))
    for x, rows in ((9.5, 16), (39.5, 60), (69.5, 80)):
        part = np.array([x, 9.5, x + 20, 9.5 + rows])
        canvas.lay(image, still, np.zeros((0, 4)), np.zeros(0), part)
    assert canvas.kinds.tolist() == [PERSON, REGION]
    assert canvas.boxes_xyxy.tolist() == people[:2].tolist()


def test_boxes_end_at_the_edge_of_what_is_drawn() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    canvas = SceneCanvas(np.zeros((50, 100, 3), np.uint8))
    canvas.lay(image, np.eye(2, 3), np.array([[10.0, 5, 30, 70], [50, 45, 60, 90]]), np.full(2, PERSON))
    assert canvas.boxes_xyxy.tolist() == [[10, 5, 30, 49.5], [50, 45, 60, 49.5]]
    assert canvas.kinds.tolist() == [PERSON, REGION]


def test_crowds_are_regions() -> None:
    crowd = replace(photographs(), samples=(person(0, (20, 10, 49, 89), crowd=True), person(1, (60, 40, 79, 99))))
    made = SceneBoxItems([crowd], spec(), SIZE, 3, 0, SceneOptions(composed=0.0, bare=0.0))
    assert len(made) == 1 and people_pictures(crowd)[0].kinds.tolist() == [REGION]
