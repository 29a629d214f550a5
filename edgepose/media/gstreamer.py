"""Cameras and hardware decoders through GStreamer: `gst:PIPELINE` and `csi:N`.

GStreamer runs in a process of its own, `gst-launch-1.0`, which the system brings (on a Jetson, JetPack). A plug-in that
crashes or hangs does not harm this process. The pictures come through a pipe, as raw frames in Matroska, which states
their size and format.
"""

from __future__ import annotations

import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator

import av

from edgepose._checks import Array
from edgepose._progress import Note, silent
from edgepose.errors import DataError, UsageError
from edgepose.media.feeds import TIMEOUT_S, FfmpegFeed
from edgepose.media.live import LiveSource
from edgepose.media.selection import ALL, Selection
from edgepose.media.streams import reason_of

LAUNCH = "gst-launch-1.0"
PIPE_BYTES = 1 << 20  # of the pipe between the processes, as much as Linux gives everybody
_OUT = "! videoconvert ! video/x-raw,format=I420 ! matroskamux streamable=true ! fdsink sync=false fd={}"
_CSI = (
    "nvarguscamerasrc sensor-id={} ! video/x-raw(memory:NVMM),width=1280,height=720,framerate=30/1 ! nvvidconv "
    "! video/x-raw,format=I420"
)
_FILES = re.compile(r"^(multifilesrc|filesrc|splitmuxsrc|imagesequencesrc|(location|uri)=file:.*)$")  # read files
_LAST_WORDS = 2000  # characters at the end of what GStreamer printed, in which the error is looked for


class _Pipe:
    """The reading end of a pipe as a file, whose reads end after `TIMEOUT_S` without data."""

    def __init__(self, handle: int) -> None:
        self.handle = handle

    def read(self, size: int) -> bytes:
        if not select.select([self.handle], [], [], TIMEOUT_S)[0]:
            return b""  # the stream counts as ended
        return os.read(self.handle, size)


class GstFeed:
    """The frames of a pipeline of GStreamer.

    Args:
        pipeline: The pipeline as for `gst-launch-1.0`, without a sink. It ends in frames in ordinary memory.
        shown: Its name in messages.
        ends: Whether an end of the frames is no fault.
        threads: Threads of the conversion; 0 takes one for each CPU.
        note: Receives lines about interlaced frames.

    Raises:
        DataError: GStreamer is not installed, or the pipeline does not run.
        UsageError: The text of the pipeline cannot be split into words.
    """

    def __init__(self, pipeline: str, shown: str, *, ends: bool = True, threads: int = 0, note: Note = silent) -> None:
        launch = shutil.which(LAUNCH)
        if launch is None:
            raise DataError(f"{shown}: {LAUNCH} is not installed; on Debian, apt install gstreamer1.0-tools")
        ours, theirs = os.pipe()
        self._pipe, self._shown = _Pipe(ours), shown
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            words = _words(pipeline) + shlex.split(_OUT.format(theirs))
            self._process = subprocess.Popen(
                [launch, "-q", *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # some plug-ins of NVIDIA print there
                stderr=self._log,
                pass_fds=[theirs],
                start_new_session=True,  # Ctrl-C is for the parent
            )
        except BaseException:
            os.close(ours)
            self._log.close()
            raise
        finally:
            os.close(theirs)
        try:
            self._feed = FfmpegFeed(self._pipe, shown, format="matroska", threads=threads, ends=ends, note=note)
        except (av.error.FFmpegError, DataError) as error:
            self._process.kill()
            self._process.wait()
            reason = self._last_words() or reason_of(error)
            self.close()
            raise DataError(f"{shown}: the pipeline gives no frame ({reason}); try it with {LAUNCH}") from error
        self.fps, self.size, self.ends = self._feed.fps, self._feed.size, ends

    def images(self) -> Iterator[Array]:
        """Yield the pictures, [H, W, 3] uint8 BGR.

        Raises:
            DataError: The pipeline failed.
        """
        yield from self._feed.images()
        try:
            code = self._process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise DataError(f"{self._shown}: no frame for {TIMEOUT_S:.0f} s") from None
        if code:
            raise DataError(f"{self._shown}: the pipeline ended ({self._last_words() or f'exit code {code}'})")

    @property
    def stream_s(self) -> float | None:
        """The time that the pipeline gives the latest picture, in seconds; None where it gives none."""
        return self._feed.stream_s

    def _last_words(self) -> str:
        """Return the error that GStreamer printed, on one line; empty where there is none."""
        if self._log.closed:
            return ""
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - _LAST_WORDS))
        lines = self._log.read().decode(errors="replace").splitlines()
        errors = [line for line in lines if "rror" in line] or [line for line in lines if line.strip()]
        return errors[0].strip() if errors else ""

    def close(self) -> None:
        """End the process, which ends a read that waits for it."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(2)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        feed = getattr(self, "_feed", None)
        if feed is not None:
            feed.close()
        if self._pipe.handle >= 0 and (feed is None or feed.idle):
            os.close(self._pipe.handle)
            self._pipe.handle = -1
        self._log.close()


def open_pipeline(text: str, *, selection: Selection = ALL, threads: int = 0, note: Note = silent) -> LiveSource:
    """Open `gst:PIPELINE`, or the CSI camera that `csi:N` names on a Jetson.

    Raises:
        UsageError: N is not a number, or there is no pipeline.
        DataError: The pipeline does not run.
    """
    kind, _, rest = text.partition(":")
    if kind == "csi" and not rest.isdecimal():
        raise UsageError(f"source {text!r}: expected csi:N with a number, e.g. csi:0")
    if not rest.strip():
        raise UsageError("source 'gst:' needs a pipeline, e.g. 'gst:v4l2src device=/dev/video0'")
    pipeline = _CSI.format(int(rest)) if kind == "csi" else rest
    shown = text if kind == "csi" else "the GStreamer pipeline"
    name = text.replace(":", "") if kind == "csi" else "gst"
    ends = kind == "gst"
    return LiveSource(
        lambda: GstFeed(pipeline, shown, ends=ends, threads=threads, note=note),
        name=name,
        selection=selection,
        note=note,
        live=kind == "csi" or not any(map(_FILES.match, _words(pipeline))),
    )


def _words(pipeline: str) -> list[str]:
    """Split a pipeline into words, without the `appsink` at its end that pipelines for OpenCV have."""
    try:
        words = shlex.split(pipeline)
    except ValueError as error:
        raise UsageError(f"the GStreamer pipeline cannot be split into words: {error}") from error
    if "appsink" in words:
        at = words.index("appsink")
        words = words[: at - 1] if at and words[at - 1] == "!" else words[:at]
    return words
