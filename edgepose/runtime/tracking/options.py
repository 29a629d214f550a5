"""The options of the tracker."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from edgepose.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class TrackingOptions:
    """How people are followed from frame to frame.

    Attributes:
        high_score: People of at least this score are matched first, and only they begin a new track.
        low_score: People of at least this score continue a track that no person of a high score continues.
        keep_s: Seconds for which a person who is no longer seen keeps the identity.
        confirm: Frames in which a person must be found before the person gets an identity. People of the first frame
            get theirs at once.
        min_similarity: Similarity of a person and a track, 0 to 1, below which they are not the same person.
        min_similarity_low: The same for people of a low score.
        pose_weight: Share of the pose in the similarity, 0 to 1; the rest is that of the boxes.
    """

    high_score: float = 0.3
    low_score: float = 0.1
    keep_s: float = 2.0
    confirm: int = 2
    min_similarity: float = 0.2
    min_similarity_low: float = 0.4
    pose_weight: float = 0.5

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant."""
        for item in fields(self):
            value = getattr(self, item.name)
            if not math.isfinite(value) or value < 0:
                raise UsageError(f"{item.name} = {value}; expected a number of at least 0")
        for name in ("high_score", "low_score", "min_similarity", "min_similarity_low", "pose_weight"):
            if getattr(self, name) > 1:
                raise UsageError(f"{name} = {getattr(self, name)}; expected a number from 0 to 1")
        if self.low_score > self.high_score:
            raise UsageError(
                f"low_score = {self.low_score} is above high_score = {self.high_score}; expected it to be at most that"
            )
        if self.confirm < 1:
            raise UsageError(f"confirm = {self.confirm}; expected at least 1 frame")
