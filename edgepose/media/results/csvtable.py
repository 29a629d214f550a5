"""A CSV file of the table in `columns.py`."""

from __future__ import annotations

import csv
from pathlib import Path

from edgepose.media.results.columns import columns_of, rows_of
from edgepose.media.results.sink import ResultSink, RunFacts
from edgepose.media.results.textfile import TextFile
from edgepose.media.sources import Frame
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import Skeleton


class CsvTable(ResultSink):
    """A CSV file with a row for each person, and one for each frame without people."""

    def __init__(self, path: Path, skeleton: Skeleton) -> None:
        self._out: TextFile | None = TextFile(path)
        self._rows = csv.writer(self._out, lineterminator="\n")
        self._rows.writerow(columns_of(skeleton))

    def write(self, frame: Frame, poses: Poses) -> None:
        """Append the rows of a frame."""
        assert self._out is not None, "written to after close"
        self._out.count(poses)
        self._rows.writerows(rows_of(frame, poses))

    def close(self, error: BaseException | None = None) -> None:
        """Rename the file to its path."""
        out, self._out = self._out, None
        if out is not None:
            out.end(error)


def open_sink(place: Path, about: RunFacts) -> ResultSink:
    """Open a CSV file."""
    return CsvTable(place, about.skeleton)
