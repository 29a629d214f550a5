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
LEAST = (0.05, 1.0)  # aspect ratio and height, so that a box that shrinks does not turn over
_MEASURED_SQUARED = np.square(MEASURED)
# Factors of the time, its square and its cube in the noise that time adds: [3 * 4, 3].
_POWERS = (
    np.stack(
        [
            np.stack([np.square(DRIFT), np.zeros(4), np.square(ACCELERATION) / 3]),
            np.stack([np.zeros(4), np.square(ACCELERATION) / 2, np.zeros(4)]),
            np.stack([np.square(ACCELERATION), np.zeros(4), np.zeros(4)]),
        ]
    )
    .transpose(0, 2, 1)
    .reshape(12, 3)
)


class BoxFilter:
    """The filtered boxes of T tracks."""

    def __init__(self) -> None:
        # value, speed, var(value), cov(value, speed), var(speed): one array, so that one operation serves all
        self._state = np.zeros((5, 0, 4))

    def __len__(self) -> int:
        return self._state.shape[1]

    @property
    def value(self) -> Array:
        """[T, 4] float64: center x, center y, width / height, height; pixels."""
        return np.asarray(self._state[0])

    @property
    def speed(self) -> Array:
        """[T, 4] float64: the same per second."""
        return np.asarray(self._state[1])

    def predict(self, seconds: float) -> None:
        """Move all tracks to a later time.

        Args:
            seconds: How much later, at least 0.
        """
        noise = _noise(seconds)[:, None] * _squared_scale(self._state[0, :, 3])
        moved = seconds * self._state[1:5:3]  # the value moves by the speed, the covariance by the speed's variance
        self._state[0] += moved[0]
        np.maximum(self._state[0, :, 2:], LEAST, out=self._state[0, :, 2:])
        # In this order, because each line needs the old values of the next ones.
        self._state[2] += seconds * (2 * self._state[3] + moved[1])
        self._state[3] += moved[1]
        self._state[2:] += noise

    def correct(self, tracks: Array, measured: Array) -> None:
        """Take measurements in.

        Args:
            tracks: [M] int64, the tracks that were measured, each once.
            measured: [M, 4] float64, their boxes as `to_state` returns them.
        """
        state = self._state[:, tracks]
        gain = state[2:4] / (state[2] + _MEASURED_SQUARED * _squared_scale(measured[:, 3]))
        state[:2] += gain * (measured - state[0])
        state[4] -= gain[1] * state[3]
        state[2:4] *= 1 - gain[0]
        self._state[:, tracks] = state

    def add(self, measured: Array) -> None:
        """Begin tracks, behind those that exist.

        Args:
            measured: [M, 4] float64, their boxes as `to_state` returns them.
        """
        first = np.zeros((5, *measured.shape))
        first[0] = measured
        first[2:5:2] = np.square((MEASURED, FIRST_SPEED))[:, None] * _squared_scale(measured[:, 3])
        self._state = np.concatenate([self._state, first], axis=1)

    def keep(self, tracks: Array) -> None:
        """Keep some tracks, [T] bool, and forget the others."""
        self._state = self._state[:, tracks]

    def boxes(self) -> Array:
        """Return the boxes, [T, 4] float64 xyxy."""
        return to_boxes(self.value)


def _noise(seconds: float) -> Array:
    """Return by how much the variance of the value, the covariance and the variance of the speed grow, [3, 4]."""
    return np.asarray(_POWERS @ (seconds, seconds**2, seconds**3)).reshape(3, 4)


def _squared_scale(height: Array) -> Array:
    """Return what variances are multiplied by, [N, 4]: the squared height for lengths, 1 for aspect ratios."""
    scale = np.empty((len(height), 4))
    scale[:] = np.square(height)[:, None]
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
    boxes = np.empty_like(state)
    half = state[:, 2:] / 2
    half[:, 0] *= state[:, 3]
    np.subtract(state[:, :2], half, out=boxes[:, :2])
    np.add(state[:, :2], half, out=boxes[:, 2:])
    return boxes
