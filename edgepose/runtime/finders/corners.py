"""Recognize bounding boxes in another form or unit than x, y, width and height in pixels."""

from __future__ import annotations

import numpy as np

from edgepose._checks import Array
from edgepose.pose.geometry import Size

BEYOND = 0.1  # how far boxes reach beyond the image, as a fraction of its side; detectors stay below
NEAR = 0.02  # the same, where all boxes of a run look like corners


class CornerCheck:
    """Collects how far the boxes of a run reach, and how many only make sense as x0 y0 x1 y1."""

    def __init__(self) -> None:
        self.boxes = 0
        self.corners = 0
        self.fits = 0  # boxes that can be x0 y0 x1 y1
        self.beyond = 0  # those of them that reach beyond their image
        self.farthest_px = 0.0
        self.reach_px = 0.0
        self.smallest: Size | None = None  # the smallest image with a box

    def add(self, rows: Array, size: Size) -> None:
        """Look at the boxes of one image.

        Args:
            rows: [N, 4 or more] float; box_xyxy as computed from x, y, width and height.
            size: The (height, width) of the image.
        """
        low, high = rows[:, :2], rows[:, 2:4]
        limit = np.array([size[1], size[0]], np.float64)
        sides = high - low  # the lower right corner, if bbox is x0 y0 x1 y1
        beyond = np.maximum(high - limit, 0)
        fits = (sides > low).all(axis=1) & (sides <= limit + 2).all(axis=1)
        odd = fits & (beyond > BEYOND * limit).any(axis=1)
        self.boxes += len(rows)
        self.fits += int(fits.sum())
        self.beyond += int((fits & (beyond > np.maximum(2, NEAR * limit)).any(axis=1)).sum())
        if len(rows):
            self.reach_px = max(self.reach_px, float(high.max()))
            self.smallest = min(self.smallest or size, size, key=max)
        self.corners += int(odd.sum())
        self.farthest_px = max(self.farthest_px, float(beyond[odd].max(initial=0)))

    def notes(self) -> list[str]:
        """Return a line if all boxes look like corners or percentages, but not so surely that `problem` says it."""
        if self.boxes > 1 and self.fits == self.boxes and self.beyond and not self.problem():
            return [
                f"all {self.boxes} boxes fit into their image as x0 y0 x1 y1, and {self.beyond} of them reach beyond "
                "it as x, y, width and height; bbox must be x, y, width and height"
            ]
        if self.smallest is None or self.boxes < 2 or self.reach_px > 100.5 or max(self.smallest) < 300:
            return []
        height, width = self.smallest
        return [
            f"all {self.boxes} boxes lie within {self.reach_px:.0f} px of the upper left corner, in images of "
            f"{width}x{height} and larger: percent? Boxes must be in pixels"
        ]

    def problem(self) -> str:
        """Return what is wrong with the boxes, or an empty text."""
        if not self.corners or 2 * self.corners < self.boxes:
            return ""
        return (
            f"{self.corners} of {self.boxes} boxes reach up to {self.farthest_px:.0f} px beyond their image and fit "
            "into it as x0 y0 x1 y1; bbox must be x, y, width and height"
        )
