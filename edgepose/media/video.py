"""Write overlay videos. `VideoWriter` leaves a playable file, whatever ends the run."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from edgepose._checks import Array, check_array
from edgepose._files import replacing
from edgepose.errors import DataError, EdgeposeError, UsageError, nearest
from edgepose.media.quiet import opencv_quiet
from edgepose.pose.geometry import Size

FOURCC = {".mp4": "mp4v", ".avi": "MJPG", ".mkv": "mp4v"}  # the codecs that the headless OpenCV wheels encode
LONGEST_EDGE = 8190  # MPEG-4 has 13 bits for an edge; beyond that the encoder writes nothing


class VideoWriter:
    """A video file that is written frame by frame.

    The frames go to a temporary file, which is renamed on close, also when an exception or Ctrl-C ends the run. The
    suffix chooses the codec (.mp4, .avi, .mkv). A frame of another size than the video's, as in a folder of
    photographs, is scaled to fit and placed on black. No edge is longer than `LONGEST_EDGE`. Where no frame was
    written, there is no file.

    A live source gives frames at its own pace, and some of them get lost. With `time_s`, frames are repeated or left
    out so that the video plays in real time.

    Args:
        path: The video file.
        fps: Frames per second.
        size: (height, width) of the video; None takes that of the first frame.

    Raises:
        UsageError: The suffix is not one of the three.
        EdgeposeError: The folder cannot be written to.
    """

    def __init__(self, path: Path, fps: float, size: Size | None = None) -> None:
        if path.suffix.lower() not in FOURCC:
            raise UsageError(f"video {path}: unknown suffix {path.suffix!r}{nearest(path.suffix, FOURCC)}")
        self.path, self.fps, self.frames = path, fps, 0
        self.size = size
        self._stack = ExitStack()
        self._beside = self._stack.enter_context(replacing(path))
        self._writer: cv2.VideoWriter | None = None
        self._last: Array | None = None
        self._closed = False

    def write(self, image: Array, time_s: float | None = None) -> None:
        """Append one frame.

        Args:
            image: The frame, [H, W, 3] uint8 BGR.
            time_s: When the frame was seen, in seconds after the first frame. None appends it once.

        Raises:
            ValueError: The array has another shape or type, or the video is closed.
            EdgeposeError: This OpenCV cannot encode the format.
        """
        sizes = check_array("image", image, ("H", "W", 3), np.uint8)
        if self._closed:
            raise ValueError(f"video {self.path} is closed")
        if self._writer is None:
            self._writer = self._open(self.size or (sizes["H"], sizes["W"]))
        due = self.frames if time_s is None else round(time_s * self.fps)
        if self.frames > due + 1:
            return  # the source is faster than its frame rate
        assert self.size is not None
        while self._last is not None and self.frames < due:
            self._append(self._writer, self._last)
        self._last = _fit(image, self.size)
        self._append(self._writer, self._last)

    def _append(self, writer: cv2.VideoWriter, image: Array) -> None:
        writer.write(image)
        self.frames += 1

    def _open(self, frame: Size) -> cv2.VideoWriter:
        scale = min(1.0, LONGEST_EDGE / max(frame))
        height, width = (max(2, 2 * int(edge * scale / 2)) for edge in frame)  # encoders need even sizes
        self.size = (height, width)
        code = cv2.VideoWriter.fourcc(*FOURCC[self.path.suffix.lower()])
        writer = cv2.VideoWriter(str(self._beside), code, self.fps, (width, height))
        if not writer.isOpened():
            raise EdgeposeError(f"cannot write video {self.path}: this OpenCV cannot encode it; try .avi")
        return writer

    def close(self) -> None:
        """Finish the container and move the file to its path.

        Raises:
            EdgeposeError: Frames are missing from the file, for example because the disk is full.
        """
        self._closed = True
        writer, self._writer = self._writer, None
        if writer is None:
            nothing = DataError("no frame")
            self._stack.__exit__(type(nothing), nothing, None)  # removes the empty file
            return
        writer.release()
        with self._stack:
            _check_playable(self._beside, self.path, self.frames)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check_playable(written: Path, path: Path, frames: int) -> None:
    """Count the frames of the written file, because OpenCV reports no error when a write fails."""
    with opencv_quiet():
        capture = cv2.VideoCapture(str(written))
        held = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        capture.release()
    if held < frames - max(1, 0.02 * frames):  # some containers only estimate the number
        raise EdgeposeError(f"video {path}: only {held} of {frames} frames arrived; is the disk full?")


def _fit(image: Array, size: Size) -> Array:
    """Scale an image into (height, width) on black and keep its aspect ratio; an image that fits stays as it is."""
    height, width = size
    if image.shape[0] - height in (0, 1) and image.shape[1] - width in (0, 1):
        return np.ascontiguousarray(image[:height, :width])
    scale = min(height / image.shape[0], width / image.shape[1])
    h, w = max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale))
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - h) // 2, (width - w) // 2
    canvas[top : top + h, left : left + w] = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA)
    return canvas
