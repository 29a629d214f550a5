"""Connections to cameras and live streams that FFmpeg opens: V4L2, RTSP, RTMP, HTTP, UDP and TCP."""

from __future__ import annotations

import contextlib
import itertools
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import av
from av.video.frame import VideoFrame

from edgepose._checks import Array
from edgepose._progress import Note, silent
from edgepose.errors import HIDDEN, DataError, UsageError, redact
from edgepose.media.film import FilmSource
from edgepose.media.live import LiveSource
from edgepose.media.picture import Converter, Filters, turn_of
from edgepose.media.selection import ALL, Selection
from edgepose.media.streams import film_of, open_container, packets_of, reason_of, use_threads
from edgepose.pose.geometry import Size

TIMEOUT_S = 10.0  # of opening, and of waiting for the next packet
MOST_ERRORS = 100  # damaged packets one after another, before a connection counts as broken
_NO_DELAY = {"fflags": "nobuffer", "flags": "low_delay"}
_OPTIONS: dict[str, dict[str, str]] = {
    "rtsp": {"rtsp_transport": "tcp", **_NO_DELAY},  # UDP loses packets, and many routers block it
    "rtsps": {"rtsp_transport": "tcp", **_NO_DELAY},
    "http": {"reconnect": "1", "reconnect_delay_max": "2"},
    "https": {"reconnect": "1", "reconnect_delay_max": "2"},
}
_ALWAYS_LIVE = ("rtsp", "rtsps", "rtmp", "udp", "tcp")


class FfmpegFeed:
    """A connection that FFmpeg decodes.

    Args:
        address: The address, a device, or an object with a method `read`.
        shown: The address in messages.
        format: The name of the input format, where the address does not say it.
        options: Options of FFmpeg.
        threads: Threads of the decoder; 0 takes one for each CPU.
        ends: Whether an end of the frames is no fault.
        note: Receives lines about interlaced and HDR frames.

    Raises:
        DataError: The stream has no film.
        av.error.FFmpegError: The connection is not possible.
    """

    def __init__(
        self,
        address: Any,
        shown: str,
        *,
        format: str | None = None,
        options: Mapping[str, str] | None = None,
        threads: int = 0,
        ends: bool = False,
        note: Note = silent,
    ) -> None:
        self.ends, self._shown, self._note = ends, shown, note
        self.stream_s: float | None = None  # the time that the stream gives the latest picture
        self._reading = threading.Lock()
        self._closed = False
        timeout = TIMEOUT_S if isinstance(address, str) else None
        self._container = open_container(address, format=format, options=options, timeout_s=timeout)
        with contextlib.ExitStack() as stack:
            stack.callback(self._container.close)
            self._stream = film_of(self._container, shown)
            use_threads(self._stream, threads, live=True)
            self._frames = self._decoded()
            first = next(self._frames, None)
            if first is None:
                raise DataError(f"{shown}: the stream has no frame; check what sends it")
            self._ahead = [first]
            self._converter = Converter(self._stream.sample_aspect_ratio, threads)
            self.size: Size = self._converter.size(first, turn_of(first))
            rate = self._stream.average_rate or self._stream.guessed_rate
            self.fps = float(rate) if rate and 0 < rate < 1000 else 25.0  # cameras and broken headers say 0
            stack.pop_all()

    def images(self) -> Iterator[Array]:
        """Yield the pictures, [H, W, 3] uint8 BGR.

        Raises:
            DataError: The connection broke off.
        """
        filters = Filters[VideoFrame](self._shown, self._note)
        waiting, self._ahead = self._ahead, []
        frames = itertools.chain(waiting, self._frames)
        while True:
            with self._reading:
                if self._closed:
                    self._container.close()
                    return
                frame = next(frames, None)
            if frame is None:
                return
            for ready, whole in filters.push(frame, self._stream.codec_context.color_trc, frame):
                self.stream_s = None if whole.pts is None else float(whole.pts * (self._stream.time_base or 0))
                yield self._converter.array(ready, turn_of(whole))

    def _decoded(self) -> Iterator[VideoFrame]:
        """Decode frames. Damaged packets are left out, as networks lose some."""
        errors = 0
        packets = packets_of(self._container, self._stream)
        while True:
            try:
                packet = next(packets, None)
                frames: list[VideoFrame] = packet.decode() if packet is not None else []
            except av.error.InvalidDataError as error:
                errors += 1
                if errors > MOST_ERRORS:
                    raise DataError(f"{self._shown}: nothing can be decoded ({reason_of(error)})") from error
                packets = packets_of(self._container, self._stream)  # an error in it ended it
                continue
            except av.error.EOFError:
                return
            except av.error.FFmpegError as error:
                raise DataError(f"{self._shown}: {reason_of(error)}") from error
            if packet is None:
                return
            errors = 0 if frames else errors
            yield from frames

    @property
    def idle(self) -> bool:
        """Whether the connection is closed, or at least no thread reads from it."""
        return not self._reading.locked()

    def close(self) -> None:
        """Close the connection; while another thread reads, that thread's read ends it at the latest after a while."""
        self._closed = True
        if self._reading.acquire(blocking=False):  # closing a container during a read would crash
            self._container.close()
            self._reading.release()


