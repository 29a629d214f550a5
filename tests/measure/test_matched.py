"""People of two networks are matched, and a person whom only one of them found has moved with all joints."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgepose.measure.displacement import displacement, predicted_retention
from edgepose.measure.matched import Crowd, on_labels, paired, same_people
from edgepose.metrics import oks
from edgepose.metrics.labels import Labels
from edgepose.metrics.metric import Predicted
from edgepose.pose.skeletons import SKELETONS, Skeleton

COCO = SKELETONS["coco17"]
PLAIN = replace(COCO, sigmas=())


def crowd(count: int = 6, seed: int = 0) -> Crowd:
    """People in three images, 100 pixels tall and well apart."""
    random = np.random.default_rng(seed)
    xy = random.uniform(0, 100, (count, 17, 2)) + 300 * np.arange(count)[:, None, None]
    return Crowd(
        image=np.arange(count) % 3, xy=xy, scores=random.uniform(0.5, 1, (count, 17)),
        person_scores=np.linspace(0.9, 0.4, count),
    )  # fmt: skip


def rows(found: Crowd, chosen: list[int]) -> Crowd:
    return Crowd(
        image=found.image[chosen], xy=found.xy[chosen], scores=found.scores[chosen],
        person_scores=found.person_scores[chosen],
    )  # fmt: skip


@pytest.mark.parametrize("skeleton", [COCO, PLAIN], ids=["oks", "boxes"])
def test_people_are_found_in_any_order(skeleton: Skeleton) -> None:
    first = crowd()
    order = [5, 2, 0, 4, 1, 3]
    second = replace(rows(first, order), xy=first.xy[order] + 1.5)
    assert paired(first, second, skeleton).tolist() == [2, 4, 1, 5, 3, 0]
    pairs = same_people(first, second, skeleton, 0.3)
    np.testing.assert_allclose(pairs.found, pairs.expected + 1.5)
    assert pairs.image.tolist() == first.image.tolist()


@pytest.mark.parametrize("skeleton", [COCO, PLAIN], ids=["oks", "boxes"])
def test_a_lost_person_and_an_extra_one_have_moved_whole(skeleton: Skeleton) -> None:
    first = crowd()
    pairs = same_people(first, rows(first, [0, 1, 2, 3, 4]), skeleton, 0.3)
    moved = displacement(pairs.expected, pairs.found, skeleton, expected_scores=pairs.scores)
    assert moved.moved.tolist() == [[0, 0]] * 5 + [[1, 1]]
    pairs = same_people(rows(first, [0, 1, 2, 3, 4]), first, skeleton, 0.3)
    moved = displacement(pairs.expected, pairs.found, skeleton, expected_scores=pairs.scores)
    assert moved.moved.tolist() == [[0, 0]] * 5 + [[1, 1]] and pairs.image.tolist() == first.image.tolist()
    assert predicted_retention(moved)["oks_ap"] < 1
    nobody = same_people(first, rows(first, []), skeleton, 0.3)
    assert np.isnan(nobody.found).all() and len(nobody.found) == 6
    assert len(same_people(rows(first, []), rows(first, []), skeleton, 0.3).image) == 0


def test_a_person_near_the_score_is_neither_lost_nor_extra() -> None:
    """Both are run with a lower threshold: only a person of whom the other network finds nothing is lost."""
    first = crowd()
    second = replace(first, person_scores=first.person_scores - 0.15)
    pairs = same_people(first, second, COCO, 0.5)
    assert len(pairs.image) == 4 and np.array_equal(pairs.found, pairs.expected)
    pairs = same_people(second, first, COCO, 0.5)
    assert np.array_equal(pairs.found, pairs.expected) and len(pairs.image) == 3


def test_people_of_other_images_and_places_are_others() -> None:
    first = crowd()
    assert (paired(first, replace(first, image=first.image + 3), COCO) == -1).all()
    assert (paired(first, replace(first, xy=first.xy + 3000), COCO) == -1).all()


def test_joints_that_were_not_found() -> None:
    first = crowd(3)
    first.xy[0, 3:] = np.nan
    second = replace(first, xy=first.xy.copy())
    second.xy[1, :4] = np.nan
    pairs = same_people(first, second, COCO, 0.3)
    moved = displacement(pairs.expected, pairs.found, COCO)
    assert moved.moved[0].tolist() == [0, 0] and moved.moved[1, 0] == pytest.approx(4 / 17)


def labels_of(found: Crowd) -> Labels:
    xy = found.xy
    people = oks.People(
        image=found.image, xy_image=xy, labeled=np.ones(xy.shape[:2], bool),
        boxes_xyxy=np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1),
        area=oks.extent_px2(xy), crowd=np.zeros(len(xy), bool),
    )  # fmt: skip
    return Labels(
        skeleton=COCO, compared=np.arange(17), people=people, head_px=np.full(len(xy), np.nan), images=3, empty=0,
        counted=np.ones(len(xy), bool), detected=True,
    )  # fmt: skip


def test_labeled_people_get_those_who_were_found_there() -> None:
    """Two predictions of one person: the better score stays. Somebody who was not found has no joints."""
    known = crowd()
    double = rows(known, [0, 0, 2, 3])
    double.xy[1] += 2
    score = np.array([0.6, 0.8, 0.5, 0.7])
    found = Predicted(
        xy_image=double.xy, scores=double.scores, image=double.image, box_scores=score, area=np.ones(4), grouped=True
    )
    taken = on_labels(found, labels_of(known))
    np.testing.assert_array_equal(taken.xy_image[[0, 2, 3]], double.xy[[1, 2, 3]])
    assert np.isnan(taken.xy_image[[1, 4, 5]]).all() and taken.box_scores is None
