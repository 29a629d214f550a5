"""Video files, and videos behind HTTP, as a source of frames.

Every frame has the time that the file gives it, so that pauses and changing frame rates are kept.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import av
from av.video.frame import VideoFrame

from edgepose._progress import Note, silent
from edgepose.errors import DataError, counted, redact
from edgepose.media.decoding import Decoded, Decoder
from edgepose.media.picture import Converter, Filters, Turn, turn_of
from edgepose.media.selection import ALL, Selection
from edgepose.media.sound import Sound
from edgepose.media.sources import Frame
from edgepose.media.streams import address_of, reason_of
from edgepose.media.whole import cut_off, lacks_index
from edgepose.pose.geometry import Size

ROUNDING_S = 1e-6  # a time that is given in decimals may lie this far beside that of its frame


@dataclass(frozen=True)
class _Place:
    """Where a frame belongs: its index and time in the film, how it is turned, and whether it is selected."""

    index: int
    time_s: float
    turn: Turn
    wanted: bool


class FilmSource:
    """The frames of a film, named `<name>-000012`, with the times of the file.

    Time 0 is the first frame that can be decoded. A frame has the same index, name and time in every selection. A film
    that is damaged or cut off raises DataError after its last readable frame, unless `selection.skip_errors` is set.

    Args:
        address: A file or an address, as FFmpeg opens it.
        name: The beginning of the names of frames.
        shown: The file or address in messages.
        path: The file, where it is one.
        selection: Which frames are taken.
        threads: Threads of the decoder; 0 takes one for each CPU.
        note: Receives lines about what the file is and what was done about it.

    Raises:
        DataError: The file holds no film, or no frame of it can be decoded.
        av.error.FFmpegError: The file cannot be opened.
    """

    skipped = ()
    live = False

    def __init__(
        self,
        address: str,
        *,
        name: str,
        shown: str,
        path: Path | None = None,
        selection: Selection = ALL,
        threads: int = 0,
        note: Note = silent,
    ) -> None:
        self.name, self.path, self.selection, self.dropped = name, path, selection, 0
        self._address, self._shown, self._threads, self._note = address, shown, threads, note
        self._reading = threading.Lock()
        self._decoder = self._opened(note)
        try:
            self._begin()
        except BaseException:
            self._decoder.close()
            raise

    def _opened(self, note: Note = silent) -> Decoder:
        skips = self.selection.skip_errors
        return Decoder(self._address, self._shown, path=self.path, threads=self._threads, skip_errors=skips, note=note)

    def _begin(self) -> None:
        """Decode the first frame, which tells the time 0, the size and the frame rate."""
        frames = self._decoder.frames()
        first = next(frames, None)
        if first is None and self.path is not None and cut_off(self.path):
            raise DataError(f"{self._shown} is cut off before its first frame; fetch or record it again")
        if first is None:
            why = f" ({self._decoder.ended_early})" if self._decoder.ended_early else ""
            remedy = "play it elsewhere or convert it to H.264"
            if self.path is None:  # the index of many MP4 files is at their end, and not every server gives parts
                remedy = "download the file and name it as the source, because not every server allows jumps in a file"
            raise DataError(f"{self._shown}: no frame can be decoded{why}; {remedy}")
        self._begun: Iterator[Decoded] | None = itertools.chain([first], frames)
        self._zero = first.at
        self._converter = Converter(self._decoder.stream.sample_aspect_ratio, self._threads)
        self.size: Size | None = self._converter.size(first.frame, turn_of(first.frame))
        self.fps = 1 / (self._decoder.step * self.selection.every)
        self.count = _count(self._decoder, self.selection)

    def __iter__(self) -> Iterator[Frame]:
        try:
            yield from self._selected()
        except av.error.FFmpegError as error:  # of a conversion: a format of pixels, or a size
            raise DataError(f"{self._shown}: {reason_of(error)}; convert it to H.264") from error

    def _selected(self) -> Iterator[Frame]:
        selection, filters = self.selection, Filters[_Place](self._shown, self._note)
        index, frames = self._from(selection.start_s)
        clock, first, given, passed = _Clock(self._decoder.step), None, 0, False
        for one in self._locked(frames):
            time_s = clock.time(one.at - self._zero)
            if selection.end_s is not None and time_s >= selection.end_s - ROUNDING_S:
                passed = True
                break
            if time_s >= selection.start_s - ROUNDING_S:
                first = index if first is None else first
                place = _Place(index, time_s, turn_of(one.frame), (index - first) % selection.every == 0)
                for frame, at in filters.push(one.frame, one.trc, place):
                    if at.wanted:
                        given += 1
                        yield self._frame(frame, at)
            index += 1
        else:
            self._decoder.ended_early = self._decoder.ended_early or self._decoder.missing()
        for frame, at in filters.flush():
            if at.wanted:
                given += 1
                yield self._frame(frame, at)
        self._conclude(given, index, passed)

    def _frame(self, frame: VideoFrame, place: _Place) -> Frame:
        image = self._converter.array(frame, place.turn)
        name = f"{self.name}-{place.index:06d}"
        return Frame(index=place.index, name=name, image_id=place.index, time_s=place.time_s, image=image)

    def _locked(self, frames: Iterator[Decoded]) -> Iterator[Decoded]:
        """Hold the lock while a frame is decoded, because a file that is closed meanwhile would crash."""
        while True:
            with self._reading:
                one = next(frames, None)
            if one is None:
                return
            yield one

    def _from(self, start_s: float) -> tuple[int, Iterator[Decoded]]:
        """Return the index of a frame at `start_s` or shortly before, and the frames from it on."""
        if not start_s and self._begun is not None:
            frames, self._begun = self._begun, None
            return 0, frames
        target = self._zero + start_s - ROUNDING_S
        order = self._anew().order_around(target) if start_s else None
        if order is not None:
            frames = self._anew().frames()
            try:
                self._decoder.seek(target)
                first = next((one for one in frames if one.at >= target), None)
            except av.error.FFmpegError:
                first = None
            if first is not None and first.at in order and min(t for t in order if t >= target) == first.at:
                return order[first.at] - order.get(self._zero, 0), itertools.chain([first], frames)
        return 0, self._anew().frames()  # without a way to the place: from the beginning

    def _anew(self) -> Decoder:
        """Open the file once more, at its beginning."""
        self._begun = None
        with self._reading:
            self._decoder.close()
            self._decoder = self._opened()
        self._decoder.zero = self._zero
        return self._decoder

    def _conclude(self, given: int, read: int, passed: bool) -> None:
        """Say what is missing, after the last frame."""
        decoder = self._decoder
        if decoder.damaged and decoder.skip_errors:
            where = f"the first of them at {decoder.first_damage_s or 0:.2f} s"
            self._note(f"{self._shown}: left out {counted(decoder.damaged, 'damaged frame')}, {where}")
        if decoder.doubtful:
            doubtful = counted(decoder.doubtful, "frame")
            self._note(f"{self._shown}: the recording has gaps; {doubtful} may show something wrong")
        if decoder.ended_early:
            kept = "the frame before was" if read == 1 else f"the {read} frames before were"
            text = f"{self._shown}: {decoder.ended_early}; {kept} processed"
            if not decoder.skip_errors:
                raise DataError(f"{text}. --skip-errors takes what can be read of such a file")
            self._note(text)
        if not given:
            raise DataError(f"{self._shown}: {self._nothing(read, passed)}")

    def _nothing(self, read: int, passed: bool) -> str:
        """Return why no frame was selected: none lies between --start and --end, or the film is shorter."""
        start, end = self.selection.start_s, self.selection.end_s
        if passed:
            return f"no frame lies from {start:g} s to {end:g} s, because the one before lasts longer; choose others"
        return f"no frame from {start:g} s on; the film has {counted(read, 'frame')}, choose an earlier --start"

    @property
    def sound(self) -> Sound | None:
        """Where the sound of the film is; None where it has none, or is no file."""
        if self.path is None or not self._decoder.container.streams.audio:
            return None
        return Sound(path=self.path, zero_s=self._zero)

    def canvas(self) -> Size | None:
        """Return None: the first frame of a film decides the size of the overlay."""
        return None

    def close(self) -> None:
        """Close the file, unless another thread hangs in a read: then the end of the program closes it."""
        if self._reading.acquire(blocking=False):
            self._decoder.close()
            self._reading.release()

    def __enter__(self) -> FilmSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Clock:
    """Makes times that grow: a recording that was joined from several ones may go back in time."""

    def __init__(self, step: float) -> None:
        self._step, self._shift = step, 0.0
        self._last: float | None = None

    def time(self, at: float) -> float:
        time = at + self._shift
        if self._last is not None and time <= self._last:
            self._shift += self._last + self._step - time
            time = self._last + self._step
        self._last = time
        return time


def open_film(path: Path, *, selection: Selection = ALL, threads: int = 0, note: Note = silent) -> FilmSource:
    """Open a video file.

    Raises:
        DataError: The file holds no film that FFmpeg can read.
    """
    shown = redact(str(path))
    if not path.stat().st_size:
        raise DataError(f"{shown} is empty; fetch it again")
    try:
        return FilmSource(
            address_of(path), name=path.stem, shown=shown, path=path, selection=selection, threads=threads, note=note
        )
    except av.error.FFmpegError as error:
        if lacks_index(path) or cut_off(path):
            raise DataError(f"{shown} is cut off before the index of the video; fetch or record it again") from error
        raise DataError(
            f"{shown} is no image or video that FFmpeg can read ({reason_of(error)}); fetch it again or convert it"
        ) from error


def _count(decoder: Decoder, selection: Selection) -> int | None:
    """Return about how many frames a selection of the film has, or None where the container does not say."""
    length, rate = decoder.length, 1 / decoder.step
    whole = decoder.stream.frames or (None if length is None else round(length * rate))
    if selection.everything or whole is None:
        return whole
    first = min(whole, round(selection.start_s * rate))
    last = whole if selection.end_s is None else min(whole, round(selection.end_s * rate))
    return max(0, -(-(last - first) // selection.every))