def open_camera(text: str, *, selection: Selection = ALL, threads: int = 0, note: Note = silent) -> LiveSource:
    """Open the camera that `camera:N` or `/dev/videoN` names, with V4L2.

    Raises:
        UsageError: N is not a number.
        DataError: The camera does not exist or is in use.
    """
    number = text.removeprefix("camera:")
    if text.startswith("camera:") and not number.isdecimal():
        raise UsageError(f"source {text!r}: expected camera:N with a number, e.g. camera:0")
    device = f"/dev/video{number}" if text.startswith("camera:") else text

    def connect() -> FfmpegFeed:
        shown = f"camera {number}"
        try:
            return FfmpegFeed(device, shown, format="v4l2", threads=threads, note=note)
        except av.error.FFmpegError as error:
            raise DataError(
                f"{shown} is not there or is in use ({reason_of(error)}); `ls /dev/video*` lists the cameras, camera:0 "
                "is the first"
            ) from error

    return LiveSource(connect, name=f"camera{Path(number).name}", selection=selection, note=note)


def open_address(
    url: str, *, selection: Selection = ALL, threads: int = 0, note: Note = silent
) -> LiveSource | FilmSource:
    """Open an RTSP, RTMP, HTTP, UDP or TCP address. A file behind HTTP is not live.

    Raises:
        DataError: The address cannot be opened.
    """
    scheme, shown, name = url.partition(":")[0].lower(), redact(url), stem_of_url(url)
    options = _OPTIONS.get(scheme, {})

    def connect() -> FfmpegFeed:
        try:
            return FfmpegFeed(url, shown, options=options, threads=threads, note=note)
        except av.error.FFmpegError as error:
            raise _unreachable(shown, scheme, error) from error

    if scheme not in _ALWAYS_LIVE:
        try:
            with open_container(url, options=options, timeout_s=TIMEOUT_S) as container:
                finite = container.duration is not None or container.streams.video[0].frames > 0
            if finite:
                return FilmSource(url, name=name, shown=shown, selection=selection, threads=threads, note=note)
        except av.error.FFmpegError as error:
            raise _unreachable(shown, scheme, error) from error
        except IndexError as error:
            raise DataError(f"{shown} holds no film; choose another address") from error
    return LiveSource(connect, name=name, selection=selection, note=note)


def _unreachable(shown: str, scheme: str, error: av.error.FFmpegError) -> DataError:
    """Return the error about an address, with what to check."""
    return DataError(f"cannot open the stream {shown} ({reason_of(error)}); {_remedy(scheme, error)}")


def _remedy(scheme: str, error: av.error.FFmpegError) -> str:
    if isinstance(error, (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError)):
        return f"check user and password: {scheme}://USER:PASSWORD@HOST/PATH"
    if isinstance(error, av.error.HTTPNotFoundError):
        return "check the path behind the host, which the manual of the camera states"
    if isinstance(error, av.error.ConnectionRefusedError):
        return "nothing listens at this port: check that the camera or server is running, and the address and the port"
    if isinstance(error, (av.error.ExitError, av.error.TimeoutError)):
        if scheme == "udp":
            return "no packet came: check that the sender sends to this machine and port, and the firewall"
        return "check that the camera is on and can be reached (ping HOST), and that no firewall blocks the port"
    return "check the name of the host, the port and the path, user and password, and the network"


def stem_of_url(url: str) -> str:
    """Return the last word of an address, without user, password and query."""
    tail = re.sub(r"[?#].*$", "", redact(url)).rstrip("/").rpartition("/")[2].removeprefix(f"{HIDDEN}@")
    return re.sub(r"[^\w.-]", "_", tail) or "stream"
