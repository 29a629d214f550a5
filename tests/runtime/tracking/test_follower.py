"""Following by poses: when the detector runs, whose box it replaces, and what happens to those it misses."""

from __future__ import annotations

import numpy as np
import pytest

from edgepose.errors import UsageError
from edgepose.media.sources import Frame
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import SKELETONS
from edgepose.runtime.stream import run_stream
from edgepose.runtime.tracking import Follower, Schedule, Tracker, TrackingOptions

SKELETON = SKELETONS["lsp14"]
FIGURE = np.stack([np.linspace(4, 46, 14), np.linspace(6, 134, 14)], axis=1)  # in a box of 50 x 140
STEP_S = 0.04


class World:
    """People on a plain background, as a source, a detector and a pose network see them.

    `places` gives the places of people in each frame. The network finds whoever is at the middle of a box; in a box
    without a person its scores are low.
    """

    fps, size, live, dropped, skipped = 25.0, (240, 640), False, 0, ()
    finds_people = False

    def __init__(self, places, ahead=0):
        self.places, self.ahead, self.count = places, ahead, len(places)
        self.detected, self.boxes, self.blind = [], [], set()
        self.index = -1

    def __iter__(self):
        for i, places in enumerate(self.places):
            image = np.full((240, 640, 3), 90, np.uint8)
            for x, y in places:
                image[int(y) : int(y) + 140, int(x) : int(x) + 50] = 200
            image[0, 0, 0] = i
            yield Frame(index=i, name=f"{i}", image_id=i, time_s=i * STEP_S, image=image)

    def find(self, image, name, previous):
        i = int(image[0, 0, 0])
        self.detected.append(i)
        places = [] if i in self.blind else self.places[i]
        boxes = np.array([[x, y, x + 50, y + 140] for x, y in places], np.float32).reshape(-1, 4)
        return boxes, np.full(len(boxes), 0.9, np.float32)

    def begin(self, image, boxes, scores):
        places = np.array(self.places[int(image[0, 0, 0])], np.float64).reshape(-1, 2)
        self.boxes.append(boxes.copy())
        xy, sure = np.zeros((len(boxes), 14, 2), np.float32), np.full((len(boxes), 14), 0.05, np.float32)
        for i, (x0, y0, x1, y1) in enumerate(boxes):
            gap = places + np.array([25, 70]) - ((x0 + x1) / 2, (y0 + y1) / 2) if len(places) else np.zeros((0, 2))
            near = np.flatnonzero(np.abs(gap).max(axis=1) < 40) if len(gap) else []
            if len(near):
                best = min(near, key=lambda j: np.abs(gap[j]).max())
                xy[i], sure[i] = places[best] + FIGURE, 0.8
        poses = Poses(skeleton=SKELETON, xy_image=xy, scores=sure, boxes_xyxy=boxes, box_scores=scores)
        return lambda: poses


def follow(world, every=None):
    """Run the world; return the follower and the poses of each frame."""
    found = []
    follower = Follower(world.find, Tracker(TrackingOptions(), SKELETON), Schedule(every))
    run_stream(world, world, [lambda frame, poses: found.append(poses)], finder=follower, steps=[follower.finish])
    return follower, found


def walking(frames, speed=60.0, start=20.0):
    return [[(start + speed * i * STEP_S, 50.0)] for i in range(frames)]


@pytest.mark.parametrize("ahead", [0, 1, 2])
def test_a_person_who_walks_is_followed_with_few_detections(ahead):
    world = World(walking(100), ahead)
    follower, found = follow(world)
    assert [poses.track_ids.tolist() for poses in found] == [[1]] * 100
    assert follower.detections == len(world.detected) < 20
    for poses, ((x, y),) in zip(found, world.places, strict=True):
        assert poses.boxes_xyxy[0] == pytest.approx([x, y, x + 50, y + 140], abs=8)


