"""COCO keypoint results: one JSON list with one person on each line, for `loadRes` of pycocotools.

Frames without people are not in it. `cocojson.py` writes every frame.
"""

from __future__ import annotations

import json
from pathlib import Path

from edgepose.media.results.sink import ResultSink, RunFacts
from edgepose.media.results.textfile import TextFile
from edgepose.media.sources import Frame
from edgepose.pose.poses import Poses


class CocoResults(ResultSink):
    """A file of COCO keypoint results."""

    def __init__(self, path: Path) -> None:
        self._out: TextFile | None = TextFile(path)
        self._separator = "[\n"

    def write(self, frame: Frame, poses: Poses) -> None:
        """Append the people of a frame."""
        assert self._out is not None, "written to after close"
        self._out.count(poses)
        for entry in poses.to_coco(image_id=frame.image_id, frame=frame.name):
            self._out.write(self._separator + json.dumps(entry, allow_nan=False))
            self._separator = ",\n"

    def close(self, error: BaseException | None = None) -> None:
        """Finish the list, and rename the file to its path."""
        out, self._out = self._out, None
        if out is not None:
            out.end(error, "[]\n" if self._separator.startswith("[") else "\n]\n")


def open_sink(place: Path, about: RunFacts) -> ResultSink:
    """Open a file of COCO keypoint results."""
    return CocoResults(place)
