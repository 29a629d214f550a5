"""`Poses`: the one result type, N people of K joints in one image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.pose.skeletons import Skeleton


@dataclass(frozen=True, kw_only=True)
class Poses:
    """N people in one image, coordinates in image space (pixels, pixel centers at integers).

    xy_image: [N, K, 2] float32, x then y. scores: [N, K] float32, per joint, 0..1 for heatmaps; a joint that
    was not found has score 0 and lies at (0, 0), as in COCO results. boxes_xyxy: [N, 4] float32, the box each
    person was cropped from, or that of the joints found. box_scores: [N] float32.
    track_ids: [N] int64 where people are followed, -1 where not; None without tracking.
    """

    skeleton: Skeleton
    xy_image: Array  # [N, K, 2] float32
    scores: Array  # [N, K] float32
    boxes_xyxy: Array  # [N, 4] float32
    box_scores: Array  # [N] float32
    track_ids: Array | None = None  # [N] int64

    def __post_init__(self) -> None:
        joints = len(self.skeleton)
        n = check_array("xy_image", self.xy_image, ("N", joints, 2), np.float32)["N"]
        check_array("scores", self.scores, (n, joints), np.float32)
        check_array("boxes_xyxy", self.boxes_xyxy, (n, 4), np.float32)
        check_array("box_scores", self.box_scores, (n,), np.float32)
        if self.track_ids is not None:
            check_array("track_ids", self.track_ids, (n,), np.int64)

    def __len__(self) -> int:
        return int(self.xy_image.shape[0])

    @staticmethod
    def empty(skeleton: Skeleton) -> Poses:
        """No people."""
        joints = len(skeleton)
        return Poses(
            skeleton=skeleton,
            xy_image=np.zeros((0, joints, 2), np.float32),
            scores=np.zeros((0, joints), np.float32),
            boxes_xyxy=np.zeros((0, 4), np.float32),
            box_scores=np.zeros((0,), np.float32),
        )
