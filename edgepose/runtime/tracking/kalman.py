"""A Kalman filter for the boxes of all tracks at once, which knows how much time passed.

The state is that of SORT (Bewley et al., ICIP 2016) as DeepSORT and ByteTrack (Zhang et al., ECCV 2022) use it: center,
aspect ratio (width / height) and height, each with its velocity, and noise in proportion to the height. The four pairs
of value and velocity do not interact: they begin uncorrelated, and the noise is diagonal. So each has a 2x2 covariance
of its own, and the filter is the textbook one written out for it.

Those trackers count in frames. Here velocities are per second and noise grows with time (a random walk of the value and
of the velocity), so that dropped frames and variable frame rates are right. At 30 frames per second the amounts of
noise are about those of ByteTrack.
"""

from __future__ import annotations

import numpy as np

from edgepose._checks import Array

# In heights of the person; aspect ratios have no unit. The columns are x, y, aspect ratio and height.
MEASURED = np.array([0.05, 0.05, 0.1, 0.05])  # standard deviation of a measurement
DRIFT = np.array([0.27, 0.27, 0.05, 0.27])  # of the value, per square root of a second
ACCELERATION = np.array([1.0, 1.0, 0.02, 0.5])  # of the velocity per second, per square root of a second
FIRST_SPEED = np.array([1.5, 1.5, 0.05, 0.5])  # of the velocity per second of a person who was seen once


class BoxFilter:
    """The filtered boxes of T tracks.

    Attributes:
        value: [T, 4] float64: center x, center y, width / height, height; pixels.
        speed: [T, 4] float64: the same per second.
    """

    def __init__(self) -> None:
        self.value = np.zeros((0, 4))
        self.speed = np.zeros((0, 4))
        self._cov = np.zeros((3, 0, 4))  # var(value), cov(value, speed), var(speed)

    def __len__(self) -> int:
        return len(self.value)

    def predict(self, seconds: float) -> None:
        """Move all tracks to a later time.

        Args:
            seconds: How much later, at least 0.
        """
        value, both, speed = self._cov
        scale = _scale(self.value[:, 3])
        drift, acceleration = np.square(DRIFT * scale), np.square(ACCELERATION * scale)
        self.value = self.value + seconds * self.speed
        np.maximum(self.value[:, 2:], (0.05, 1.0), out=self.value[:, 2:])  # a box that shrinks does not turn over
        # In this order, because each line needs the old values of the next ones.
        value += seconds * (2 * both + seconds * speed + drift + seconds**2 / 3 * acceleration)
        both += seconds * (speed + seconds / 2 * acceleration)
        speed += seconds * acceleration

    def correct(self, tracks: Array, measured: Array) -> None:
        """Take measurements in.

        Args:
            tracks: [M] int64, the tracks that were measured, each once.
            measured: [M, 4] float64, their boxes as `to_state` returns them.
        """
        value, both, speed = self._cov[:, tracks]
        gap = measured - self.value[tracks]
        total = value + np.square(MEASURED * _scale(measured[:, 3]))
        gain, gain_speed = value / total, both / total
        self.value[tracks] += gain * gap
        self.speed[tracks] += gain_speed * gap
        self._cov[:, tracks] = np.stack([value - gain * value, both - gain * both, speed - gain_speed * both])

    def add(self, measured: Array) -> None:
        """Begin tracks, behind those that exist.

        Args:
            measured: [M, 4] float64, their boxes as `to_state` returns them.
        """
        scale = _scale(measured[:, 3])
        first = np.stack([np.square(MEASURED * scale), np.zeros_like(measured), np.square(FIRST_SPEED * scale)])
        self.value = np.concatenate([self.value, measured])
        self.speed = np.concatenate([self.speed, np.zeros_like(measured)])
        self._cov = np.concatenate([self._cov, first], axis=1)

    def keep(self, tracks: Array) -> None:
        """Keep some tracks, [T] bool, and forget the others."""
        self.value, self.speed, self._cov = self.value[tracks], self.speed[tracks], self._cov[:, tracks]

    def boxes(self) -> Array:
        """Return the boxes, [T, 4] float64 xyxy."""
        return to_boxes(self.value)


def _scale(height: Array) -> Array:
    """Return what noise is multiplied by, [N, 4]: the height for lengths, 1 for aspect ratios."""
    scale = np.repeat(height[:, None], 4, axis=1)
    scale[:, 2] = 1
    return scale


def to_state(boxes_xyxy: Array) -> Array:
    """Return boxes as center x, center y, width / height and height.

    Args:
        boxes_xyxy: [N, 4] float, with positive width and height.

    Returns:
        [N, 4] float64.
    """
    boxes = np.asarray(boxes_xyxy, np.float64)
    low, size = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
    state = np.empty_like(boxes)
    state[:, :2] = low + size / 2
    state[:, 2] = size[:, 0] / size[:, 1]
    state[:, 3] = size[:, 1]
    return state


def to_boxes(state: Array) -> Array:
    """Return the boxes of states; the inverse of `to_state`.

    Args:
        state: [N, 4] float64.

    Returns:
        [N, 4] float64 xyxy.
    """
    half = np.stack([state[:, 2] * state[:, 3], state[:, 3]], axis=1) / 2
    return np.concatenate([state[:, :2] - half, state[:, :2] + half], axis=1)
