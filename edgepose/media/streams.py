"""Open what FFmpeg reads, and choose the film among its streams."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from edgepose._progress import Note, silent
from edgepose.errors import DataError, one_line
from edgepose.media.whole import Front, whole_bytes

MOST_THREADS = 16  # more decoder threads only hold more frames in memory
_STILLS = ("mjpeg", "png", "bmp", "tiff", "gif", "webp", "ljpeg", "jpegls", "jpeg2000")  # codecs of covers
_NO_FILMS = ("tty",)  # FFmpeg would show the text of a .txt file as a film


def open_container(
    address: str | Front,
    *,
    format: str | None = None,
    options: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
) -> InputContainer:
    """Open a file or an address for reading.

    Raises:
        av.error.FFmpegError: It cannot be opened.
        UnicodeError: Its text cannot be read.
    """
    timeout = None if timeout_s is None else (timeout_s, timeout_s)
    container = av.open(
        address, "r", format=format, options=dict(options or {}), metadata_errors="replace", timeout=timeout
    )
    assert isinstance(container, InputContainer)
    return container


def open_file(path: Path) -> InputContainer:
    """Open a file for reading; of an MP4 file that is cut off within a fragment, the fragments before it.

    Raises:
        av.error.FFmpegError: It cannot be opened.
    """
    try:
        return open_container(f"file:{path}")  # else FFmpeg takes the text before a colon for a protocol
    except av.error.InvalidDataError:
        size = whole_bytes(path)
        if size is None:
            raise
        return open_container(Front(path, size))


def film_of(container: InputContainer, name: str, note: Note = silent) -> VideoStream:
    """Choose the stream with the film: no cover picture, and of several films the default, then the largest one.

    Args:
        container: The open file.
        name: Its name in messages.
        note: Receives a line where there is a choice.

    Raises:
        DataError: There is no film.
    """
    if container.format.name in _NO_FILMS:
        raise DataError(f"{name} is no image or video, but text; choose a video")
    videos = list(container.streams.video)
    pictures = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
    films = [stream for stream in videos if not stream.disposition & pictures]
    if not films:
        held = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        found = "only a cover picture" if videos else f"no film (it holds {held})"
        raise DataError(f"{name} holds {found}; choose a file with a film")
    moving = [stream for stream in films if _codec_of(stream) not in _STILLS] or films
    best = container.streams.best("video")
    chosen = max(moving, key=lambda one: (bool(one.disposition & Disposition.default), _area(one), one is best))
    if len(films) > 1:
        note(f"{name}: {len(films)} video streams; took stream {chosen.index} ({_described(chosen)})")
    if chosen.codec_context is None:
        raise DataError(f"{name}: FFmpeg has no decoder for this video; convert it to H.264")
    return chosen


def packets_of(container: InputContainer, *streams: Stream) -> Iterator[Packet[Any]]:
    """Yield the packets of some streams of a container, as `InputContainer.demux` does.

    PyAV lists the streams when it opens a container, and fails at the first packet of one that begins later, as in
    MPEG-TS whose table of streams is damaged. Such packets are left out.

    Raises:
        av.error.FFmpegError: The container cannot be read on. The caller may begin again.
    """
    packets = container.demux(*streams)
    while True:
        try:
            packet = next(packets, None)
        except IndexError:
            packets = container.demux(*streams)
            continue
        if packet is None:
            return
        yield packet


def use_threads(stream: VideoStream, threads: int, *, live: bool = False) -> None:
    """Set how many threads decode a stream.

    Args:
        stream: The stream, before its first frame is decoded.
        threads: The number; 0 takes one for each CPU that this process may use.
        live: Whether frames must come out as soon as they went in, which threads for whole frames delay.
    """
    available = len(os.sched_getaffinity(0))
    context = stream.codec_context
    context.thread_count = max(1, min(threads or available, MOST_THREADS))
    context.thread_type = "SLICE" if live else "AUTO"


def reason_of(error: BaseException) -> str:
    """Return the text of an error of FFmpeg without its number and without the address."""
    if isinstance(error, av.error.ExitError):  # what FFmpeg reports where a timeout stopped it
        return "no answer in time"
    text = getattr(error, "strerror", None)
    return text if isinstance(text, str) and text else one_line(error)


def address_of(path: Path) -> str:
    """Return a path as an address of FFmpeg, which takes the text before a colon for a protocol."""
    return f"file:{path}"


def _codec_of(stream: VideoStream) -> str:
    return stream.codec_context.name if stream.codec_context is not None else ""


def _area(stream: VideoStream) -> int:
    return stream.codec_context.width * stream.codec_context.height if stream.codec_context is not None else 0


def _described(stream: VideoStream) -> str:
    context = stream.codec_context
    return "unknown codec" if context is None else f"{context.name}, {context.width}x{context.height}"
