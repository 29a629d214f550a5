"""Decode the film of one open file, and notice where it is damaged and where it ends."""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from edgepose._progress import Note, silent
from edgepose.media.streams import film_of, open_container, open_file, packets_of, reason_of, use_threads
from edgepose.media.whole import cut_off

MISSING_FRAMES = 3  # a film that ends earlier than this before the end that its container states is cut off
MISSING_S = 0.5  # in seconds, because the last frame may be shown for longer than the others
MISSING_SHARE = 0.01  # of its length, because some containers round or estimate their length
FASTEST = 1000  # frames per second; a rate above it is the unit of the times, which files without a rate give
OUT_OF_ORDER = 32  # packets by which a frame can be stored later than it is shown
TIMEOUT_S = 10.0


class Decoded(NamedTuple):
    """A frame of the decoder.

    Attributes:
        frame: The frame.
        at: Its time in the file, in seconds.
        trc: Its transfer function, numbered as in ITU-T H.273.
    """

    frame: VideoFrame
    at: float
    trc: int


class Decoder:
    """The frames of a film in one pass over the file.

    Args:
        address: A file or an address, as FFmpeg opens it.
        shown: The file or address in messages.
        path: The file, where it is one.
        threads: Threads of the decoder; 0 takes one for each CPU.
        skip_errors: Whether to go on after damaged packets.
        note: Receives a line where the file holds several films.

    Attributes:
        step: The usual time from one frame to the next, in seconds.
        zero: The time of the first frame of the film, in the time of the file, as soon as it is known.
        damaged: How many packets or frames were damaged.
        first_damage_s: Where the first of them was, in seconds after `zero`.
        doubtful: How many frames a recording of a transmission marks as incomplete.
        ended_early: Why the frames ended before the film does; None where they did not.

    Raises:
        DataError: The file holds no film.
        av.error.FFmpegError: The file cannot be opened.
    """

    def __init__(
        self,
        address: str,
        shown: str,
        *,
        path: Path | None = None,
        threads: int = 0,
        skip_errors: bool = False,
        note: Note = silent,
    ) -> None:
        self.path, self.skip_errors = path, skip_errors
        self.zero: float | None = None
        self.damaged = 0
        self.first_damage_s: float | None = None
        self.doubtful = 0
        self.ended_early: str | None = None
        self._reached: float | None = None  # where the packets that were read end, in seconds of the file
        self.container = open_file(path) if path is not None else open_container(address, timeout_s=TIMEOUT_S)
        with contextlib.ExitStack() as stack:
            stack.callback(self.container.close)
            self.stream = film_of(self.container, shown, note)
            use_threads(self.stream, threads)
            self.base = float(self.stream.time_base or Fraction(1, av.time_base))  # one unit of its times, in seconds
            self._trusts_flags = self.container.format.name != "mpegts"  # it marks sound frames after every gap
            self._by_slots = self.container.format.name == "avi"  # it has no times of frames, and FFmpeg guesses them
            rate = self.stream.average_rate or self.stream.guessed_rate
            self.step = float(1 / rate) if rate and 0 < rate <= FASTEST else 1 / 25
            stack.pop_all()

    @property
    def length(self) -> float | None:
        """How long the container says that the film, or the longest of its streams, is, in seconds."""
        if self.stream.duration is not None:
            return self.stream.duration * self.base
        return None if self.container.duration is None else self.container.duration / av.time_base

    def frames(self) -> Iterator[Decoded]:
        """Decode the frames from where the file stands.

        At a damaged packet the frames end, with the reason in `ended_early`, or with `skip_errors` it is left out.
        What cannot be decoded before the first good frame is not counted: a recording may begin between key frames.
        """
        some, last = False, -self.step
        slots: list[int] = []  # where an AVI file stores frames: in the order in which they are decoded
        for packet in self._packets():
            cut = bool(packet.is_corrupt and packet.size) and self._trusts_flags
            if not cut and self._by_slots and packet.dts is not None:
                heapq.heappush(slots, packet.dts)
            decoded, broken = self._decoded(None if cut else packet)
            for frame in decoded:
                pts = heapq.heappop(slots) if slots else frame.pts
                if frame.is_corrupt and self._trusts_flags:
                    broken = True
                    continue
                self.doubtful += frame.is_corrupt
                at = last + self.step if pts is None else pts * self.base
                self.zero = at if self.zero is None else self.zero
                some, last = True, at
                yield Decoded(frame, at, self.stream.codec_context.color_trc)
            if (broken or cut) and some and not self._goes_on(last + self.step):
                return

    def _decoded(self, packet: Packet[VideoStream] | None) -> tuple[list[VideoFrame], bool]:
        """Decode a packet and return its frames, and whether it is damaged.

        None stands for a packet that is cut off: it yields the frames that wait in the decoder, where the film ends
        there, because frames are not always decoded in the order in which they are shown.
        """
        if packet is None and self.skip_errors:
            return [], True
        try:
            return self.stream.codec_context.decode(packet), False
        except av.error.EOFError:  # the decoder was emptied already
            return [], False
        except av.error.FFmpegError:
            return [], True

    def seek(self, at: float) -> None:
        """Go to the last key frame before a time of the file, in seconds.

        Raises:
            av.error.FFmpegError: This is impossible in the file.
        """
        self.container.seek(int(at / self.base), stream=self.stream)

    def order_around(self, at: float) -> dict[float, int] | None:
        """Return the index of each frame up to shortly after a time, by its time in the file.

        The packets before that are read but not decoded.

        Args:
            at: The time in the file, in seconds.

        Returns:
            The indices, or None where the file gives its packets no times or cannot be read.
        """
        times: list[float] = []
        after = 0
        try:
            for packet in packets_of(self.container, self.stream):
                pts = packet.dts if self._by_slots else packet.pts
                if pts is None and packet.size:
                    return None
                if pts is None or not packet.size or packet.is_discard:
                    continue
                times.append(pts * self.base)
                after += times[-1] >= at
                if after > OUT_OF_ORDER:
                    break
        except av.error.FFmpegError:
            return None
        return {time: index for index, time in enumerate(sorted(times))}

    def missing(self) -> str | None:
        """Return what is missing at the end of the film, in words, or None where it is complete."""
        cut = cut_off(self.path) if self.path is not None else None
        if cut:
            return "the file is damaged or truncated, it ends before the end that it states"
        if self._by_slots or self.length is None or self._reached is None:
            return None  # an AVI file shows its last picture for as long as it wants
        start = self.stream.start_time * self.base if self.stream.start_time is not None else self.zero or 0.0
        start = 0.0 if self.container.format.name.startswith("matroska") else start  # its length counts from 0
        missing = start + self.length - self._reached
        if missing <= max(MISSING_S, MISSING_FRAMES * self.step, self.length * MISSING_SHARE):
            return None
        return f"the video is damaged or truncated, {missing:.1f} of {self.length:.1f} s are missing"

    def close(self) -> None:
        """Close the file."""
        self.container.close()

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        """Yield the packets of the film, the last one empty, and notice the time at which all streams end."""
        timed: list[Stream] = [one for one in self.container.streams if one.type in ("video", "audio")]
        packets = packets_of(self.container, *([self.stream] if self.stream.duration is not None else timed))
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError as error:
                self.ended_early = f"the video is damaged or truncated ({reason_of(error)})"
                return
            if packet is None:
                return
            if packet.pts is not None:
                base = self.base if packet.stream is self.stream else float(packet.time_base)
                end = (packet.pts + (packet.duration or 0)) * base
                self._reached = end if self._reached is None else max(self._reached, end)
            last = packet.pts is None and packet.dts is None and not packet.size  # other empty ones repeat a picture
            if packet.stream is self.stream and (packet.size or last):
                yield packet

    def _goes_on(self, at: float) -> bool:
        """Count a damage and return whether to go on after it."""
        seconds = at - (self.zero or 0)
        self.damaged += 1
        self.first_damage_s = seconds if self.first_damage_s is None else self.first_damage_s
        if not self.skip_errors:
            self.ended_early = f"the video is damaged or truncated at {seconds:.2f} s"
        return self.skip_errors
