"""MOT challenge text: `frame,id,left,top,width,height,confidence,-1,-1,-1`, one line per person.

Frames count from 1, as the benchmark does. A person who is not tracked has the id -1. The format has no place for
times, joints or the size of the frames.
"""

from __future__ import annotations

from pathlib import Path

from edgepose.media.results.record import track_ids
from edgepose.media.results.sink import ResultSink, RunFacts
from edgepose.media.results.textfile import TextFile
from edgepose.media.sources import Frame
from edgepose.pose.poses import UNTRACKED, Poses


class MotChallenge(ResultSink):
    """A text file of boxes with their track ids."""

    def __init__(self, path: Path) -> None:
        self._out: TextFile | None = TextFile(path)

    def write(self, frame: Frame, poses: Poses) -> None:
        """Append the people of a frame."""
        assert self._out is not None, "written to after close"
        self._out.count(poses)
        people = zip(track_ids(poses), poses.boxes_xyxy.astype(float).tolist(), poses.person_scores, strict=True)
        for track, (x0, y0, x1, y1), score in people:
            numbers = f"{x0:.2f},{y0:.2f},{x1 - x0:.2f},{y1 - y0:.2f},{float(score):.5f}"
            self._out.write(f"{frame.index + 1},{UNTRACKED if track is None else track},{numbers},-1,-1,-1\n")

    def close(self, error: BaseException | None = None) -> None:
        """Rename the file to its path."""
        out, self._out = self._out, None
        if out is not None:
            out.end(error)


def open_sink(place: Path, about: RunFacts) -> ResultSink:
    """Open a MOT challenge file."""
    return MotChallenge(place)
