"""Write overlay videos. `VideoWriter` leaves a playable file, whatever ends the run."""

from __future__ import annotations

import os
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from edgepose._checks import Array, check_array
from edgepose._files import replacing
from edgepose._leftovers import temporary_file
from edgepose._progress import Note, silent
from edgepose.errors import DataError, EdgeposeError
from edgepose.media.encoders import KEY_FRAME_S, container_of, encoder_of, set_colors, tick_of
from edgepose.media.sound import Sound, finish
from edgepose.media.streams import address_of, reason_of
from edgepose.pose.geometry import Size

LONGEST_EDGE = 8190  # what most decoders take, and all of MPEG-4, which has 13 bits for an edge
MOVED_S = 0.005  # by which a frame is moved in time without a word


class VideoWriter:
    """A video file that is written frame by frame.

    The frames go to a temporary file, which is renamed on close, also when an exception or Ctrl-C ends the run. What a
    process that is killed leaves there can be played up to the last seconds. The suffix chooses the container (.mp4,
    .mov, .mkv, .webm, .avi). A frame of another size than the video's, as in a folder of photographs, is scaled to fit
    and placed on black. No edge is longer than `LONGEST_EDGE`. Where no frame was written, there is no file.

    With `time_s`, each frame is shown at its time, so that pauses and lost frames stay. An AVI file has a fixed frame
    rate: there the times are rounded to it, and frames that come faster are left out.

    Args:
        path: The video file.
        fps: Frames per second.
        size: (height, width) of the video; None takes that of the first frame.
        codec: The codec (h264, hevc, mpeg4, vp9, av1) or a hardware encoder of FFmpeg such as h264_nvenc; None takes
            the default of the container, which is H.264 except in .webm.
        sound: The sound of the film that the frames are from. It is copied, or encoded again where players do not take
            its codec in the container.
        threads: Threads of the encoder; 0 leaves the number to it.
        note: Receives lines about sound that is not copied, and about times that the container does not keep.

    Raises:
        UsageError: The suffix or the codec is unknown, or they do not fit each other.
        EdgeposeError: The folder cannot be written to.
    """

    def __init__(
        self,
        path: Path,
        fps: float,
        size: Size | None = None,
        *,
        codec: str | None = None,
        sound: Sound | None = None,
        threads: int = 0,
        note: Note = silent,
    ) -> None:
        self.container = container_of(path)
        self._name, self._encoder = encoder_of(path, codec)
        self.path, self.fps, self.frames = path, fps, 0
        self.size, self.sound = size, sound
        self._threads, self._note = threads, note
        self._tag = self._encoder.tag if self.container.format in ("mp4", "mov") else None
        self._tick = tick_of(self._encoder, self.container, fps)
        self._stack = ExitStack()
        self._beside = self._stack.enter_context(replacing(path))
        self._file: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._reformatter = VideoReformatter()
        self._begin_s = 0.0  # the time of the first frame
        self._last = -1  # the time of the last one, in ticks after the first
        self._left_out = 0  # frames that came faster than a fixed frame rate
        self._moved_s = 0.0  # by how much a fixed frame rate moved a frame in time, at most
        self._closed = False

    def write(self, image: Array, time_s: float | None = None) -> None:
        """Append one frame.

        Args:
            image: The frame, [H, W, 3] uint8 BGR.
            time_s: When the frame is shown, in seconds; the video begins with the first frame. None shows it 1 / fps
                after the one before.

        Raises:
            ValueError: The array has another shape or type, or the video is closed.
            EdgeposeError: This FFmpeg cannot encode the format, or the disk is full.
        """
        sizes = check_array("image", image, ("H", "W", 3), np.uint8)
        if self._closed:
            raise ValueError(f"video {self.path} is closed")
        if self._stream is None:
            self._open(self.size or (sizes["H"], sizes["W"]))
            self._begin_s = time_s or 0.0
        at = self.frames / self.fps if time_s is None else time_s - self._begin_s
        due = round(at / self._tick)
        if self.container.fixed_rate and self._last > due:
            self._left_out += 1  # the source is faster than the frame rate of the video
            return
        assert self.size is not None
        picture = VideoFrame.from_numpy_buffer(_fit(image, self.size), format="bgr24")  # without a copy
        frame = self._reformatter.reformat(picture, format="yuv420p")
        frame.pts = self._last = max(due, self._last + 1)
        frame.time_base = self._tick
        self._moved_s = max(self._moved_s, abs(float(self._last * self._tick) - at))
        self._encode(frame)
        self.frames += 1

    def _encode(self, frame: VideoFrame | None) -> None:
        assert self._file is not None and self._stream is not None
        try:
            self._file.mux(self._stream.encode(frame))
        except (av.error.FFmpegError, OSError) as error:
            raise self._explained(error) from error

    def _explained(self, error: BaseException) -> EdgeposeError:
        return EdgeposeError(f"cannot write video {self.path}: {reason_of(error)}; is the disk full?")

    def _open(self, frame: Size) -> None:
        scale = min(1.0, LONGEST_EDGE / max(frame))
        height, width = (max(2, 2 * int(edge * scale / 2)) for edge in frame)  # encoders need even sizes
        self.size = (height, width)
        rate = Fraction(self.fps).limit_denominator(1001)
        os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 prints its settings otherwise
        try:
            self._file = av.open(
                address_of(self._beside),
                "w",
                format=self.container.format,
                container_options=dict(self.container.working),
            )
            options = {"g": str(max(1, round(self.fps * KEY_FRAME_S))), **self._encoder.options}
            stream = self._file.add_stream(self._name, rate=rate, options=options)
            assert isinstance(stream, VideoStream)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            context = stream.codec_context
            context.time_base = stream.time_base = self._tick
            context.thread_count = self._threads
            if self._tag:
                context.codec_tag = self._tag
            set_colors(context)
            context.open(strict=False)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise EdgeposeError(
                f"cannot write video {self.path}: {self._name} does not work here ({reason_of(error)}); choose another "
                "--video-codec"
            ) from error
        self._stream = stream

    def close(self) -> None:
        """Finish the file, copy the sound, and move the file to its path.

        Raises:
            EdgeposeError: Frames are missing from the file, for example because the disk is full.
        """
        if self._closed:
            return
        self._closed = True
        if self._stream is None or not self.frames:
            if self._file is not None:
                self._file.close()
            nothing = DataError("no frame")
            self._stack.__exit__(type(nothing), nothing, None)  # removes the empty file
            return
        if self.container.fixed_rate and (self._left_out or self._moved_s > MOVED_S):
            self._note(
                f"{self.path}: {self.path.suffix} files have one frame rate ({self.fps:.3g}); frames were moved by up "
                f"to {1000 * self._moved_s:.0f} ms and {self._left_out} left out; .mp4 and .mkv files keep their times"
            )
        assert self._file is not None
        stopped: KeyboardInterrupt | None = None
        with self._stack:
            try:
                self._encode(None)
            finally:
                try:
                    self._file.close()
                except (av.error.FFmpegError, OSError) as error:
                    raise self._explained(error) from error
            try:
                self._finish()
            except KeyboardInterrupt as error:  # the file can be played without it
                stopped = error
        if stopped is not None:
            raise stopped

    def _finish(self) -> None:
        """Replace the file by one with its index first and with sound; one that cannot be made changes nothing."""
        options = self.container.finished
        if options is None and self.sound is None:
            return
        end_s = self._begin_s + float(self._last * self._tick) + 1 / self.fps
        with temporary_file(self._beside.parent, self.path.name) as whole:
            try:
                finish(
                    self._beside,
                    whole,
                    container=self.container,
                    options=options or {},
                    tag=self._tag,
                    last_s=1 / self.fps,
                    sound=self.sound,
                    begin_s=self._begin_s,
                    end_s=end_s,
                    note=self._note,
                )
            except (av.error.FFmpegError, OSError, ValueError) as error:
                self._note(f"{self.path}: the index and the sound could not be added ({reason_of(error)})")
            else:
                whole.replace(self._beside)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


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
