"""People over time, for formats that have one file per person and are complete only at the end.

Coordinates wait in a nameless file on the disk. In memory there are 16 bytes for each frame and 16 for each person in
it.
"""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepose._checks import Array
from edgepose._files import replacing_folder
from edgepose.errors import UsageError
from edgepose.media.results import MARKER
from edgepose.media.results.folder import marker_text
from edgepose.media.results.record import track_ids
from edgepose.media.results.sink import ResultSink, RunFacts, worth_keeping
from edgepose.media.results.textfile import writing
from edgepose.media.sources import Frame
from edgepose.pose.poses import Poses

CHUNK = 1024  # frames of a person that are in memory at a time


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Some frames of a person, one after the other.

    Attributes:
        indices: [R] int64, the index of each frame in its source.
        times_s: [R] float64.
        xy_image: [R, K, 2] float64 in pixels, NaN for a joint that was not found.
    """

    indices: Array
    times_s: Array
    xy_image: Array


class Trajectory:
    """One person from the first to the last frame that shows them.

    Attributes:
        track_id: The number of the person; 0 in a run without tracking.
        frames: The number of frames from the first to the last.
    """

    def __init__(self, track_id: int, frames: int, read: Callable[[], Iterator[Stretch]]) -> None:
        self.track_id, self.frames, self._read = track_id, frames, read

    def stretches(self) -> Iterator[Stretch]:
        """Yield the frames in order, `CHUNK` at a time."""
        return self._read()


Writer = Callable[[Trajectory, Path], None]  # writes the file of a person


class Trajectories(ResultSink):
    """A folder with one file per person.

    Args:
        path: The folder. It is complete when it appears.
        about: What is known of the run.
        flag: The flag of the command line, for messages.
        name: The name of a person's file; `{}` stands for the number.
        write_person: Writes the file of a person.
    """

    def __init__(self, path: Path, about: RunFacts, *, flag: str, name: str, write_person: Writer) -> None:
        self._path, self._about, self._flag, self._name, self._write_person = path, about, flag, name, write_person
        self._times, self._indices = array("d"), array("q")
        self._places: dict[int, tuple[array[int], array[int]]] = {}  # track -> (frames, records)
        self._records = self._people = 0
        self._closed = False
        self._stack = ExitStack()
        self._temporary = self._stack.enter_context(replacing_folder(path))
        with writing(path):
            self._spool = self._stack.enter_context(tempfile.TemporaryFile(dir=self._temporary))  # noqa: SIM115

    def write(self, frame: Frame, poses: Poses) -> None:
        """Remember a frame and the people in it who have a number.

        Raises:
            UsageError: The run does not tell people apart, and a frame shows several.
        """
        if poses.track_ids is None and len(poses) > 1:
            raise UsageError(
                f"{self._flag}: frame {frame.name} shows {len(poses)} people, and nothing says who is who in the next "
                "frame; pass --track"
            )
        self._times.append(frame.time_s)
        self._indices.append(frame.index)
        ids = track_ids(poses) if poses.track_ids is not None else [0] * len(poses)
        unsure = (poses.scores <= 0) | (poses.scores < self._about.threshold)
        xy_image = np.where(unsure[..., None], np.float32(np.nan), poses.xy_image)
        for person, track in enumerate(ids):
            if track is not None:
                frames, records = self._places.setdefault(track, (array("q"), array("q")))
                frames.append(len(self._times) - 1)
                records.append(self._records)
                with writing(self._path):
                    self._spool.write(xy_image[person].astype(np.float32).tobytes())
                self._records += 1
        self._people += len(poses)

    def close(self, error: BaseException | None = None) -> None:
        """Write the files of all people, and put the folder in its place."""
        if self._closed:
            return
        self._closed = True
        if not worth_keeping(error, len(self._times), self._people):
            assert error is not None
            self._stack.__exit__(type(error), error, error.__traceback__)
            return
        with self._stack, writing(self._path):
            (self._temporary / MARKER).write_bytes(marker_text(self._about, f"one file per person, {self._flag}"))
            for track in sorted(self._places):
                self._write_person(self._trajectory(track), self._temporary / self._name.format(f"{track:02d}"))

    def _trajectory(self, track: int) -> Trajectory:
        frames, records = (np.frombuffer(part, np.int64) for part in self._places[track])
        return Trajectory(track, int(frames[-1] - frames[0]) + 1, lambda: self._stretches(frames, records))

    def _stretches(self, frames: Array, records: Array) -> Iterator[Stretch]:
        joints = len(self._about.skeleton)
        size = 8 * joints
        for start in range(int(frames[0]), int(frames[-1]) + 1, CHUNK):
            end = min(start + CHUNK, int(frames[-1]) + 1)
            xy_image = np.full((end - start, joints, 2), np.nan)
            for i in range(*np.searchsorted(frames, [start, end]).tolist()):
                self._spool.seek(int(records[i]) * size)
                xy_image[int(frames[i]) - start] = np.frombuffer(self._spool.read(size), np.float32).reshape(joints, 2)
            yield Stretch(
                indices=np.array(self._indices[start:end]), times_s=np.array(self._times[start:end]), xy_image=xy_image
            )
