"""Smooth poses while frames come: a One-Euro filter (Casiez, Roussel and Vogel, CHI 2012) that moves with the joints.

The One-Euro filter is a low-pass filter whose cutoff frequency rises with the speed: a joint at rest is smoothed
strongly, and one that moves fast is hardly delayed. Two things are added, because the lag of fast joints costs more
accuracy than their noise:

- Before a frame is taken in, each joint moves on at most of its speed, so that an even motion is hardly delayed.
- The cutoff frequency also rises with the drift: the mean of the latest differences between the joints as found and as
  expected. Noise cancels out in it, and a filter that falls behind does not.

Lengths are counted in sizes of the person, so that the same options fit near and far people, and time in seconds, so
that they fit every frame rate. Speed and drift are those in the plane, so the result does not depend on the orientation
of the camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import numpy as np

from edgepose._checks import Array
from edgepose.errors import UsageError
from edgepose.media.sources import Frame
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import Skeleton
from edgepose.runtime.smoothing.report import Movement, SmoothingReport

JUMP_S = 1.0  # a clock that goes back by more was set anew
SIZE_S = 1.0  # time constant of a person's size, which must not jitter itself


@dataclass(frozen=True, kw_only=True)
class SmoothingOptions:
    """How strongly joints are smoothed. The size of a person is the square root of the area of the box.

    Attributes:
        cutoff_hz: Cutoff frequency for a joint at rest; lower values smooth more.
        speed_hz: By how much the cutoff frequency rises for each person's size per second; higher values delay less.
        speed_cutoff_hz: Cutoff frequency of the speed of a joint at rest.
        drift_hz: By how much the cutoff frequency rises with the drift, for each person's size per square root of a
            second; higher values follow turns sooner.
        carried: Share of the speed at which a joint moves on between frames, 0 to 1; higher values delay less, and
            overshoot more where a motion ends.
        seen: Joints of a lower score were not seen: they are given on as they are, and do not pull on the filter.
        forget_s: Seconds after which a joint that comes back is taken as it is.
    """

    cutoff_hz: float = 0.07
    speed_hz: float = 2.5
    speed_cutoff_hz: float = 6.0
    drift_hz: float = 12.5
    carried: float = 0.7
    seen: float = 0.2
    forget_s: float = 0.25

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant."""
        for item in fields(self):
            value = getattr(self, item.name)
            least = item.name in ("cutoff_hz", "speed_cutoff_hz")
            if not math.isfinite(value) or value < 0 or (least and not value):
                raise UsageError(f"{item.name} = {value}; expected a number {'above' if least else 'of at least'} 0")
        if self.carried > 1:
            raise UsageError(f"carried = {self.carried}; expected a number from 0 to 1")


# The motion of the body as a whole is less noisy than that of a joint, and steadier.
_BODY = SmoothingOptions(cutoff_hz=2.0, speed_hz=10.0, speed_cutoff_hz=5.0, drift_hz=16.0, carried=0.9)


class _Filter:
    """The filter of N points, each with a time of its own.

    Args:
        xy: [N, 2] float64, where the points begin.
        rise: By how much the cutoff frequency of the speed rises for each person's size per second, in Hz.
        drift_cutoff_hz: Cutoff frequency of the drift.
    """

    def __init__(self, xy: Array, rise: float, drift_cutoff_hz: float) -> None:
        self.xy, self.speed = np.array(xy, np.float64), np.zeros_like(xy, np.float64)
        self._rise, self._drift_cutoff_hz = rise, drift_cutoff_hz
        self._drift = np.zeros_like(self.xy)
        self._seen_s = np.full(len(xy), -np.inf)

    def update(self, xy: Array, seen: Array, size: float, time_s: float, options: SmoothingOptions) -> None:
        """Take the next points [N, 2]; those that are not seen, [N] bool, change nothing."""
        since = time_s - self._seen_s
        known = seen & (since <= options.forget_s) & (since > 0)
        fresh = seen & (since > options.forget_s)
        seconds = np.where(known, since, 1.0)[:, None]
        gap = xy - self.xy - options.carried * seconds * self.speed
        drift = self._drift + _weight(self._drift_cutoff_hz, seconds) * (gap - self._drift)
        pace = _length(self.speed) / size
        cutoff = (
            options.cutoff_hz + options.speed_hz * pace + options.drift_hz * _length(drift) / np.sqrt(seconds) / size
        )
        moved = xy - (1 - _weight(cutoff, seconds)) * gap
        weight = _weight(options.speed_cutoff_hz + self._rise * pace, seconds)
        speed = self.speed + weight * ((moved - self.xy) / seconds - self.speed)
        self.xy[known], self.speed[known], self._drift[known] = moved[known], speed[known], drift[known]
        self.xy[fresh], self.speed[fresh], self._drift[fresh] = xy[fresh], 0.0, 0.0
        self._seen_s[known | fresh] = time_s


