"""Write poses to files: COCO keypoint results (JSON) and a flat table (CSV).

Both writers append to a temporary file and rename it on close. Memory does not grow with the length of the video, and
an interrupted run leaves a valid file with the frames so far.
"""

from __future__ import annotations

import csv
import json
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from edgepose._checks import Array
from edgepose._files import replacing
from edgepose.errors import EdgeposeError
from edgepose.media.sources import Frame
from edgepose.metrics import oks
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import Skeleton

PERSON_COLUMNS = ("frame", "time_s", "person", "track_id", "score", "box_x0", "box_y0", "box_x1", "box_y1")


def person_scores(poses: Poses) -> Array:
    """Return the score of each person: the box score times the mean score of the joints above 0.2.

    This is the usual rescoring of COCO evaluation.

    Returns:
        The scores, [N] float32.
    """
    return np.asarray(poses.box_scores * oks.person_scores(poses.scores), np.float32)


def coco_results(frame_name: str, image_id: int, poses: Poses) -> list[dict[str, Any]]:
    """Convert the poses of a frame to COCO keypoint results.

    Args:
        frame_name: The name of the frame, written as `frame`.
        image_id: The number of the frame.
        poses: The people in the frame.

    Returns:
        One dictionary for each person, with `track_id` where people are tracked.
    """
    entries = []
    for i, score in enumerate(person_scores(poses)):
        keypoints = np.column_stack([poses.xy_image[i], poses.scores[i]]).astype(float)
        x0, y0, x1, y1 = (float(edge) for edge in poses.boxes_xyxy[i])
        entry: dict[str, Any] = {
            "image_id": image_id,
            "category_id": 1,
            "keypoints": [round(value, 4) for value in keypoints.ravel().tolist()],
            "score": round(float(score), 5),
            "bbox": [round(value, 3) for value in (x0, y0, x1 - x0, y1 - y0)],
            "frame": frame_name,
        }
        if poses.track_ids is not None:
            entry["track_id"] = int(poses.track_ids[i])
        entries.append(entry)
    return entries


class _TextFile:
    """A text file that is written under a temporary name; `close` renames it to `path`, unless a write failed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._failed: OSError | None = None
        self._stack = ExitStack()
        beside = self._stack.enter_context(replacing(path))
        self._file = self._stack.enter_context(beside.open("w", encoding="utf-8", newline=""))

    def write(self, text: str) -> None:
        try:
            self._file.write(text)
        except OSError as error:
            self._failed = error
            reason = error.strerror or error
            raise EdgeposeError(f"cannot write {self.path}: {reason}; free some space") from error

    def close(self, tail: str = "") -> None:
        with self._stack:  # an OSError in here becomes an EdgeposeError, and the temporary file is removed
            if self._failed is not None:
                raise self._failed
            self._file.write(tail)


class JsonWriter:
    """A file of COCO keypoint results: one JSON list with one person on each line."""

    def __init__(self, path: Path) -> None:
        self._out: _TextFile | None = _TextFile(path)
        self._separator = "[\n"

    def write(self, frame: Frame, poses: Poses) -> None:
        """Append the people of a frame. Raises EdgeposeError when the disk is full."""
        assert self._out is not None, "written to after close"
        for entry in coco_results(frame.name, frame.image_id, poses):
            self._out.write(self._separator + json.dumps(entry, allow_nan=False))
            self._separator = ",\n"

    def close(self) -> None:
        """Finish the file and rename it to its path."""
        out, self._out = self._out, None
        if out is not None:
            out.close("[]\n" if self._separator.startswith("[") else "\n]\n")

    def __enter__(self) -> JsonWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class CsvWriter:
    """A CSV file with one row for each person.

    The columns are the frame, time, person, track, score and box edges, then x, y and score of each joint.
    """

    def __init__(self, path: Path, skeleton: Skeleton) -> None:
        self._out: _TextFile | None = _TextFile(path)
        self._rows = csv.writer(self._out, lineterminator="\n")
        joints = [f"{joint}_{part}" for joint in skeleton.joints for part in ("x", "y", "score")]
        self._rows.writerow([*PERSON_COLUMNS, *joints])

    def write(self, frame: Frame, poses: Poses) -> None:
        """Append the people of a frame. Raises EdgeposeError when the disk is full."""
        ids = poses.track_ids if poses.track_ids is not None else [""] * len(poses)
        scores = person_scores(poses)
        for i, box in enumerate(poses.boxes_xyxy):
            joints = np.column_stack([poses.xy_image[i], poses.scores[i]]).ravel()
            person = [frame.name, f"{frame.time_s:.3f}", i, ids[i], f"{scores[i]:.5f}"]
            self._rows.writerow([*person, *(f"{v:.3f}" for v in box), *(f"{v:.4f}" for v in joints)])

    def close(self) -> None:
        """Finish the file and rename it to its path."""
        out, self._out = self._out, None
        if out is not None:
            out.close()

    def __enter__(self) -> CsvWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
