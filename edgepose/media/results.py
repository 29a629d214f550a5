"""Write poses to files: COCO keypoint results (JSON) and a flat table (CSV).

Both writers append to a temporary file and rename it on close. Memory does not grow with the length of the video, and
an interrupted run leaves a valid file with the frames so far. A run that fails before it found anybody, or is stopped
before its first frame, leaves no file, and the file of an earlier run stays.
"""

from __future__ import annotations

import csv
import json
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np

from edgepose._files import replacing
from edgepose.errors import EdgeposeError
from edgepose.media.sources import Frame
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import Skeleton

PERSON_COLUMNS = ("frame", "time_s", "person", "track_id", "score", "box_x0", "box_y0", "box_x1", "box_y1")


class _TextFile:
    """A text file that is written under a temporary name; `close` renames it to `path`, unless a write failed."""

    def __init__(self, path: Path) -> None:
        self.path, self.frames, self.people = path, 0, 0
        self._failed: OSError | None = None
        self._stack = ExitStack()
        temporary = self._stack.enter_context(replacing(path))
        self._file = self._stack.enter_context(temporary.open("w", encoding="utf-8", newline=""))

    def write(self, text: str) -> None:
        try:
            self._file.write(text)
        except OSError as error:
            self._failed = error
            reason = error.strerror or error
            raise EdgeposeError(f"cannot write {self.path}: {reason}; free some space") from error

    def count(self, poses: Poses) -> None:
        self.frames += 1
        self.people += len(poses)

    def end(self, error: BaseException | None, tail: str = "") -> None:
        """Finish and rename the file, or remove it where `error` ended the run before the file was worth keeping."""
        if error is not None and not (self.frames if isinstance(error, KeyboardInterrupt) else self.people):
            self._stack.__exit__(type(error), error, error.__traceback__)
            return
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
        self._out.count(poses)
        for entry in poses.to_coco(image_id=frame.image_id, frame=frame.name):
            self._out.write(self._separator + json.dumps(entry, allow_nan=False))
            self._separator = ",\n"

    def close(self, error: BaseException | None = None) -> None:
        """Finish the file and rename it to its path; `error` is what ended the run early."""
        out, self._out = self._out, None
        if out is not None:
            out.end(error, "[]\n" if self._separator.startswith("[") else "\n]\n")

    def __enter__(self) -> JsonWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(error)


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
        assert self._out is not None, "written to after close"
        self._out.count(poses)
        ids = poses.track_ids if poses.track_ids is not None else [""] * len(poses)
        scores = poses.person_scores
        for i, box in enumerate(poses.boxes_xyxy):
            joints = np.column_stack([poses.xy_image[i], poses.scores[i]]).ravel()
            person = [frame.name, f"{frame.time_s:.3f}", i, ids[i], f"{scores[i]:.5f}"]
            self._rows.writerow([*person, *(f"{v:.3f}" for v in box), *(f"{v:.4f}" for v in joints)])

    def close(self, error: BaseException | None = None) -> None:
        """Finish the file and rename it to its path; `error` is what ended the run early."""
        out, self._out = self._out, None
        if out is not None:
            out.end(error)

    def __enter__(self) -> CsvWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(error)