def test_the_box_is_enlarged_as_the_detector_does():
    """The joints span 42 x 128 pixels; the detector's box has 50 x 140."""
    world = World(walking(60))
    _, found = follow(world)
    between = next(i for i in range(10, 60) if i not in world.detected)
    x0, y0, x1, y1 = found[between].boxes_xyxy[0]
    assert x1 - x0 == pytest.approx(50, abs=1.5)
    assert y1 - y0 == pytest.approx(140, abs=1.5)


def test_an_interval_is_the_most_frames_between_detections():
    world = World(walking(60, speed=0))
    follow(world, every=5)
    settled = [i for i in world.detected if i > 5]
    assert np.diff(settled).tolist() == [5] * (len(settled) - 1)
    assert len(settled) >= 10


def test_every_frame_is_detected_with_an_interval_of_1():
    world = World(walking(20))
    follow(world, every=1)
    assert world.detected == list(range(20))


def test_an_empty_picture_needs_no_detector_until_somebody_enters():
    places = [[] for _ in range(20)] + walking(20)
    world = World(places)
    _, found = follow(world)
    assert world.detected[:2] == [0, 20]  # at once, when the picture changed
    assert [len(poses) for poses in found] == [0] * 20 + [1] * 20


def test_a_second_person_is_noticed_while_the_first_is_followed():
    places = [[(100.0, 50.0)] for _ in range(80)]
    for i in range(45, 80):
        places[i] = [(100.0, 50.0), (400.0, 50.0)]
    world = World(places)
    _, found = follow(world)
    assert 45 in world.detected
    assert [len(poses) for poses in found[45:]] == [2] * 35


def test_a_person_who_leaves_is_lost_at_once():
    places = walking(40) + [[] for _ in range(30)]
    world = World(places)
    follower, found = follow(world)
    assert [len(poses) for poses in found] == [1] * 40 + [0] * 30
    assert 41 in world.detected
    assert follower.tracker.lost == 1


def test_a_person_whom_the_detector_misses_is_followed_by_the_pose():
    world = World(walking(60))
    world.blind = set(range(15, 60))
    _, found = follow(world, every=20)
    assert [poses.track_ids.tolist() for poses in found[:30]] == [[1]] * 30


def test_a_person_whom_the_detector_keeps_missing_is_given_up():
    world = World([[(100.0, 50.0)]] * 90)
    world.blind = set(range(15, 90))
    _, found = follow(world, every=5)
    assert len(found[12]) == 1
    assert len(found[-1]) == 0


def test_two_tracks_on_one_person_become_one():
    """Two people walk into each other, and from then on the network finds only the one in front."""
    places = [[(100.0 + 3 * i, 50.0), (300.0 - 3 * i, 50.0)] for i in range(33)]
    places += [[(199.0, 50.0)] for _ in range(40)]
    _, found = follow(World(places))
    assert len(found[10]) == 2
    assert len(found[-1]) == 1


def test_the_notes_say_how_often_the_detector_ran():
    world = World(walking(50))
    follower, _ = follow(world)
    assert follower.notes() == [f"the detector ran in {len(world.detected)} of 50 frames"]


@pytest.mark.parametrize("every", [0, -3])
def test_an_interval_below_1_is_refused(every):
    with pytest.raises(UsageError, match="detect_every"):
        Schedule(every)


def test_a_change_of_exposure_is_nobody_who_enters():
    schedule = Schedule()
    image = np.random.default_rng(0).integers(60, 120, (240, 640, 3)).astype(np.uint8)
    nobody = np.zeros((0, 4))
    assert schedule.due(image, nobody, 0.0)
    schedule.detected(0.0, nobody, news=False)
    assert not schedule.due(image, nobody, 0.04)
    assert not schedule.due(image + 20, nobody, 0.08)
    image[50:190, 300:350] = 255
    assert schedule.due(image, nobody, 0.12)


def test_after_two_seconds_the_detector_runs_whatever_the_picture_shows():
    schedule = Schedule()
    image, nobody = np.full((240, 640, 3), 90, np.uint8), np.zeros((0, 4))
    assert schedule.due(image, nobody, 0.0)
    schedule.detected(0.0, nobody, news=False)
    assert not schedule.due(image, nobody, 1.9)
    assert schedule.due(image, nobody, 2.1)
