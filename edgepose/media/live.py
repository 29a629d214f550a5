"""Cameras and live streams as a source of frames, which is connected again when it breaks off."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Protocol

from edgepose._checks import Array
from edgepose._progress import Note, silent
from edgepose.errors import DataError, EdgeposeError, counted
from edgepose.media.selection import ALL, Selection
from edgepose.media.sources import Frame
from edgepose.pose.geometry import Size

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 10.0  # the wait before an attempt to connect doubles from one to the next
PATIENCE_S = 300.0  # a stream that was away for so long is given up


class Feed(Protocol):
    """One connection to a camera or a stream.

    Attributes:
        fps: Frames per second, as far as the connection knows.
        size: The (height, width) of its frames.
        ends: Whether an end of the frames is no fault, as in a pipeline that reads a file.
    """

    fps: float
    size: Size
    ends: bool

    @property
    def stream_s(self) -> float | None:
        """The time that the stream gives the latest picture, in seconds; None where it gives none."""
        ...

    def images(self) -> Iterator[Array]:
        """Yield the pictures, [H, W, 3] uint8 BGR.

        Raises:
            DataError: The connection broke off.
        """
        ...

    def close(self) -> None:
        """End the connection, also while another thread waits for a picture."""
        ...


class LiveSource:
    """The frames of a camera or of a live stream, named `<name>-000012`, with the seconds since the first one.

    A connection that breaks off is opened again, with growing waits between the attempts. The time goes on meanwhile.

    Args:
        connect: Opens a connection, or raises DataError.
        name: The beginning of the names of frames.
        selection: Which frames are taken.
        note: Receives a line when the connection is lost, and one when it is back.
        patience_s: How long a connection may be away, in seconds.
        live: Whether frames come by themselves. A pipeline that reads a file waits for its reader: none of its frames
            is dropped, and they have the times of the stream.

    Raises:
        DataError: The first connection is not possible.
    """

    skipped = ()
    sound = None
    count: int | None = None

    def __init__(
        self,
        connect: Callable[[], Feed],
        *,
        name: str,
        selection: Selection = ALL,
        note: Note = silent,
        patience_s: float = PATIENCE_S,
        live: bool = True,
    ) -> None:
        self.live = live
        self.name, self.selection, self.dropped, self.reconnected = name, selection, 0, 0
        self._connect, self._note, self._patience_s = connect, note, patience_s
        self._stopped = threading.Event()
        self._lock = threading.Lock()  # for the exchange of the connection
        self._feed: Feed = connect()
        self.fps = self._feed.fps / selection.every
        self.size: Size | None = self._feed.size

    def __iter__(self) -> Iterator[Frame]:
        chosen, start = self.selection, 0.0
        for index, image in enumerate(self._images()):
            now = self._now(index)
            start = start if index else now
            seconds = now - start
            if chosen.end_s is not None and seconds >= chosen.end_s:
                return
            if seconds >= chosen.start_s and index % chosen.every == 0:
                name = f"{self.name}-{index:06d}"
                yield Frame(index=index, name=name, image_id=index, time_s=seconds, image=image)

    def _now(self, index: int) -> float:
        """Return the time of the latest picture in seconds: of the clock, or of the stream where it is not live."""
        if self.live:
            return time.monotonic()
        given = self._feed.stream_s
        return index / self._feed.fps if given is None else given

    def _images(self) -> Iterator[Array]:
        read = 0
        while not self._stopped.is_set():
            reason = ""
            try:
                for image in self._feed.images():
                    read += 1
                    yield image
                if self._feed.ends:
                    return
            except DataError as error:
                reason = str(error)
            if self._stopped.is_set() or not self._again(read, reason):
                return

    def _again(self, read: int, reason: str) -> bool:
        """Connect again, and return False where the source was closed meanwhile.

        Raises:
            DataError: The connection was away for too long.
        """
        self._feed.close()
        lost, wait = time.monotonic(), FIRST_WAIT_S
        why = f" ({reason})" if reason else ""
        self._note(f"{self.name}: the stream broke off after {counted(read, 'frame')}{why}; reconnecting")
        while True:
            if self._stopped.wait(wait):
                return False
            wait = min(2 * wait, LONGEST_WAIT_S)
            try:
                feed = self._connect()
            except EdgeposeError as error:
                reason = str(error)
            else:
                break
            if time.monotonic() - lost > self._patience_s:
                raise DataError(
                    f"{self.name}: the stream ended after {counted(read, 'frame')} and did not come back in "
                    f"{self._patience_s:.0f} s ({reason}); check the camera or the connection"
                )
        with self._lock:
            self._feed = feed
            if self._stopped.is_set():
                feed.close()
                return False
        gc.collect()  # PyAV's container and streams refer to each other: the lost ones would keep a decoder's memory
        self.reconnected += 1
        self._note(f"{self.name}: the stream is back after {time.monotonic() - lost:.1f} s")
        return True

    def canvas(self) -> Size | None:
        """Return None: the first frame decides the size of the overlay."""
        return None

    def close(self) -> None:
        """End the connection and every attempt to open it again."""
        self._stopped.set()
        with self._lock:
            self._feed.close()

    def __enter__(self) -> LiveSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
