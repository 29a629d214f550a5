"""When the person detector runs again, while people are followed by their poses."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edgepose._checks import Array
from edgepose.errors import UsageError

LONGEST_S = 2.0  # between detections, whatever the picture shows
BACKOFF_S = 0.5  # the longest wait after detections that found nobody new
WATCH_S = 1.0  # how long a lost person is looked for more often
CELLS = 160  # across the picture that is compared
CHANGED = 12  # gray levels by which a cell that changed differs
FEWEST = 8  # cells that somebody who enters changes at least
MARGIN = 0.15  # of a person's height: the picture around people changes as they move


@dataclass
class Schedule:
    """Decides for every frame whether the detector runs.

    With an interval, the detector runs every so many frames. Without one, it runs when the picture changed outside of
    the people who are followed, where somebody may have entered, and after two seconds. Either way it also runs in the
    frame after one in which a person was lost or is unsure.

    Attributes:
        every: The largest number of frames from one detection to the next; None adapts it to the picture.

    Raises:
        UsageError: The interval is below 1.
    """

    every: int | None = None

    def __post_init__(self) -> None:
        """Refuse an interval below 1, and begin."""
        if self.every is not None and self.every < 1:
            raise UsageError(f"detect_every = {self.every}; expected a number of frames from 1, or None for auto")
        self._frames = 0  # since the latest detection
        self._last_s: float | None = None
        self._wait_s = 0.0
        self._unsure = self._followed = False
        self._lost_s = -float("inf")
        self._picture: Array | None = None  # at the latest detection
        self._people = np.zeros((0, 4))  # who were there then
        self._small: Array | None = None  # of the latest frame

    def due(self, image: Array, boxes_xyxy: Array, time_s: float) -> bool:
        """Say whether the detector runs in a frame.

        Args:
            image: The frame, [H, W, 3] uint8 BGR.
            boxes_xyxy: [T, 4] float, where the people who are followed are expected.
            time_s: The time of the frame in seconds.
        """
        self._frames += 1
        self._small = _reduced(image) if self.every is None else None
        if self._last_s is None or time_s < self._last_s or self._unsure:
            return True
        if self.every is not None:
            return self._frames >= self.every
        waited = time_s - self._last_s
        if waited >= LONGEST_S or (time_s - self._lost_s < WATCH_S and self._frames >= 2):
            return True
        if len(boxes_xyxy) and waited < self._wait_s:
            return False
        return self._changed(image, boxes_xyxy) >= FEWEST

    def detected(self, time_s: float, boxes_xyxy: Array, news: bool) -> None:
        """Learn what a detection gave.

        Args:
            time_s: The time of the frame in seconds.
            boxes_xyxy: [P, 4] float, everyone who is followed now.
            news: Whether somebody was found who was not followed.
        """
        since = LONGEST_S if self._last_s is None else time_s - self._last_s
        self._wait_s = 0.0 if news else min(BACKOFF_S, max(2 * self._wait_s, 2 * since, 0.0))
        self._last_s, self._frames = time_s, 0
        self._picture, self._people = self._small, boxes_xyxy

    def learn(self, time_s: float, *, unsure: bool, lost: bool) -> None:
        """Learn how following went in the latest frame.

        Args:
            time_s: The time of the frame in seconds.
            unsure: Whether somebody's pose is so bad that the box may be wrong.
            lost: Whether somebody was lost.
        """
        self._unsure = unsure or lost
        if lost:
            self._lost_s = time_s

    def _changed(self, image: Array, boxes_xyxy: Array) -> int:
        """Return the number of cells that changed since the latest detection, outside of people."""
        small, picture = self._small, self._picture
        if small is None or picture is None or small.shape != picture.shape:
            return FEWEST
        gap = small - picture
        gap -= np.median(gap[::4, ::4])  # a change of exposure moves everything
        changed = np.abs(gap, out=gap) > CHANGED
        step = max(1, image.shape[1] // CELLS)
        boxes = np.concatenate([boxes_xyxy, self._people])
        margin = MARGIN * (boxes[:, 3:] - boxes[:, 1:2])
        low = np.maximum((boxes[:, :2] - margin) // step, 0).astype(int)
        high = np.maximum((boxes[:, 2:] + margin) // step + 1, 0).astype(int)
        for (x0, y0), (x1, y1) in zip(low, high, strict=True):
            changed[y0:y1, x0:x1] = False
        return int(np.count_nonzero(changed))


def _reduced(image: Array) -> Array:
    """Return a small gray picture, [h, w] float32. Few pixels of the frame are read, and noise is averaged."""
    step = max(1, image.shape[1] // CELLS)
    return cv2.blur(image[::step, ::step, 1].astype(np.float32), (3, 3))
