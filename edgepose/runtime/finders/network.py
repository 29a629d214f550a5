"""A network that finds people as a person finder: a detector, or a network that finds people with their joints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepose._checks import Array
from edgepose.pose.geometry import clip_boxes
from edgepose.pose.poses import Poses
from edgepose.runtime.pipeline import Pipeline


class NetworkFinder:
    """The people that a network finds. The caller closes the pipeline.

    Args:
        pipeline: The opened network, which finds people by itself.
        lines: What `notes` returns after a run.
    """

    def __init__(self, pipeline: Pipeline, lines: Sequence[str] = ()) -> None:
        self.pipeline, self._lines = pipeline, tuple(lines)

    def __call__(self, image: Array, frame_name: str, previous: Poses | None = None) -> tuple[Array, Array]:
        """Return the boxes of the people in an image; see `edgepose.runtime.finders.Finder`."""
        found = self.pipeline(image)
        boxes = clip_boxes(found.boxes_xyxy, (image.shape[0], image.shape[1])).astype(np.float32)
        seen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])  # a box may lie beside the image
        return boxes[seen], found.box_scores[seen]

    def notes(self) -> list[str]:
        """Return what there is to say about the network."""
        return list(self._lines)