def _length(xy: Array) -> Array:
    """Return the lengths of vectors [N, 2], as [N, 1]."""
    return np.asarray(np.sqrt(np.square(xy).sum(axis=1, keepdims=True)))


class _Person:
    """The filters of one person: where the body is, and where each joint is from there.

    The body moves faster than most joints move from it, and the mean of the joints is less noisy than each of them. So
    a person who walks is smoothed nearly as strongly as one who stands, and not delayed.
    """

    def __init__(self, xy: Array, size: float, time_s: float) -> None:
        self.size, self.latest_s = size, time_s
        self._place = np.zeros((1, 2))  # of the body, from where it was first seen
        self._raw, self._seen = xy, np.zeros(len(xy), bool)
        self._body, self._joints = _Filter(self._place, 3.5, 6.5), _Filter(xy, 6.0, 3.2)
        self.movement = Movement()

    def update(
        self, xy: Array, seen: Array, size: float, time_s: float, options: SmoothingOptions, body: SmoothingOptions
    ) -> Array:
        """Take the next joints [K, 2] and return the smoothed ones; those that are not seen stay as they are."""
        elapsed = max(time_s - self.latest_s, 0.0)
        self.size = max(self.size + (1 - math.exp(-elapsed / SIZE_S)) * (size - self.size), 1.0)
        self.latest_s = time_s
        both = seen & self._seen
        if both.any():
            self._place = self._place + np.median((xy - self._raw)[both], axis=0)
        self._raw, self._seen = xy, seen
        self._body.update(self._place, np.ones(1, bool), self.size, time_s, body)
        self._joints.update(xy - self._place, seen, self.size, time_s, options)
        return np.where(seen[:, None], self._joints.xy + self._body.xy, xy)


def _weight(cutoff_hz: Array | float, seconds: Array) -> Array:
    """Return the weight of the newest value in a first-order low-pass filter."""
    turn = 2 * np.pi * cutoff_hz * seconds
    return np.asarray(turn / (turn + 1))


class Smoother:
    """Smooths the joints of every person who has a track. Others are given on as they are.

    Args:
        options: How strongly.
        skeleton: The joints of the poses.
    """

    def __init__(self, options: SmoothingOptions, skeleton: Skeleton) -> None:
        self.options, self.skeleton = options, skeleton
        self._body = replace(_BODY, forget_s=options.forget_s)
        self._people: dict[int, _Person] = {}
        self._total = Movement()
        self._time_s = -math.inf

    def update(self, poses: Poses, time_s: float) -> Poses:
        """Smooth the people of the next frame.

        Args:
            poses: The people, with `track_ids`.
            time_s: The time of the frame in seconds. A time more than a second before that of the previous frame begins
                anew.

        Returns:
            The same people. Joints that were not seen are unchanged.

        Raises:
            ValueError: The people have no `track_ids`, or other joints.
        """
        if poses.track_ids is None:
            raise ValueError("poses: expected track_ids, because every person is smoothed alone; track the poses first")
        if poses.skeleton.joints != self.skeleton.joints:
            raise ValueError(f"poses: expected joints of {self.skeleton.name!r}, got those of {poses.skeleton.name!r}")
        if time_s < self._time_s - JUMP_S:
            self._forget(math.inf)
        self._time_s = time_s
        xy = poses.xy_image.copy()
        boxes = np.asarray(poses.boxes_xyxy, np.float64)
        sizes = np.sqrt(np.maximum(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), 1.0))
        for i, person in enumerate(poses.track_ids.tolist()):
            if person < 0:
                continue
            raw, size = poses.xy_image[i].astype(np.float64), float(sizes[i])
            seen = (poses.scores[i] >= self.options.seen) & (poses.scores[i] > 0)
            joints = self._people.get(person)
            if joints is None:
                joints = self._people[person] = _Person(raw, size, time_s)
            moved = joints.update(raw, seen, size, time_s, self.options, self._body)
            joints.movement.add(raw, moved, seen, time_s, joints.size)
            xy[i] = moved
        self._forget(time_s - self.options.forget_s)
        return replace(poses, xy_image=xy)

    def step(self, frame: Frame, poses: Poses) -> Poses:
        """Smooth the people of a frame, as a step of `edgepose.runtime.stream`."""
        return self.update(poses, frame.time_s)

    def report(self) -> SmoothingReport:
        """Return what smoothing did so far."""
        total = self._total.copy()
        for joints in self._people.values():
            total.join(joints.movement)
        return total.report()

    def _forget(self, before_s: float) -> None:
        for person in [key for key, joints in self._people.items() if joints.latest_s < before_s]:
            self._total.join(self._people.pop(person).movement)
