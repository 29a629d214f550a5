"""Where frames come from and where overlays go: images, folders, videos, cameras, streams.

`open_source` takes the text of `--source`; `VideoWriter` leaves a playable file whatever ends the run.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

import cv2
import numpy as np

from edgepose._checks import Array, check_array
from edgepose._files import replacing
from edgepose.datasets.images import SUFFIXES, images_in
from edgepose.datasets.samples import read_image
from edgepose.errors import DataError, EdgeposeError, UsageError, nearest
from edgepose.pose.geometry import Size

FOURCC = {".mp4": "mp4v", ".avi": "MJPG", ".mkv": "mp4v"}  # what the headless OpenCV wheels encode
URL = re.compile(r"^(rtsp|rtsps|rtmp|http|https|udp|tcp)://", re.IGNORECASE)
TIMEOUT_MS = 10_000
LOST_FRAMES = 0.05  # share of a video's promised frames below which its end counts as missing


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One picture. `name` says which one in every output; `image` is [H, W, 3] uint8 BGR.

    image_id: the number that an image file's name is where all of the source are numbers (COCO's files), else
    index. time_s: of a live source, since its first frame; otherwise index / fps.
    """

    index: int
    name: str
    image_id: int
    time_s: float
    image: Array


class Source(Protocol):
    """Frames in order. A live source cannot wait: who reads it too slowly loses frames, `dropped` counts them."""

    fps: float
    count: int | None  # None where nobody knows
    size: Size | None  # (height, width); None where frames differ
    live: bool
    dropped: int

    def __iter__(self) -> Iterator[Frame]: ...
    def close(self) -> None: ...
    def __enter__(self) -> Source: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_source(text: str) -> Source:
    """Open an image, a folder of images, a video, `camera:N`, or an RTSP/HTTP address.

    Raises DataError, before the first frame, for what is not there or cannot be read.
    """
    if text.startswith("camera:"):
        return _open_camera(text)
    if URL.match(text):
        stream = _open_stream(text)
        return CaptureSource(stream, name=_stem_of_url(text), live=_promised(stream) is None)
    path = Path(text)
    if path.is_dir():
        return ImageSource(images_in(path))
    if not path.is_file():
        raise DataError(
            f"no source {text!r}; expected an image, a folder of images, a video, camera:N or an address rtsp://"
        )
    if path.suffix.lower() in SUFFIXES:
        return ImageSource([path])
    return CaptureSource(_open_video(path), name=path.stem, live=False)


class ImageSource:
    """Image files, one frame each, played at 10 frames a second. A broken one raises its DataError."""

    fps = 10.0
    live = False

    def __init__(self, paths: list[Path]) -> None:
        self.paths, self.dropped = paths, 0
        self.count: int | None = len(paths)
        self.size: Size | None = None

    def __iter__(self) -> Iterator[Frame]:
        for index, (path, image_id) in enumerate(zip(self.paths, _image_ids(self.paths), strict=True)):
            seconds, image = index / self.fps, read_image(path)
            yield Frame(index=index, name=path.name, image_id=image_id, time_s=seconds, image=image)

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self) -> ImageSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _image_ids(paths: list[Path]) -> list[int]:
    """One number a file, none twice: the names where all are numbers, else 0, 1, 2, ..."""
    stems = [path.stem for path in paths]
    if all(stem.isdecimal() for stem in stems) and len({int(stem) for stem in stems}) == len(stems):
        return [int(stem) for stem in stems]
    return list(range(len(paths)))


class CaptureSource:
    """Whatever OpenCV's VideoCapture reads. Frames are called `<name>-000012`.

    A video that ends well before the number of frames it promises raises DataError after its last frame:
    it is truncated, and what was read has been given. So does a live source that ends at all.
    """

    def __init__(self, capture: cv2.VideoCapture, *, name: str, live: bool) -> None:
        self.capture, self.name, self.live, self.dropped = capture, name, live, 0
        self._reading = threading.Lock()
        fps = float(capture.get(cv2.CAP_PROP_FPS))
        self.fps = fps if 0 < fps < 1000 else 25.0  # cameras and broken headers say 0
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

    def close(self) -> None:
        # Releasing under a read that hangs in another thread would crash: then the program's end releases it.
        if self._reading.acquire(blocking=False):
            self.capture.release()
            self._reading.release()

    def __enter__(self) -> CaptureSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _promised(capture: cv2.VideoCapture) -> int | None:
    """How many frames the container promises; None where it does not say, as in a live stream."""
    frames = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    return int(frames) if frames > 0 else None


