"""Read videos, cameras and streams with OpenCV."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from edgepose.errors import HIDDEN, DataError, UsageError, redact
from edgepose.media.quiet import opencv_quiet
from edgepose.media.sources import Frame
from edgepose.pose.geometry import Size

TIMEOUT_MS = 10_000
LOST_FRAMES = 0.05  # share of the promised frames that may be missing before a video counts as truncated


class CaptureSource:
    """Frames of an OpenCV `VideoCapture`, named `<name>-000012`.

    Containers estimate their number of frames. A video that ends well before that number raises DataError after its
    last readable frame, because it is truncated. A live source raises DataError when it ends.
    """

    skipped = ()

    def __init__(self, capture: cv2.VideoCapture, *, name: str, live: bool) -> None:
        self.capture, self.name, self.live, self.dropped = capture, name, live, 0
        self._reading = threading.Lock()
        fps = float(capture.get(cv2.CAP_PROP_FPS))
        self.fps = fps if 0 < fps < 1000 else 25.0  # cameras and broken headers report 0
        self.count: int | None = None if live else _promised(capture)
        height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        width = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        self.size: Size | None = (height, width)

    def __iter__(self) -> Iterator[Frame]:
        index, start = 0, 0.0
        while True:
            with self._reading:
                good, image = self.capture.read()
            if not good:
                break
            start = start if index else time.monotonic()
            seconds = time.monotonic() - start if self.live else index / self.fps
            name = f"{self.name}-{index:06d}"
            yield Frame(index=index, name=name, image_id=index, time_s=seconds, image=np.asarray(image))
            index += 1
        self._check_end(index)

    def _check_end(self, read: int) -> None:
        if self.live:
            raise DataError(f"{self.name}: the stream ended after {read} frames; check the camera or the connection")
        if not read:
            raise DataError(f"{self.name}: no frame can be decoded; play it elsewhere or convert it to H.264")
        if self.count is not None and self.count - read > max(2, LOST_FRAMES * self.count):
            raise DataError(
                f"{self.name}: frame {read} of {self.count} cannot be read, the video is damaged or "
                "truncated; the frames before it were processed"
            )

    def canvas(self) -> Size | None:
        """Return None: the first frame of a video decides the size of the overlay."""
        return None

    def close(self) -> None:
        """Release the capture, unless another thread hangs in a read: then the end of the program releases it."""
        if self._reading.acquire(blocking=False):  # releasing a capture during a read would crash
            self.capture.release()
            self._reading.release()

    def __enter__(self) -> CaptureSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_camera(text: str) -> CaptureSource:
    """Open the camera that `camera:N` names.

    Raises:
        UsageError: N is not a number.
        DataError: The camera does not exist or is in use.
    """
    number = text.removeprefix("camera:")
    if not number.isdecimal():
        raise UsageError(f"source {text!r}: expected camera:N with a number, e.g. camera:0")
    with opencv_quiet():
        capture = cv2.VideoCapture(int(number))
    if not capture.isOpened():
        raise DataError(
            f"camera {number} is not there or is in use; `ls /dev/video*` lists the cameras, camera:0 is the first"
        )
    return CaptureSource(capture, name=f"camera{number}", live=True)


def open_stream(url: str) -> CaptureSource:
    """Open an RTSP, RTMP, HTTP, UDP or TCP address. A file behind HTTP is not live.

    Raises:
        DataError: The address cannot be opened.
    """
    limits = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC)
    timeouts = [number for limit in limits for number in (limit, TIMEOUT_MS)]
    with opencv_quiet():
        capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, timeouts)
    if not capture.isOpened():
        raise DataError(f"cannot open the stream {redact(url)}; check the address, its password and the network")
    return CaptureSource(capture, name=stem_of_url(url), live=_promised(capture) is None)


def open_video(path: Path) -> CaptureSource:
    """Open a video file.

    Raises:
        DataError: The file is not an image or video that OpenCV can read.
    """
    with opencv_quiet():
        capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise DataError(f"{path} is no image or video OpenCV can read; if it is not cut off, convert it to H.264")
    return CaptureSource(capture, name=path.stem, live=False)


def _promised(capture: cv2.VideoCapture) -> int | None:
    """Return how many frames the container promises, or None where it does not say, as in a live stream."""
    frames = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    return int(frames) if frames > 0 else None


def stem_of_url(url: str) -> str:
    """Return the last word of an address, without user, password and query."""
    tail = re.sub(r"[?#].*$", "", redact(url)).rstrip("/").rpartition("/")[2].removeprefix(f"{HIDDEN}@")
    return re.sub(r"[^\w.-]", "_", tail) or "stream"
