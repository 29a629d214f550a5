"""The tracker: two rounds of matching, in the manner of ByteTrack (Zhang et al., ECCV 2022).

People of a high score are matched with all tracks first, also with those that were lost a moment ago. People of a low
score, who are often partly hidden, then continue tracks that are left; they begin none. ByteTrack compares boxes. Here
the poses are compared too, which tells people apart whose boxes cover each other.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.pose.poses import SEEN, Poses
from edgepose.pose.skeletons import Skeleton
from edgepose.runtime.tracking.kalman import BoxFilter, to_boxes, to_state
from edgepose.runtime.tracking.matching import match
from edgepose.runtime.tracking.options import TrackingOptions
from edgepose.runtime.tracking.similarity import PoseSimilarity, overlaps

JUMP_S = 1.0  # A clock that goes back by more was set anew; by less, frames are a little out of order.
NARROWEST = 0.1  # of the longer side, that the shorter side of a box has
NOBODY = -1  # the id of a person without a track


class Tracker:
    """Gives people identities. One tracker follows one source, and gets its frames in order.

    Ids begin at 1 and are never used for another person.

    Args:
        options: How people are followed.
        skeleton: The joints of the poses. Without joints, boxes alone are compared.

    Attributes:
        keys: [P] int64, the number of the track of each person of the latest frame, -1 for none. Other than the id, a
            track has it before it is confirmed.

    Examples:
        >>> tracker = Tracker(TrackingOptions(), pose.skeleton)
        >>> for frame in pose.stream("video.mp4", options=StreamOptions(detector="people.onnx")):
        ...     people = tracker.update(frame.poses, frame.time_s)
        ...     print(people.track_ids)
    """

    def __init__(self, options: TrackingOptions, skeleton: Skeleton) -> None:
        self.options, self.skeleton = options, skeleton
        self._similarity = PoseSimilarity(skeleton)
        self._joints = self._similarity.joints
        joints = len(self._joints)
        self._columns = np.dtype(
            [
                ("key", np.int64),  # the number of the track, which may never be confirmed
                ("id", np.int64),  # the identity; NOBODY before the track is confirmed
                ("hits", np.int64),  # frames in which the person was found
                ("missed", np.int64),  # frames since the latest of them
                ("seen_s", np.float64),  # the time of the latest of them
                ("pose", np.float64, (joints, 2)),  # in heights of the box, from its center
                ("shown", np.bool_, (joints,)),
            ]
        )
        self.keys = np.zeros(0, np.int64)
        self._last_key = self._last_id = 0
        self._time_s: float | None = None
        self._forget_all()

    def update(self, poses: Poses, time_s: float, known: Array | None = None) -> Poses:
        """Take the people of the next frame, and give each the id of a track.

        Args:
            poses: The people. Their `track_ids` are ignored.
            time_s: The time of the frame in seconds. A time more than a second before that of the previous frame, as
                after a new start of a stream, begins all tracks anew.
            known: [P] int64, the keys of the tracks that people are known to belong to, because their boxes came from
                `expected`; -1 for other people. None knows nobody.

        Returns:
            The same people with `track_ids`; -1 for a person whom no track fits and who begins none: a person of a low
            score, or one who was found in too few frames so far.

        Raises:
            ValueError: The poses have other joints than the tracker, or `known` has another shape.
        """
        if poses.skeleton.joints != self.skeleton.joints:
            raise ValueError(f"poses: expected joints of {self.skeleton.name!r}, got those of {poses.skeleton.name!r}")
        first = self._time_s is None
        self._advance(time_s)
        usable, boxes = _with_extent(np.asarray(poses.boxes_xyxy, np.float64))
        track = np.full(len(boxes), NOBODY, np.int64)  # the row of each person's track
        free = np.ones(len(self._tracks), bool)
        if known is not None:
            check_array("known", known, (len(boxes),), np.int64)
            self._take_known(track, free, known)
        open_ = usable & (track < 0)
        certain = poses.box_scores >= self.options.high_score
        self._match(track, free, np.flatnonzero(open_ & certain), poses, boxes, self.options.min_similarity)
        low = open_ & ~certain & (poses.box_scores >= self.options.low_score)
        if low.any():
            seen_last = free & (self._tracks["missed"] == 0) & (self._tracks["id"] >= 0)
            self._match(track, seen_last, np.flatnonzero(low), poses, boxes, self.options.min_similarity_low)
        self._correct(track, poses, boxes)
        self._begin(track, np.flatnonzero(open_ & certain & (track < 0)), poses, boxes, first)
        ids, self.keys = np.full((2, len(boxes)), NOBODY, np.int64)
        mine = track >= 0
        ids[mine], self.keys[mine] = self._tracks["id"][track[mine]], self._tracks["key"][track[mine]]
        self._forget((self._tracks["id"] < 0) & (self._tracks["missed"] > 0))  # nobody, it seems
        return replace(poses, track_ids=ids)

    def expected(self, time_s: float) -> tuple[Array, Array]:
        """Say where the people of the latest frame will be. The tracker does not change.

        Args:
            time_s: The time in seconds.

        Returns:
            A pair: the keys of the tracks that were found in the latest frame, [T] int64, also of those that are not
            confirmed yet; and their boxes, [T, 4] float64 xyxy.
        """
        now = self._tracks["missed"] == 0
        seconds = max(0.0, time_s - self._time_s) if self._time_s is not None else 0.0
        state = self._boxes.value[now] + seconds * self._boxes.speed[now]
        np.maximum(state[:, 2:], (0.05, 1.0), out=state[:, 2:])
        return self._tracks["key"][now], to_boxes(state)

    @property
    def lost(self) -> int:
        """The number of identities that are remembered and were not found in the latest frame."""
        return int(((self._tracks["id"] >= 0) & (self._tracks["missed"] > 0)).sum())

    def _forget_all(self) -> None:
        self._boxes, self._tracks = BoxFilter(), np.zeros(0, self._columns)

    def _advance(self, time_s: float) -> None:
        if self._time_s is not None:
            if time_s < self._time_s - JUMP_S:
                self._forget_all()
            else:
                time_s = max(time_s, self._time_s)
                self._boxes.predict(time_s - self._time_s)
        self._time_s = time_s
        self._forget(self._outdated())

    def _take_known(self, track: Array, free: Array, known: Array) -> None:
        row_of = {key: row for row, key in enumerate(self._tracks["key"].tolist())}
        for person, key in enumerate(known.tolist()):
            row = row_of.get(key, NOBODY)
            if row >= 0 and free[row]:
                track[person], free[row] = row, False

    def _match(self, track: Array, free: Array, people: Array, poses: Poses, boxes: Array, least: float) -> None:
        """Match `people` with free tracks; fill in `track` and `free`."""
        rows = np.flatnonzero(free)
        if not len(people) or not len(rows):
            return
        places = self._boxes.value[rows]
        similarity = overlaps(boxes[people], to_boxes(places))
        weight = self.options.pose_weight
        if weight and len(self._joints) and similarity.any():
            height = places[:, 3]
            xy = self._tracks["pose"][rows] * height[:, None, None] + places[:, None, :2]
            area = places[:, 2] * height * height
            mine = boxes[people]
            pose = self._similarity(
                poses.xy_image[people][:, self._joints],
                poses.scores[people][:, self._joints] > SEEN,
                (mine[:, 2] - mine[:, 0]) * (mine[:, 3] - mine[:, 1]),
                xy,
                self._tracks["shown"][rows],
                area,
            )
            similarity = np.where(np.isnan(pose), similarity, (1 - weight) * similarity + weight * pose)
        found = match(similarity, least)
        some = found >= 0
        track[people[some]] = rows[found[some]]
        free[rows[found[some]]] = False

    def _correct(self, track: Array, poses: Poses, boxes: Array) -> None:
        people = np.flatnonzero(track >= 0)
        rows = track[people]
        tracks = self._tracks
        tracks["missed"] += 1
        if not len(people):
            return
        state = to_state(boxes[people])
        self._boxes.correct(rows, state)
        tracks["hits"][rows] += 1
        tracks["missed"][rows] = 0
        tracks["seen_s"][rows] = self._time_s
        tracks["pose"][rows], tracks["shown"][rows] = self._pose_of(poses, people, state)
        self._confirm(rows[(tracks["hits"][rows] >= self.options.confirm) & (tracks["id"][rows] < 0)])

    def _begin(self, track: Array, people: Array, poses: Poses, boxes: Array, first: bool) -> None:
        number = len(people)
        if not number:
            return
        state = to_state(boxes[people])
        new = np.zeros(number, self._columns)
        new["key"] = np.arange(self._last_key + 1, self._last_key + 1 + number)
        new["id"], new["hits"], new["seen_s"] = NOBODY, 1, self._time_s
        new["pose"], new["shown"] = self._pose_of(poses, people, state)
        rows = np.arange(len(self._tracks), len(self._tracks) + number)
        self._last_key += number
        self._boxes.add(state)
        self._tracks = np.concatenate([self._tracks, new])
        track[people] = rows
        if first or self.options.confirm == 1:
            self._confirm(rows)

    def _confirm(self, rows: Array) -> None:
        if len(rows):
            self._tracks["id"][rows] = np.arange(self._last_id + 1, self._last_id + 1 + len(rows))
            self._last_id += len(rows)

    def _pose_of(self, poses: Poses, people: Array, state: Array) -> tuple[Array, Array]:
        """Return the poses of people in heights of their boxes, and which joints were seen."""
        xy = poses.xy_image[people][:, self._joints]
        shown = poses.scores[people][:, self._joints] > SEEN
        return (xy - state[:, None, :2]) / state[:, None, 3:], shown

    def _outdated(self) -> Array:
        """Return the tracks whose time is up, [T] bool."""
        return np.asarray(self._tracks["seen_s"] < (self._time_s or 0.0) - self.options.keep_s)

    def _forget(self, gone: Array) -> None:
        if gone.any():
            self._boxes.keep(~gone)
            self._tracks = self._tracks[~gone]


def _with_extent(boxes: Array) -> tuple[Array, Array]:
    """Say which boxes can be followed, [P] bool, and widen narrow ones, [P, 4], such as that of joints in a line."""
    size = boxes[:, 2:] - boxes[:, :2]
    usable = np.asarray(np.isfinite(boxes).all(axis=1) & (size >= 0).all(axis=1))
    least = np.maximum(NARROWEST * size.max(axis=1, keepdims=True, initial=0), 1.0)
    if (size >= least)[usable].all():
        return usable, boxes
    half = np.maximum(size, least) / 2
    center = (boxes[:, :2] + boxes[:, 2:]) / 2
    return usable, np.concatenate([center - half, center + half], axis=1)
