"""`Poses`, the one result type: P people with K joints each, in one image."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgepose._checks import Array, check_array
from edgepose._optional import optional
from edgepose.pose.skeletons import Skeleton

if TYPE_CHECKING:
    import pandas
    import supervision

UNTRACKED = -1  # the id of a person who is not tracked
SEEN = 0.2  # joints with a lower score do not count for a person's score, as COCO evaluation code does it


def person_scores(joint_scores: Array) -> Array:
    """Return the confidence of people from the scores of their joints.

    Args:
        joint_scores: [P, K] float, 0 to 1.

    Returns:
        [P] float: the mean of the joint scores above 0.2, and 0 for a person without such a joint.
    """
    seen = joint_scores > SEEN
    total = np.where(seen, joint_scores, 0).sum(axis=1)
    return np.asarray(total / np.maximum(seen.sum(axis=1), 1))


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Poses:
    """The poses of the people in one image.

    Coordinates are in image space: pixels, with pixel centers at integers. `len(poses)` is the number of people.
    `poses[i]`, `poses[1:3]` and `poses[mask]` are the poses of some of them, and iterating gives one person at a
    time, always as `Poses`.

    Attributes:
        skeleton: Names of the K joints, and the limbs between them.
        xy_image: [P, K, 2] float32, x then y in pixels. A joint that was not found lies at (0, 0), as in COCO.
        scores: [P, K] float32 per joint, 0 to 1 for heatmaps; 0 for a joint that was not found.
        boxes_xyxy: [P, 4] float32, the box that a person was cropped from, or the box around the joints found.
        box_scores: [P] float32, the confidence of the person detector.
        track_ids: [P] int64, -1 for a person who is not tracked; None without tracking.
    """

    skeleton: Skeleton
    xy_image: Array  # [P, K, 2] float32
    scores: Array  # [P, K] float32
    boxes_xyxy: Array  # [P, 4] float32
    box_scores: Array  # [P] float32
    track_ids: Array | None = None  # [P] int64

    def __post_init__(self) -> None:
        joints = len(self.skeleton)
        n = check_array("xy_image", self.xy_image, ("N", joints, 2), np.float32)["N"]
        check_array("scores", self.scores, (n, joints), np.float32)
        check_array("boxes_xyxy", self.boxes_xyxy, (n, 4), np.float32)
        check_array("box_scores", self.box_scores, (n,), np.float32)
        if self.track_ids is not None:
            check_array("track_ids", self.track_ids, (n,), np.int64)

    @staticmethod
    def empty(skeleton: Skeleton) -> Poses:
        """Return the poses of an image without people."""
        joints = len(skeleton)
        return Poses(
            skeleton=skeleton,
            xy_image=np.zeros((0, joints, 2), np.float32),
            scores=np.zeros((0, joints), np.float32),
            boxes_xyxy=np.zeros((0, 4), np.float32),
            box_scores=np.zeros((0,), np.float32),
        )

    @property
    def person_scores(self) -> Array:
        """[P] float32: the box score times the mean score of the joints above 0.2, as COCO results are scored.

        It is the box score alone for people without joints, whom a person detector finds.
        """
        if not len(self.skeleton):
            return self.box_scores
        return np.asarray(self.box_scores * person_scores(self.scores), np.float32)

    def __len__(self) -> int:
        return int(self.xy_image.shape[0])

    def __getitem__(self, people: int | slice | Array | list[int]) -> Poses:
        """Return the poses of some people: an index, a slice, a list of indices or a mask [P] bool."""
        if isinstance(people, (int, np.integer)):
            if not -len(self) <= people < len(self):
                raise IndexError(f"person {people} of {len(self)}")
            at = int(people) % len(self)  # -1 is the last person
            people = slice(at, at + 1)
        return Poses(
            skeleton=self.skeleton,
            xy_image=self.xy_image[people],
            scores=self.scores[people],
            boxes_xyxy=self.boxes_xyxy[people],
            box_scores=self.box_scores[people],
            track_ids=None if self.track_ids is None else self.track_ids[people],
        )

    def __iter__(self) -> Iterator[Poses]:
        return (self[i] for i in range(len(self)))

    def to_coco(self, *, image_id: int | None = None, frame: str | None = None) -> list[dict[str, Any]]:
        """Return COCO keypoint results.

        Args:
            image_id: Number of the image; without it, entries have no "image_id".
            frame: Name of the image, written as "frame" where it is given.

        Returns:
            One entry per person: keypoints (x, y, score per joint), score, bbox (x, y, width, height) and, with
            tracking, track_id, which is None for a person who is not tracked.

        Examples:
            >>> [person["score"] for person in poses.to_coco(image_id=1)]
            [0.91]
        """
        names = {"image_id": image_id, "frame": frame}
        head, tail = ({key: names[key]} if names[key] is not None else {} for key in ("image_id", "frame"))
        entries = []
        for i, score in enumerate(self.person_scores):
            keypoints = np.column_stack([self.xy_image[i], self.scores[i]]).astype(float)
            x0, y0, x1, y1 = (float(edge) for edge in self.boxes_xyxy[i])
            body = {
                "category_id": 1,
                "keypoints": [round(value, 4) for value in keypoints.ravel().tolist()],
                "score": round(float(score), 5),
                "bbox": [round(value, 3) for value in (x0, y0, x1 - x0, y1 - y0)],
            }
            track: dict[str, Any] = {}
            if self.track_ids is not None:
                number = int(self.track_ids[i])
                track = {"track_id": None if number == UNTRACKED else number}
            entries.append({**head, **body, **tail, **track})
        return entries

    def to_supervision(self) -> tuple[supervision.KeyPoints, supervision.Detections]:
        """Return the poses as objects of the `supervision` package.

        Returns:
            The key points, with the scores of the joints, and the detections, with the boxes of the people, their
            scores and, with tracking, their ids (-1 for a person who is not tracked).

        Raises:
            MissingPackage: `supervision` is not installed.

        Examples:
            >>> key_points, detections = poses.to_supervision()
        """
        sv = optional("supervision")
        people = np.zeros(len(self), np.int64)
        points = sv.KeyPoints(xy=self.xy_image, keypoint_confidence=self.scores, class_id=people)
        boxes = sv.Detections(
            xyxy=self.boxes_xyxy, confidence=self.person_scores, class_id=people, tracker_id=self.track_ids
        )
        return points, boxes

    def to_dataframe(self) -> pandas.DataFrame:
        """Return a table with one row per person and joint.

        Returns:
            Columns person, track_id (only with tracking), joint, x, y and score; x and y in pixels.

        Raises:
            MissingPackage: `pandas` is not installed.

        Examples:
            >>> poses.to_dataframe().query("score > 0.5")
        """
        joints = len(self.skeleton)
        columns: dict[str, Any] = {"person": np.repeat(np.arange(len(self)), joints)}
        if self.track_ids is not None:
            columns["track_id"] = np.repeat(self.track_ids, joints)
        columns["joint"] = np.tile(np.array(self.skeleton.joints), len(self))  # text, even without people
        columns["x"], columns["y"] = self.xy_image[..., 0].ravel(), self.xy_image[..., 1].ravel()
        columns["score"] = self.scores.ravel()
        table: pandas.DataFrame = optional("pandas").DataFrame(columns)
        return table

    def __repr__(self) -> str:
        return "\n".join([self._title(), *("  " + "  ".join(row) for row in self._rows())])

    def _repr_html_(self) -> str:
        """Return the table that notebooks show."""
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in self._rows()
        )
        return f"<p>{html.escape(self._title())}</p><table>{rows}</table>"

    def _title(self) -> str:
        people = "1 person" if len(self) == 1 else f"{len(self)} people"
        return f"Poses: {people}, {len(self.skeleton)} joints ({self.skeleton.name})"

    def _rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = []
        for i, score in enumerate(self.person_scores):
            found = int((self.scores[i] > SEEN).sum())
            x0, y0, x1, y1 = (round(float(edge)) for edge in self.boxes_xyxy[i])
            who = f"person {i}" if self.track_ids is None else f"person {i}, track {self.track_ids[i]}"
            rows.append((who, f"score {score:.2f}", f"{found} joints found", f"box ({x0}, {y0}) to ({x1}, {y1})"))
        return rows
