"""A video with the poses drawn over the frames."""

from __future__ import annotations

from pathlib import Path

from edgepose.media.results.sink import ResultSink, RunFacts
from edgepose.media.sources import Frame
from edgepose.media.video import VideoWriter
from edgepose.pose.poses import Poses


class Overlay(ResultSink):
    """A video file; see `edgepose.media.video.VideoWriter`."""

    def __init__(self, path: Path, about: RunFacts) -> None:
        self._draw = about.draw
        self._video = VideoWriter(
            path, about.fps, about.canvas, codec=about.video_codec, sound=about.sound, note=about.note
        )

    def write(self, frame: Frame, poses: Poses) -> None:
        """Draw and append a frame."""
        self._video.write(self._draw(frame, poses), frame.time_s)

    def close(self, error: BaseException | None = None) -> None:
        """Complete the video."""
        self._video.close()


def open_sink(place: Path, about: RunFacts) -> ResultSink:
    """Open a video file."""
    return Overlay(place, about)
