"""The two ends of a stream: a thread that reads frames ahead, and a thread that writes results.

Queues are bounded: memory does not grow with the length of a video. `edgepose.runtime.stream` works on one source, and
`edgepose.runtime.streams` on several.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edgepose.media.sources import Frame, Source
from edgepose.pose.poses import Poses
from edgepose.runtime.stages import READ, WRITE, StageTimes

DEPTH = 4  # frames that a queue holds
POLL_S = 0.1  # how often a blocked stage checks whether another one stopped
PATIENCE_S = 2.0  # how long the end of a run waits for a read that hangs

Sink = Callable[[Frame, Poses], None]


class Reader:
    """Iterates over a source in a thread. A live source loses its oldest frame when the reader of it is too slow.

    Args:
        source: The frames.
        stop: Ends the thread when it is set.
        times: Receives how long reading takes.
        wake: Is set when there is something to take.
    """

    def __init__(
        self, source: Source, stop: threading.Event, times: StageTimes, wake: threading.Event | None = None
    ) -> None:
        self._queue: queue.Queue[Frame | BaseException | None] = queue.Queue(DEPTH)
        self._source, self._stop, self._times = source, stop, times
        self._wake = wake or threading.Event()
        self._thread = threading.Thread(target=self._read, name="edgepose-read", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Frame]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    @property
    def waiting(self) -> bool:
        """Whether `take` has something to return: a frame, or the end of the source."""
        return not self._queue.empty()

    def take(self) -> Frame | None:
        """Return a frame, or None at the end of the source. It waits where nothing is `waiting`.

        Raises:
            BaseException: What the source raised.
        """
        item = self._queue.get()
        if isinstance(item, BaseException):
            raise item
        return item

    def join(self, patience_s: float | None = None) -> None:
        """Wait for the current read, but not for one that hangs: its thread ends with the program."""
        self._thread.join(PATIENCE_S if patience_s is None else patience_s)

    def _read(self) -> None:
        try:
            frames = iter(self._source)
            while not self._stop.is_set():
                with self._times.stage(READ):
                    frame = next(frames, None)
                if frame is not None:
                    self._times.began(frame.index)
                self._put(frame)
                if frame is None:
                    return
        except BaseException as error:  # raised again in the thread of the caller
            self._put(error)

    def _put(self, item: Frame | BaseException | None) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0 if self._drops(item) else POLL_S)
                return self._wake.set()
            except queue.Full:
                if self._drops(item):
                    self._drop_oldest()

    def _drops(self, item: Frame | BaseException | None) -> bool:
        return self._source.live and isinstance(item, Frame)

    def _drop_oldest(self) -> None:
        try:
            self._queue.get_nowait()
            self._source.dropped += 1
        except queue.Empty:
            return


@dataclass(frozen=True)
class End:
    """The end of what a writer gets, and what ended it early."""

    error: BaseException | None = None


def _leave_open(error: BaseException | None) -> None:
    """Do nothing: the caller closes the sinks."""


class Writer:
    """Calls the sinks in a thread.

    Args:
        sinks: Take each frame with its poses.
        times: Receives how long writing takes.
        close: Is called once in the thread, behind the last frame, with what ended the stream early.
        wake: Is set when there is room for another frame.
    """

    def __init__(
        self,
        sinks: list[Sink],
        times: StageTimes,
        *,
        close: Callable[[BaseException | None], None] = _leave_open,
        wake: threading.Event | None = None,
    ) -> None:
        self._queue: queue.Queue[tuple[Frame, Poses] | End] = queue.Queue(DEPTH)
        self._sinks, self._times, self._close = sinks, times, close
        self._wake = wake or threading.Event()
        self._given_up = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._write, name="edgepose-write", daemon=True)
        self._thread.start()

    @property
    def has_room(self) -> bool:
        """Whether `put` returns at once, with the error of a sink where there is one."""
        return not self._queue.full() or self._error is not None

    def put(self, item: tuple[Frame, Poses]) -> None:
        """Queue one result and wait for space. An error of a sink is raised here."""
        while True:
            self.raise_error()
            try:
                return self._queue.put(item, timeout=POLL_S)
            except queue.Full:
                continue

    def end(self, error: BaseException | None = None) -> None:
        """Queue the end: the thread writes what it has, closes the sinks and ends. Only waits for space."""
        while self._thread.is_alive():
            try:
                return self._queue.put(End(error), timeout=POLL_S)
            except queue.Full:
                continue

    def finish(self, error: BaseException | None = None) -> None:
        """Wait until the queue is empty and end the thread. `raise_error` raises the error of a sink."""
        self.end(error)
        self._thread.join()

    def give_up(self) -> None:
        """End the thread after the current frame. It has no effect after a `finish` that was not interrupted."""
        self._given_up = True
        self.finish()

    def raise_error(self) -> None:
        """Raise what a sink raised."""
        if self._error is not None:
            raise self._error

    def _write(self) -> None:
        ended: BaseException | None = None
        try:
            while isinstance(item := self._queue.get(), tuple):
                self._wake.set()
                if self._given_up:
                    ended = KeyboardInterrupt()
                    return
                with self._times.stage(WRITE):
                    for sink in self._sinks:
                        sink(*item)
                self._times.ended(item[0].index)
            ended = item.error
        except BaseException as error:  # raised again in the thread of the caller
            self._error = ended = error
        finally:
            self._end(ended)

    def _end(self, ended: BaseException | None) -> None:
        try:
            self._close(ended)
        except BaseException as error:  # raised again in the thread of the caller
            self._error = self._error or error
        self._wake.set()