@contextmanager
def _opencv_quiet() -> Iterator[None]:
    """OpenCV prints its own warnings about what it cannot open; our error says it once."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def _open_camera(text: str) -> CaptureSource:
    number = text.removeprefix("camera:")
    if not number.isdecimal():
        raise UsageError(f"source {text!r}: expected camera:N with a number, e.g. camera:0")
    with _opencv_quiet():
        capture = cv2.VideoCapture(int(number))
    if not capture.isOpened():
        raise DataError(
            f"camera {number} is not there or is in use; `ls /dev/video*` lists what there is, camera:0 is the first"
        )
    return CaptureSource(capture, name=f"camera{number}", live=True)


def _open_stream(url: str) -> cv2.VideoCapture:
    limits = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC)
    timeouts = [number for limit in limits for number in (limit, TIMEOUT_MS)]
    with _opencv_quiet():
        capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, timeouts)
    if not capture.isOpened():
        raise DataError(f"cannot open the stream {url}; check the address, its password and the network")
    return capture


def _open_video(path: Path) -> cv2.VideoCapture:
    with _opencv_quiet():
        capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise DataError(f"{path} is no image or video OpenCV can read; if it is not cut off, convert it to H.264")
    return capture


def _stem_of_url(url: str) -> str:
    """The last word of an address, without user, password and query."""
    tail = re.sub(r"[?#].*$", "", url).rstrip("/").rpartition("/")[2].rpartition("@")[2]
    return re.sub(r"[^\w.-]", "_", tail) or "stream"


class VideoWriter:
    """Overlay video. Written beside and renamed on close, also when an exception or Ctrl-C ends the run.

    The suffix chooses the codec (.mp4, .avi, .mkv). The first frame sets the size; a frame of another size
    (a folder of photographs) is fitted into it on black. With no frame written there is no file.

    A live source gives frames at its own pace, and some get lost: with `time_s` they are repeated or left out,
    so that the video plays in real time.
    """

    def __init__(self, path: Path, fps: float) -> None:
        if path.suffix.lower() not in FOURCC:
            raise UsageError(f"video {path}: unknown suffix {path.suffix!r}{nearest(path.suffix, FOURCC)}")
        self.path, self.fps, self.frames = path, fps, 0
        self.size: Size | None = None
        self._stack = ExitStack()
        self._beside = self._stack.enter_context(replacing(path))
        self._writer: cv2.VideoWriter | None = None
        self._last: Array | None = None
        self._closed = False

    def write(self, image: Array, time_s: float | None = None) -> None:
        """Append one frame [H, W, 3] uint8 BGR; time_s: when it was seen, in seconds after the first.

        Raises ValueError for another array, and after `close`.
        """
        sizes = check_array("image", image, ("H", "W", 3), np.uint8)
        if self._closed:
            raise ValueError(f"video {self.path} is closed")
        if self._writer is None:
            self._writer = self._open((sizes["H"], sizes["W"]))
        due = self.frames if time_s is None else round(time_s * self.fps)
        if self.frames > due + 1:
            return  # the source is faster than it says
        assert self.size is not None
        while self._last is not None and self.frames < due:
            self._append(self._writer, self._last)
        self._last = _fit(image, self.size)
        self._append(self._writer, self._last)

    def _append(self, writer: cv2.VideoWriter, image: Array) -> None:
        writer.write(image)
        self.frames += 1

    def _open(self, frame: Size) -> cv2.VideoWriter:
        height, width = (max(2, edge - edge % 2) for edge in frame)  # encoders want even sizes
        self.size = (height, width)
        code = cv2.VideoWriter.fourcc(*FOURCC[self.path.suffix.lower()])
        writer = cv2.VideoWriter(str(self._beside), code, self.fps, (width, height))
        if not writer.isOpened():
            raise EdgeposeError(f"cannot write video {self.path}: this OpenCV cannot encode it; try .avi")
        return writer

    def close(self) -> None:
        """Finish the container and put the file in its place. EdgeposeError when frames got lost."""
        self._closed = True
        writer, self._writer = self._writer, None
        if writer is None:
            nothing = DataError("no frame")
            self._stack.__exit__(type(nothing), nothing, None)  # drops the empty file
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
    """OpenCV says nothing when a write fails, so the container is asked how many frames it holds."""
    with _opencv_quiet():
        capture = cv2.VideoCapture(str(written))
        held = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        capture.release()
    if held < frames - max(1, 0.02 * frames):  # some containers only estimate it
        raise EdgeposeError(f"video {path}: only {held} of {frames} frames arrived; is the disk full?")


def _fit(image: Array, size: Size) -> Array:
    """The image shrunk or grown into (height, width), its aspect kept, on black; unchanged where it fits."""
    height, width = size
    if image.shape[0] - height in (0, 1) and image.shape[1] - width in (0, 1):
        return np.ascontiguousarray(image[:height, :width])
    scale = min(height / image.shape[0], width / image.shape[1])
    h, w = max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale))
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - h) // 2, (width - w) // 2
    canvas[top : top + h, left : left + w] = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA)
    return canvas
