"""JSON Lines: one line per frame, which another program can read as soon as the frame is done."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from io import FileIO
from pathlib import Path

from edgepose._files import replacing
from edgepose._outputs import is_stream, open_stream, real_path
from edgepose.media.results.record import frame_record
from edgepose.media.results.sink import ResultSink, RunFacts
from edgepose.media.results.textfile import writing
from edgepose.media.sources import Frame
from edgepose.pose.poses import Poses


class JsonLines(ResultSink):
    """A file or a pipe of JSON lines.

    Each line is handed to the system at once, whole. The file takes the place of an earlier one with the first frame,
    so that a run that fails before keeps the earlier one.
    """

    def __init__(self, path: Path, lock: threading.Lock | None = None) -> None:
        self.path, self._stream, self._closed = path, is_stream(path), False
        self._lock = lock or threading.Lock()  # of a pipe that several sources share: each line is whole
        self._file: FileIO | None = None
        if self._stream:
            with writing(path):
                self._file = FileIO(open_stream(path), "w")

    def write(self, frame: Frame, poses: Poses) -> None:
        """Append a line."""
        line = (json.dumps(frame_record(frame, poses), allow_nan=False) + "\n").encode()
        with self._lock, writing(self.path):
            if self._file is None:
                self._begin()
                self._file = FileIO(real_path(self.path), "a")
            start = 0 if self._stream else self._file.tell()
            try:
                rest = memoryview(line)
                while rest:  # a pipe, or a disk that is nearly full, may take a part
                    rest = rest[self._file.write(rest) or 0 :]
            except OSError:
                if not self._stream:
                    self._file.truncate(start)  # whole lines only
                raise

    def close(self, error: BaseException | None = None) -> None:
        """Close the file. Without a frame there is an empty file, unless an error ended the run."""
        if self._closed:
            return
        self._closed = True
        if self._file is not None:
            self._file.close()
        elif error is None:
            self._begin()

    def _begin(self) -> None:
        """Put an empty file in the place of an earlier one."""
        with replacing(self.path) as temporary:
            temporary.write_bytes(b"")


def open_sink(place: Path, about: RunFacts) -> ResultSink:
    """Open a file of JSON lines."""
    return JsonLines(place)


def open_sinks(place: Path, abouts: Sequence[RunFacts]) -> list[ResultSink]:
    """Open a pipe for the lines of several sources; each line names its source."""
    lock = threading.Lock()
    return [JsonLines(place, lock) for _ in abouts]
