"""Follow people by their poses, so that the person detector does not run in every frame.

A person's box in the next frame comes from the pose in this one: the box around the joints, enlarged as the detector's
box was larger than the joints when it last saw the person, and moved on by the tracker. The detector runs when
`Schedule` says so, and in every frame until the boxes of a new person agree with where the tracker expects the person.
A person whom the detector misses then is followed a little longer if the pose is still good.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from edgepose._checks import Array
from edgepose.errors import counted
from edgepose.media.sources import Frame
from edgepose.pose.geometry import clip_boxes
from edgepose.pose.poses import SEEN, Poses
from edgepose.runtime.finders import Finder, notes_of
from edgepose.runtime.tracking.detection import Schedule
from edgepose.runtime.tracking.matching import match
from edgepose.runtime.tracking.similarity import PoseSimilarity, overlaps
from edgepose.runtime.tracking.tracker import NOBODY, Tracker

SAME_BOX = 0.3  # overlap of a detection with the expected box of the person it found
AGREES = 0.5  # overlap from which the expected box of a person can be trusted
CONTAINED = 0.7  # share of the expected box of a new person that is in a detection, for it to be the same person
SAME_POSE = 0.75  # similarity of two poses of one person
FALLEN = 0.75  # share of the usual score below which a pose makes its person unsure
GONE = 0.5  # share of the usual score below which nobody is there
MISSED = 2  # detections that may miss a person who is followed
INSIDE = 0.25  # share of an expected box that must be in the image
USUAL = 0.2  # weight of the newest score in the usual score of a person
MOST_MARGIN = 0.5  # of the height of the joints, by which a box is larger on one side
FEWEST = 3  # joints that make a box


@dataclass
class _Person:
    """What is known about someone who is followed.

    Attributes:
        score: The detector's, of the latest detection.
        usual: The usual mean score of the joints.
        margins: [4] by how much the box is larger than the joints: left, top, right, bottom, in heights of the joints.
        missed: Detections that missed the person since the latest that did not.
        settled: Whether the latest detection was where the person was expected.
    """

    score: float
    usual: float
    margins: Array
    missed: int = 0
    settled: bool = False


@dataclass(frozen=True)
class _Begun:
    """A frame that was given to the pose network.

    Attributes:
        time_s: When it was taken.
        keys: [P] int64, the tracks that its boxes came from; -1 for those of the detector.
        found: [P] bool, whose boxes are the detector's.
        news: Whether the detector found somebody who has no track yet.
    """

    time_s: float
    keys: Array
    found: Array
    news: bool = False


class Follower:
    """A person finder that asks another one as seldom as possible, and gives people identities.

    It is the `finder` and `finish` one of the `steps` of the same `run_stream`.

    Args:
        finder: The person detector.
        tracker: Gives people identities.
        schedule: Says when the detector runs.
    """

    def __init__(self, finder: Finder, tracker: Tracker, schedule: Schedule) -> None:
        self.tracker, self.schedule = tracker, schedule
        self.detections = self.frames = 0
        self._finder = finder
        self._time_s = 0.0
        self._begun: deque[_Begun] = deque()
        self._people: dict[int, _Person] = {}
        self._similarity = PoseSimilarity(tracker.skeleton)

    def set_time(self, time_s: float) -> None:
        """Learn the time of the next frame; see `edgepose.runtime.finders.TimedFinder`."""
        self._time_s = time_s

    def __call__(self, image: Array, frame_name: str, previous: Poses | None = None) -> tuple[Array, Array]:
        """Return the boxes of the people in a frame; see `edgepose.runtime.finders.Finder`."""
        keys, boxes = self.tracker.expected(self._time_s)
        keys, boxes = _inside(keys, boxes, image)
        scores = np.array([self._people[key].score for key in keys.tolist()], np.float32)
        # People who were found in a frame that is still under way have no track from which to take a box.
        waiting = any(begun.news for begun in self._begun)
        found, news = np.zeros(len(keys), bool), False
        if self.schedule.due(image, boxes, self._time_s) or waiting:
            keys, boxes, scores, found, news = self._detect(image, frame_name, previous, keys, boxes, scores)
        self._begun.append(_Begun(self._time_s, keys, found, news))
        self.frames += 1
        return boxes.astype(np.float32), scores

    def finish(self, frame: Frame, poses: Poses) -> Poses:
        """Give the people of a frame identities, as a step of `edgepose.runtime.stream`.

        Args:
            frame: The frame whose boxes were returned first of those that are not finished.
            poses: The poses for these boxes.
        """
        begun = self._begun.popleft()
        quality = poses.scores.mean(axis=1) if len(poses.skeleton) else poses.box_scores
        followed = (begun.keys >= 0) & ~begun.found
        usual = np.array([self._people[key].usual if key in self._people else 0.0 for key in begun.keys.tolist()])
        ended = followed & ~np.isin(begun.keys, list(self._people))  # while this frame was under way
        gone = ended | (followed & (quality < GONE * usual)) | self._doubles(poses, followed, quality)
        unsure = bool((followed & (quality < FALLEN * usual)).any())
        kept = ~gone
        size = (frame.image.shape[0], frame.image.shape[1])
        boxes = poses.boxes_xyxy.copy()
        for i in np.flatnonzero(followed & kept):
            box = self._box(poses, int(i), self._people[int(begun.keys[i])], size)
            unsure |= float(overlaps(box[None], boxes[i : i + 1])[0, 0]) < AGREES
            boxes[i] = box
        people = self.tracker.update(replace(poses, boxes_xyxy=boxes)[kept], begun.time_s, begun.keys[kept])
        self._remember(people, quality[kept], begun.found[kept])
        unsettled = any(not person.settled for person in self._people.values())
        self.schedule.learn(begun.time_s, unsure=unsure or unsettled, lost=bool(gone.any()))
        return people

    def notes(self) -> list[str]:
        """Return what there is to say after a run."""
        share = f"the detector ran in {self.detections} of {counted(self.frames, 'frame')}"
        return [*notes_of(self._finder), *([share] if self.frames else [])]

    def _detect(
        self, image: Array, frame_name: str, previous: Poses | None, keys: Array, boxes: Array, scores: Array
    ) -> tuple[Array, Array, Array, Array, bool]:
        """Run the detector.

        Returns:
            Keys, boxes and scores of all people to look at, whom the detector found, and whether somebody is new.
        """
        found, found_scores = self._finder(image, frame_name, previous)
        self.detections += 1
        likeness = overlaps(boxes, np.asarray(found, np.float64))
        seen = match(likeness, SAME_BOX)
        found_keys = np.full(len(found), NOBODY, np.int64)
        carried = np.zeros(len(keys), bool)
        taken = set(seen.tolist())
        for row, (key, column) in enumerate(zip(keys.tolist(), seen.tolist(), strict=True)):
            person = self._people[key]
            if column < 0 and not person.settled:
                column = _around(boxes[row], found, taken)
                if column >= 0:
                    found_keys[column] = key
                    taken.add(column)
                    seen[row] = column
            if column < 0:
                person.missed += 1
                carried[row] = person.settled and person.missed <= MISSED
            else:
                person.missed, person.settled = 0, bool(likeness[row, column] >= AGREES)
        everyone = np.concatenate([found, boxes[carried]])
        news = int((seen >= 0).sum()) < len(found)
        self.schedule.detected(self._time_s, everyone, news=news)
        return (
            np.concatenate([found_keys, keys[carried]]),
            everyone,
            np.concatenate([found_scores, scores[carried]]).astype(np.float32),
            np.arange(len(everyone)) < len(found),
            news,
        )

    def _doubles(self, poses: Poses, followed: Array, quality: Array) -> Array:
        """Return who is followed but has the pose of somebody else, [P] bool."""
        double = np.zeros(len(poses), bool)
        if len(poses) < 2 or not followed.any():
            return double
        boxes = poses.boxes_xyxy
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        joints = self._similarity.joints
        xy, seen = poses.xy_image[:, joints], poses.scores[:, joints] > SEEN
        alike = np.nan_to_num(self._similarity(xy, seen, area, xy, seen, area)) > SAME_POSE
        # Detections come first, then the better pose.
        order = np.lexsort((-quality, followed))
        for place, i in enumerate(order):
            better = [j for j in order[:place] if not double[j]]
            double[i] = followed[i] and bool(alike[i, better].any())
        return double

    def _box(self, poses: Poses, i: int, person: _Person, size: tuple[int, int]) -> Array:
        """Return the box of a person from the joints, [4]."""
        joints = _box_of_joints(poses.xy_image[i], poses.scores[i])
        if joints is None:
            return np.asarray(poses.boxes_xyxy[i])
        height = joints[3] - joints[1]
        grown = joints + person.margins * height * (-1, -1, 1, 1)
        return np.asarray(clip_boxes(grown[None], size)[0])

    def _remember(self, found: Poses, quality: Array, detected: Array) -> None:
        """Learn scores and margins of those who have a track now; forget those who have none any more."""
        people: dict[int, _Person] = {}
        for i, key in enumerate(self.tracker.keys.tolist()):
            if key < 0:
                continue
            now, before = float(quality[i]), self._people.get(key)
            score = float(found.box_scores[i])
            if before is None:
                people[key] = _Person(score, now, self._margins(found, i, None))
                continue
            people[key] = before
            before.usual += USUAL * (now - before.usual)
            if detected[i]:
                before.score, before.margins = score, self._margins(found, i, before.margins)
        seen, _ = self.tracker.expected(self._time_s)
        self._people = {key: people[key] for key in seen.tolist()}

    def _margins(self, found: Poses, i: int, before: Array | None) -> Array:
        usual = np.full(4, 0.08) if before is None else before
        joints = _box_of_joints(found.xy_image[i], found.scores[i])
        if joints is None:
            return usual
        height = max(float(joints[3] - joints[1]), 1.0)
        now = np.asarray(((found.boxes_xyxy[i] - joints) * (-1, -1, 1, 1) / height).clip(0, MOST_MARGIN))
        return now if before is None else np.asarray((usual + now) / 2)


def _inside(keys: Array, boxes: Array, image: Array) -> tuple[Array, Array]:
    """Leave out boxes that are mostly outside of the image, and clip the others."""
    clipped = clip_boxes(boxes, (image.shape[0], image.shape[1]))
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    shown = (clipped[:, 2] - clipped[:, 0]) * (clipped[:, 3] - clipped[:, 1])
    kept = shown > INSIDE * area
    return keys[kept], clipped[kept]


def _around(box: Array, found: Array, taken: set[int]) -> int:
    """Return the detection that a box is in, of those that are not taken; -1 for none."""
    low, high = np.maximum(box[:2], found[:, :2]), np.minimum(box[2:], found[:, 2:])
    shared = np.maximum(high - low, 0).prod(axis=1) / max(float(np.prod(box[2:] - box[:2])), 1.0)
    shared[list(taken - {NOBODY})] = 0
    return int(shared.argmax()) if len(shared) and shared.max() >= CONTAINED else NOBODY


def _box_of_joints(xy_image: Array, scores: Array) -> Array | None:
    """Return the box around the joints that were found, [4] float64; None where there are too few."""
    seen = scores > SEEN
    if seen.sum() < FEWEST:
        return None
    points = xy_image[seen].astype(np.float64)
    box = np.concatenate([points.min(axis=0), points.max(axis=0)])
    return box if box[3] - box[1] > 1 and box[2] - box[0] > 1 else None
