"""What smoothing did: jitter before and after, and lag.

Jitter is the second difference of a joint over three frames, x(t - 1) - 2 x(t) + x(t + 1), as a root mean square in
percent of the person's size. It is 0 for a joint that rests or moves evenly. True acceleration counts too, so the
reduction is a little larger than what is stated.

Lag is the time by which the smoothed motion is behind: the least-squares solution of raw - smoothed = lag x velocity,
over the joints that move. A joint at rest has none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array

MOVING = 0.3  # sizes of the person per second
LONGEST_S = 0.5  # between frames that are compared


@dataclass(frozen=True, kw_only=True)
class SmoothingReport:
    """What smoothing did.

    Attributes:
        joints: The number of joints that were compared over three frames.
        jitter_before: Jitter of the joints as found, percent of the person's size.
        jitter_after: Jitter of the smoothed joints.
        lag_ms: By how much the smoothed motion is behind, milliseconds; 0 where nobody moved.
    """

    joints: int
    jitter_before: float
    jitter_after: float
    lag_ms: float

    @property
    def reduction(self) -> float:
        """The share of the jitter that smoothing removed, 0 to 1."""
        return 1 - self.jitter_after / self.jitter_before if self.jitter_before else 0.0

    def line(self) -> str:
        """Return the report as one line."""
        if not self.joints:
            return "smoothing: nobody was seen in three frames in a row"
        return (
            f"smoothing: jitter {self.jitter_before:.2f} % of the person's size before, "
            f"{self.jitter_after:.2f} % after ({100 * self.reduction:.0f} % less); lag {self.lag_ms:.0f} ms"
        )


class Movement:
    """Sums over the frames of one person, or of all people."""

    def __init__(self) -> None:
        self._past: list[tuple[Array, Array, Array, float]] = []
        self.number = 0
        self._before = self._after = self._behind = self._speed = 0.0

    def add(self, raw: Array, smoothed: Array, seen: Array, time_s: float, size: float) -> None:
        """Take the next frame of a person.

        Args:
            raw: [K, 2] float, the joints as found, pixels.
            smoothed: [K, 2] float.
            seen: [K] bool.
            time_s: The time of the frame in seconds.
            size: The size of the person in pixels.
        """
        self._past = [*self._past[-2:], (raw, smoothed, seen, time_s)]
        if len(self._past) < 3:
            return
        (raw0, out0, seen0, time0), (raw1, out1, seen1, time1), (raw2, out2, seen2, time2) = self._past
        if not 0 < time1 - time0 < LONGEST_S or not 0 < time2 - time1 < LONGEST_S:
            return
        both = seen0 & seen1 & seen2
        self.number += int(both.sum())
        self._before += float(np.square((raw0 - 2 * raw1 + raw2)[both] / size).sum())
        self._after += float(np.square((out0 - 2 * out1 + out2)[both] / size).sum())
        speed = (out2 - out0) / ((time2 - time0) * size)
        moving = both & (np.square(speed).sum(axis=1) > MOVING**2)
        self._behind += float((speed[moving] * (raw1 - out1)[moving]).sum() / size)
        self._speed += float(np.square(speed[moving]).sum())

    def copy(self) -> Movement:
        """Return a copy of the sums."""
        other = Movement()
        other.join(self)
        return other

    def join(self, other: Movement) -> None:
        """Add the sums of another person."""
        self.number += other.number
        self._before += other._before
        self._after += other._after
        self._behind += other._behind
        self._speed += other._speed

    def report(self) -> SmoothingReport:
        """Return the result."""
        number = max(self.number, 1)
        return SmoothingReport(
            joints=self.number,
            jitter_before=100 * float(np.sqrt(self._before / number)),
            jitter_after=100 * float(np.sqrt(self._after / number)),
            lag_ms=1000 * self._behind / self._speed if self._speed else 0.0,
        )
