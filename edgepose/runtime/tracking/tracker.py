"""The tracker: two rounds of matching, in the manner of ByteTrack (Zhang et al., ECCV 2022).

People of a high score are matched with all tracks first, also with those that were lost a moment ago. People of a low
score, who are often partly hidden, then continue tracks that are left; they begin none. ByteTrack compares boxes. Here
the poses are compared too, which tells people apart whose boxes cover each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.pose.poses import SEEN, Poses
from edgepose.pose.skeletons import Skeleton
from edgepose.runtime.tracking.kalman import LEAST, BoxFilter, to_boxes, to_state
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
        xy, shown = self._compared(poses)
        state = to_state(boxes)
        track = np.full(len(boxes), NOBODY, np.int64)  # the row of each person's track
        free = np.ones(len(self._tracks), bool)
        if known is not None:
            check_array("known", known, (len(boxes),), np.int64)
            self._take_known(track, free, known)
        open_ = usable & (track < 0)
        certain = open_ & (poses.box_scores >= self.options.high_score)
        people = _People(boxes, state, xy, shown)
        self._match(track, free, certain.nonzero()[0], people, self.options.min_similarity)
        low = (open_ ^ certain) & (poses.box_scores >= self.options.low_score)
        if low.any():
            seen_last = free & (self._tracks["missed"] == 0) & (self._tracks["id"] >= 0)
            self._match(track, seen_last, low.nonzero()[0], people, self.options.min_similarity_low)
        self._correct(track, people)
        self._begin(track, (certain & (track < 0)).nonzero()[0], people, first)
        ids, self.keys = np.full((2, len(boxes)), NOBODY, np.int64)
        mine = track >= 0
        ids[mine], self.keys[mine] = self._tracks["id"][track[mine]], self._tracks["key"][track[mine]]
        self._forget((self._tracks["id"] < 0) & (self._tracks["missed"] > 0))  # nobody, it seems
        return Poses(
            skeleton=poses.skeleton,
            xy_image=poses.xy_image,
            scores=poses.scores,
            boxes_xyxy=poses.boxes_xyxy,
            box_scores=poses.box_scores,
            track_ids=ids,
        )

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
        np.maximum(state[:, 2:], LEAST, out=state[:, 2:])
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

    def _match(self, track: Array, free: Array, who: Array, people: _People, least: float) -> None:
        """Match some people with free tracks; fill in `track` and `free`."""
        rows = free.nonzero()[0]
        if not len(who) or not len(rows):
            return
        places = self._boxes.value[rows]
        similarity = overlaps(people.boxes[who], to_boxes(places))
        weight = self.options.pose_weight
        if weight and len(self._joints):
            # The poses of people whose boxes do not touch are not alike, unless a person moved far between frames.
            alone = np.asarray(~similarity.any(axis=1))
            a, b = (similarity + alone[:, None]).nonzero()
            if len(a):
                near, person, row = places[b], who[a], rows[b]
                gap = self._tracks["pose"][row]
                gap *= near[:, 3, None, None]
                gap += near[:, None, :2]
                gap -= people.xy[person]
                both = people.shown[person] & self._tracks["shown"][row]
                state = people.state[person]
                area_squared = near[:, 2] * state[:, 2] * np.square(near[:, 3] * state[:, 3])
                pose = self._similarity.pairs(gap, both, area_squared)
                boxes = similarity[a, b]
                similarity[a, b] = np.where(np.isnan(pose), boxes, (1 - weight) * boxes + weight * pose)
        found = match(similarity, least)
        some = found >= 0
        taken = rows[found[some]]
        track[who[some]] = taken
        free[taken] = False

    def _correct(self, track: Array, people: _People) -> None:
        who = (track >= 0).nonzero()[0]
        rows = track[who]
        tracks = self._tracks
        tracks["missed"] += 1
        if not len(who):
            return
        self._boxes.correct(rows, people.state[who])
        tracks["hits"][rows] += 1
        tracks["missed"][rows] = 0
        tracks["seen_s"][rows] = self._time_s
        tracks["pose"][rows], tracks["shown"][rows] = people.poses(who)
        self._confirm(rows[(tracks["hits"][rows] >= self.options.confirm) & (tracks["id"][rows] < 0)])

    def _begin(self, track: Array, who: Array, people: _People, first: bool) -> None:
        number = len(who)
        if not number:
            return
        new = np.zeros(number, self._columns)
        new["key"] = np.arange(self._last_key + 1, self._last_key + 1 + number)
        new["id"], new["hits"], new["seen_s"] = NOBODY, 1, self._time_s
        new["pose"], new["shown"] = people.poses(who)
        rows = np.arange(len(self._tracks), len(self._tracks) + number)
        self._last_key += number
        self._boxes.add(people.state[who])
        self._tracks = np.concatenate([self._tracks, new])
        track[who] = rows
        if first or self.options.confirm == 1:
            self._confirm(rows)

    def _confirm(self, rows: Array) -> None:
        if len(rows):
            self._tracks["id"][rows] = np.arange(self._last_id + 1, self._last_id + 1 + len(rows))
            self._last_id += len(rows)

    def _compared(self, poses: Poses) -> tuple[Array, Array]:
        """Return the joints that are compared, [P, J, 2], and which of them were seen, [P, J] bool."""
        xy, scores = poses.xy_image, poses.scores
        if len(self._joints) < len(self.skeleton):
            xy, scores = xy[:, self._joints], scores[:, self._joints]
        return xy, scores > SEEN

    def _outdated(self) -> Array:
        """Return the tracks whose time is up, [T] bool."""
        return np.asarray(self._tracks["seen_s"] < (self._time_s or 0.0) - self.options.keep_s)

    def _forget(self, gone: Array) -> None:
        if gone.any():
            self._boxes.keep(~gone)
            self._tracks = self._tracks[~gone]


@dataclass(frozen=True)
class _People:
    """The P people of a frame.

    Attributes:
        boxes: [P, 4] float64 xyxy, with an extent.
        state: [P, 4] float64, the boxes as `to_state` returns them.
        xy: [P, J, 2] float32, the joints that are compared, pixels.
        shown: [P, J] bool, which of them were seen.
    """

    boxes: Array
    state: Array
    xy: Array
    shown: Array

    def poses(self, who: Array) -> tuple[Array, Array]:
        """Return the poses of people in heights of their boxes, from the center, and which joints were seen."""
        state = self.state[who]
        return (self.xy[who] - state[:, None, :2]) / state[:, None, 3:], self.shown[who]


def _with_extent(boxes: Array) -> tuple[Array, Array]:
    """Say which boxes can be followed, [P] bool, and widen narrow ones, [P, 4], such as that of joints in a line."""
    usable = np.ones(len(boxes), bool)
    if not np.isfinite(boxes).all():
        usable = np.asarray(np.isfinite(boxes).all(axis=1))
        boxes = np.where(usable[:, None], boxes, 0.0)
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    least = np.maximum(NARROWEST * np.maximum(width, height), 1.0)
    if (np.minimum(width, height) >= least).all():
        return usable, boxes
    usable = usable & (width >= 0) & (height >= 0)
    half = np.maximum(np.stack([width, height], axis=1), least[:, None]) / 2
    center = (boxes[:, :2] + boxes[:, 2:]) / 2
    return usable, np.concatenate([center - half, center + half], axis=1)
