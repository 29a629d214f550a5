"""Which of the people of a frame count: those in a region, of a score, and at most so many."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array
from edgepose.errors import UsageError
from edgepose.media.sources import Frame
from edgepose.pose.geometry import Size
from edgepose.pose.poses import Poses
from edgepose.runtime.finders import Finder, notes_of

Region = tuple[float, float, float, float]


def check_region(region: Region) -> None:
    """Raise UsageError unless the numbers are the corners of a region."""
    x0, y0, x1, y1 = region
    shown = ",".join(f"{value:g}" for value in region)
    if not all(math.isfinite(value) and value >= 0 for value in region):
        raise UsageError(f"roi {shown}: expected numbers of at least 0")
    if x1 <= x0 or y1 <= y0:
        raise UsageError(f"roi {shown}: expected x0 < x1 and y0 < y1")


@dataclass(frozen=True, kw_only=True)
class PeopleSelection:
    """Which people count.

    Attributes:
        roi: x0, y0, x1, y1 of the region that the center of a person's box must be in: fractions of the image where no
            number is above 1, else pixels. None takes the whole image.
        least_score: The score that a person's box must have.
        max_people: The largest number of people in a frame; the largest boxes stay. 0 takes all.
    """

    roi: Region | None = None
    least_score: float = 0.0
    max_people: int = 0

    def __post_init__(self) -> None:
        """Check the region."""
        if self.roi is not None:
            check_region(self.roi)

    @property
    def takes_all(self) -> bool:
        """Whether everyone counts."""
        return self.roi is None and not self.least_score and not self.max_people

    def people(self, boxes_xyxy: Array, scores: Array, size: Size) -> Array:
        """Choose people.

        Args:
            boxes_xyxy: [P, 4] float, image pixels.
            scores: [P] float.
            size: The (height, width) of the image.

        Returns:
            The indices of those who count, [N] int64, in their order.

        Raises:
            UsageError: The region lies outside of the image.
        """
        kept = np.asarray(scores >= self.least_score)
        if self.roi is not None:
            x0, y0, x1, y1 = self._pixels(size)
            x, y = (boxes_xyxy[:, 0] + boxes_xyxy[:, 2]) / 2, (boxes_xyxy[:, 1] + boxes_xyxy[:, 3]) / 2
            kept &= (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)
        chosen = np.flatnonzero(kept)
        if self.max_people and len(chosen) > self.max_people:
            boxes = boxes_xyxy[chosen]
            area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
            chosen = np.sort(chosen[np.argsort(-area, kind="stable")[: self.max_people]])
        return chosen

    def step(self, frame: Frame, poses: Poses) -> Poses:
        """Keep the people who count, as a step of `edgepose.runtime.stream`."""
        height, width = frame.image.shape[:2]
        return poses[self.people(poses.boxes_xyxy, poses.box_scores, (height, width))]

    def _pixels(self, size: Size) -> Region:
        assert self.roi is not None
        x0, y0, x1, y1 = self.roi
        if max(self.roi) > 1:
            if x0 >= size[1] or y0 >= size[0]:
                shown = ",".join(f"{value:g}" for value in self.roi)
                raise UsageError(f"roi {shown}: lies outside of the image, which is {size[1]} x {size[0]} pixels")
            return self.roi
        return x0 * size[1] - 0.5, y0 * size[0] - 0.5, x1 * size[1] - 0.5, y1 * size[0] - 0.5


class SelectingFinder:
    """A finder that finds only the people who count.

    Args:
        finder: Finds everyone.
        selection: Says who counts.
    """

    def __init__(self, finder: Finder, selection: PeopleSelection) -> None:
        self._finder, self._selection = finder, selection

    def __call__(self, image: Array, frame_name: str, previous: Poses | None = None) -> tuple[Array, Array]:
        """Return the boxes of the people who count; see `edgepose.runtime.finders.Finder`."""
        boxes, scores = self._finder(image, frame_name, previous)
        chosen = self._selection.people(boxes, scores, (image.shape[0], image.shape[1]))
        return boxes[chosen], scores[chosen]

    def notes(self) -> list[str]:
        """Return what the finder has to say after a run."""
        return notes_of(self._finder)
