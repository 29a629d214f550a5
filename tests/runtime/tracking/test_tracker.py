"""Identities: they stay over crossings, gaps and uneven times, and are never given twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgepose.errors import UsageError
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import SKELETONS
from edgepose.pose.skeletons.skeleton import PERSON
from edgepose.runtime.tracking import Tracker, TrackingOptions

COCO = SKELETONS["coco17"]
FIGURE = np.random.default_rng(7).uniform(0, 1, (17, 2)) * (60, 180)


def people(*places, scores=None, skeleton=COCO, figures=None):
    """People whose boxes, 60 x 180, begin at places."""
    n = len(places)
    at = np.array(places, np.float64).reshape(n, 2)
    figures = [FIGURE] * n if figures is None else figures
    joints = len(skeleton)
    xy = np.array([at[i] + figures[i] for i in range(n)]) if joints else np.zeros((n, 0, 2))
    return Poses(
        skeleton=skeleton,
        xy_image=xy.reshape(n, joints, 2).astype(np.float32),
        scores=np.full((n, joints), 0.9, np.float32),
        boxes_xyxy=np.concatenate([at, at + np.array([60, 180])], axis=1).astype(np.float32),
        box_scores=np.full(n, 0.9, np.float32) if scores is None else np.array(scores, np.float32),
    )


def ids(tracker, poses, time_s):
    return tracker.update(poses, time_s).track_ids.tolist()


def test_ids_begin_at_1_and_follow_people_whatever_their_order():
    tracker = Tracker(TrackingOptions(), COCO)
    assert ids(tracker, people((0, 0), (300, 0)), 0.0) == [1, 2]
    assert ids(tracker, people((305, 0), (5, 0)), 0.04) == [2, 1]
    found = tracker.update(people((10, 0), (310, 0)), 0.08)
    assert found.track_ids.dtype == np.int64
    assert found.track_ids.tolist() == [1, 2]


def test_nobody_and_nothing_changes_but_the_ids():
    tracker = Tracker(TrackingOptions(), COCO)
    assert len(tracker.update(people(), 0.0)) == 0
    given = people((0, 0))
    found = tracker.update(given, 1.0)
    np.testing.assert_array_equal(found.xy_image, given.xy_image)
    np.testing.assert_array_equal(found.boxes_xyxy, given.boxes_xyxy)


@pytest.mark.parametrize("step_s", [0.02, 0.1])
def test_people_who_cross_keep_their_ids(step_s):
    tracker = Tracker(TrackingOptions(), COCO)
    for time_s in np.arange(0, 4, step_s):
        found = ids(tracker, people((100 * time_s, 0), (400 - 100 * time_s, 10)), time_s)
        assert found == [1, 2]


def test_a_person_who_is_hidden_while_walking_comes_back_as_the_same():
    tracker = Tracker(TrackingOptions(), COCO)
    for time_s in np.arange(0, 2, 0.04):
        ids(tracker, people((120 * time_s, 0)), time_s)
    for time_s in np.arange(2, 2.6, 0.04):
        assert ids(tracker, people(), time_s) == []
    assert tracker.lost == 1
    assert ids(tracker, people((120 * 2.6, 0)), 2.6) == [1]
    assert tracker.lost == 0


def test_dropped_frames_do_not_lose_a_fast_person():
    """With a filter that counts frames, the person would be expected where four fifths of the way are missing."""
    tracker = Tracker(TrackingOptions(), COCO)
    for time_s in [*np.arange(0, 1, 0.04), 1.4, 1.8, 2.2]:
        assert ids(tracker, people((500 * time_s, 0)), time_s) == [1]


def test_an_id_is_not_used_again():
    tracker = Tracker(TrackingOptions(keep_s=0.5), COCO)
    ids(tracker, people((0, 0)), 0.0)
    ids(tracker, people(), 0.1)
    for time_s in (5.0, 5.1):
        found = ids(tracker, people((0, 0)), time_s)
    assert found == [2]


def test_a_new_person_must_be_found_twice():
    tracker = Tracker(TrackingOptions(), COCO)
    ids(tracker, people(), 0.0)
    assert ids(tracker, people((0, 0)), 0.1) == [-1]
    assert ids(tracker, people((500, 0)), 0.2) == [-1]  # the first one was a mistake of the detector
    assert ids(tracker, people((500, 0)), 0.3) == [1]


def test_a_low_score_continues_a_track_and_begins_none():
    tracker = Tracker(TrackingOptions(high_score=0.5, low_score=0.1), COCO)
    assert ids(tracker, people((0, 0), (300, 0), scores=[0.9, 0.2]), 0.0) == [1, -1]
    assert ids(tracker, people((0, 0), (300, 0), scores=[0.2, 0.2]), 0.04) == [1, -1]
    assert ids(tracker, people((0, 0), scores=[0.05]), 0.08) == [-1]


def test_poses_tell_apart_people_whose_boxes_are_one():
    other = FIGURE[::-1].copy()
    weights = {}
    for weight in (0.0, 0.5):
        tracker = Tracker(TrackingOptions(pose_weight=weight), COCO)
        tracker.update(people((0, 0), (8, 0), figures=[FIGURE, other]), 0.0)
        # The boxes changed places, the poses did not.
        swapped = people((0, 0), (8, 0), figures=[other + np.array([8, 0]), FIGURE - np.array([8, 0])])
        weights[weight] = ids(tracker, swapped, 0.04)
    assert weights == {0.0: [1, 2], 0.5: [2, 1]}


def test_a_detector_without_joints_is_tracked_by_boxes():
    tracker = Tracker(TrackingOptions(), PERSON)
    for time_s in np.arange(0, 1, 0.1):
        found = ids(tracker, people((50 * time_s, 0), (300, 0), skeleton=PERSON), time_s)
    assert found == [1, 2]


def test_a_clock_that_jumps_back_begins_anew():
    tracker = Tracker(TrackingOptions(confirm=1), COCO)
    assert ids(tracker, people((0, 0)), 100.0) == [1]
    assert ids(tracker, people((0, 0)), 0.0) == [2]
    assert ids(tracker, people((0, 0)), 0.04) == [2]


def test_frames_of_the_same_time_are_tracked():
    tracker = Tracker(TrackingOptions(), COCO)
    assert [ids(tracker, people((0, 0)), 0.0) for _ in range(3)] == [[1], [1], [1]]


@pytest.mark.parametrize("box", [(50, 10, 10, 50), (10, 50, 20, 10), (np.nan, 0, 10, 10), (0, 0, np.inf, 10)])
def test_a_box_that_is_none_has_no_identity_and_harms_nobody(box):
    tracker = Tracker(TrackingOptions(), COCO)
    for time_s in (0.0, 0.1, 0.2):
        given = people((0, 0), (300, 0))
        boxes = given.boxes_xyxy.copy()
        boxes[1] = box
        assert ids(tracker, replace(given, boxes_xyxy=boxes), time_s) == [1, -1]


@pytest.mark.parametrize("size", [(0, 100), (100, 0), (0, 0)])
def test_people_whose_joints_are_in_a_line_have_identities(size):
    tracker = Tracker(TrackingOptions(), COCO)
    for time_s in (0.0, 0.1, 0.2):
        given = people((300, 0), (0, 0))
        boxes = given.boxes_xyxy.copy()
        boxes[1, 2:] = boxes[1, :2] + size
        assert ids(tracker, replace(given, boxes_xyxy=boxes), time_s) == [1, 2]


def test_known_people_keep_their_track_wherever_they_are():
    tracker = Tracker(TrackingOptions(), COCO)
    tracker.update(people((0, 0), (300, 0)), 0.0)
    keys, boxes = tracker.expected(0.1)
    np.testing.assert_allclose(boxes[:, 0], [0, 300], atol=1e-6)
    found = tracker.update(people((900, 0), (300, 0)), 0.1, known=keys)
    assert found.track_ids.tolist() == [1, 2]


def test_expected_boxes_move_on_and_the_tracker_does_not():
    tracker = Tracker(TrackingOptions(), COCO)
    for time_s in np.arange(0, 2, 0.04):
        tracker.update(people((100 * time_s, 0)), time_s)
    _, later = tracker.expected(2.46)
    assert later[0, 0] == pytest.approx(246, abs=6)
    _, now = tracker.expected(1.96)
    assert now[0, 0] == pytest.approx(196, abs=4)


def test_poses_of_another_skeleton_are_refused():
    with pytest.raises(ValueError, match="joints"):
        Tracker(TrackingOptions(), SKELETONS["lsp14"]).update(people((0, 0)), 0.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"high_score": 1.5}, "high_score = 1.5"),
        ({"keep_s": -1}, "keep_s = -1"),
        ({"keep_s": float("nan")}, "keep_s = nan"),
        ({"high_score": 0.1, "low_score": 0.2}, "low_score = 0.2 is above high_score"),
        ({"confirm": 0}, "confirm = 0"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(given, message):
    with pytest.raises(UsageError, match=message):
        TrackingOptions(**given)
