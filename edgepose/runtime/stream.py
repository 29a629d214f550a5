"""Frames through overlapping stages: one thread reads, the caller's thread works, one thread writes.

OpenCV and the engines release the interpreter lock, so decoding and encoding cost nothing while there is
a core for them. Queues are bounded: memory does not grow with the video. Whatever goes wrong in a thread
is raised in the caller as itself, after the frames before it were written. A first Ctrl-C lets the finished
frames be written, a second one gives them up; neither waits for a camera that hangs.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator

from edgepose._progress import Track, quiet
from edgepose.pose.poses import Poses
from edgepose.runtime.bottomup import BottomUp
from edgepose.runtime.detect import Boxes
from edgepose.runtime.topdown import TopDown
from edgepose.runtime.video import Frame, Source

DEPTH = 4  # frames between two stages
POLL_S = 0.1  # how soon a blocked stage sees that another one stopped
PATIENCE_S = 2.0  # how long the end of a run waits for a read that hangs

Step = Callable[[Frame], Poses]
Sink = Callable[[Frame, Poses], None]


def people_step(boxes: Boxes, topdown: TopDown) -> Step:
    """The work on one frame: find people, and the pose of each."""

    def step(frame: Frame) -> Poses:
        found, scores = boxes(frame.image, frame.name)
        return topdown(frame.image, found, scores)

    return step


def frame_step(bottomup: BottomUp) -> Step:
    """The work on one frame for a network that finds people by itself."""

    def step(frame: Frame) -> Poses:
        return bottomup(frame.image)

    return step


def run_stream(source: Source, step: Step, sinks: Iterable[Sink], *, track: Track = quiet) -> int:
    """Run `step` on every frame and hand the result to every sink, in order; return the number of frames.

    Sinks are called in one thread of their own. The caller closes them, also after an exception: by then
    they hold every frame that was finished, and no thread touches them any more. Frames of a live source
    that nobody took in time are counted in `source.dropped`.
    """
    stop = threading.Event()
    reader = _Reader(source, stop)
    writer = _Writer(list(sinks))
    done = 0
    try:
        for frame in track(reader, "frames", source.count):
            writer.put((frame, step(frame)))
            done += 1
    finally:
        stop.set()
        try:
            writer.finish()  # before the reader, which may hang
        finally:
            writer.give_up()  # after a second Ctrl-C there is something to give up
            reader.join()
    writer.raise_error()
    return done


class _Reader:
    """Iterates a source in a thread. A live source's oldest frame gives way when nobody keeps up."""

    def __init__(self, source: Source, stop: threading.Event) -> None:
        self._queue: queue.Queue[Frame | BaseException | None] = queue.Queue(DEPTH)
        self._source, self._stop = source, stop
        self._thread = threading.Thread(target=self._read, name="edgepose-read", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Frame]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    def join(self) -> None:
        """Wait for a read that is under way, but not for one that hangs: the thread ends with the program."""
        self._thread.join(PATIENCE_S)

    def _read(self) -> None:
        try:
            frames = iter(self._source)
            while not self._stop.is_set():
                frame = next(frames, None)
                self._put(frame)
                if frame is None:
                    return
        except BaseException as error:  # handed over: it is raised in the caller's thread
            self._put(error)

    def _put(self, item: Frame | BaseException | None) -> None:
        while not self._stop.is_set():
            try:
                return self._queue.put(item, timeout=0 if self._drops(item) else POLL_S)
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


class _Writer:
    """Calls the sinks in a thread."""

    def __init__(self, sinks: list[Sink]) -> None:
        self._queue: queue.Queue[tuple[Frame, Poses] | None] = queue.Queue(DEPTH)
        self._sinks = sinks
        self._given_up = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._write, name="edgepose-write", daemon=True)
        self._thread.start()

    def put(self, item: tuple[Frame, Poses] | None) -> None:
        """Queue one result, waiting for room. Raises what a sink raised before."""
        while True:
            self.raise_error()
            try:
                return self._queue.put(item, timeout=POLL_S)
            except queue.Full:
                continue

    def finish(self) -> None:
        """Let the queue run empty and end the thread. A sink's error is kept for `raise_error`."""
        while self._thread.is_alive():
            try:
                self._queue.put(None, timeout=POLL_S)
                break
            except queue.Full:
                continue
        self._thread.join()

    def give_up(self) -> None:
        """End the thread after the frame in hand; nothing to do behind a whole `finish`."""
        self._given_up = True
        self.finish()

    def raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _write(self) -> None:
        try:
            while (item := self._queue.get()) is not None:
                if self._given_up:
                    return
                for sink in self._sinks:
                    sink(*item)
        except BaseException as error:  # handed over: it is raised in the caller's thread
            self._error = error
