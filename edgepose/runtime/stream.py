"""Frames through overlapping stages: one thread reads, the caller's thread works, one thread writes.

OpenCV and the engines release the interpreter lock, so decoding and encoding cost nothing while there is
a core for them. Queues are bounded: memory does not grow with the video. Whatever goes wrong in a thread
is raised in the caller as itself, after the frames before it were written. A first Ctrl-C lets the finished
frames be written, a second one gives them up; neither waits for a camera that hangs.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from edgepose._progress import Track, quiet
from edgepose.errors import EdgeposeError
from edgepose.media.sources import Frame, Source
from edgepose.pose.poses import Poses
from edgepose.runtime.bottomup import BottomUp
from edgepose.runtime.detect import Boxes
from edgepose.runtime.device import LANES, DeviceTopDown
from edgepose.runtime.topdown import TopDown

DEPTH = 4  # frames between two stages
POLL_S = 0.1  # how soon a blocked stage sees that another one stopped
PATIENCE_S = 2.0  # how long the end of a run waits for a read that hangs

Step = Callable[[Frame], Poses]
Begin = Callable[[Frame], Callable[[], Poses]]  # starts on a frame; what it returns waits for the poses
Sink = Callable[[Frame, Poses], None]


@dataclass(frozen=True)
class Ahead:
    """A step that the GPU does: with `frames` of them under way the host already works on the next."""

    begin: Begin
    frames: int


def people_step(boxes: Boxes, topdown: TopDown | DeviceTopDown) -> Step | Ahead:
    """The work on one frame: find people, and the pose of each."""
    if isinstance(topdown, DeviceTopDown):
        on_gpu = topdown

        def begin(frame: Frame) -> Callable[[], Poses]:
            return on_gpu.begin(frame.image, *boxes(frame.image, frame.name))

        return Ahead(begin, LANES - 1)

    def step(frame: Frame) -> Poses:
        found, scores = boxes(frame.image, frame.name)
        return topdown(frame.image, found, scores)

    return step


def frame_step(bottomup: BottomUp) -> Step:
    """The work on one frame for a network that finds people by itself."""

    def step(frame: Frame) -> Poses:
        return bottomup(frame.image)

    return step


def run_stream(source: Source, step: Step | Ahead, sinks: Iterable[Sink], *, track: Track = quiet) -> int:
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
        for item in _stepped(track(reader, "frames", source.count), step, source.live):
            writer.put(item)
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


def _stepped(frames: Iterable[Frame], step: Step | Ahead, live: bool) -> Iterator[tuple[Frame, Poses]]:
    """Every frame with its poses. A live source's are not held back for the sake of the next frame."""
    if not isinstance(step, Ahead):
        yield from ((frame, step(frame)) for frame in frames)
        return
    under_way: deque[tuple[Frame, Callable[[], Poses]]] = deque()
    coming = iter(frames)
    try:
        while (frame := next(coming, None)) is not None:
            under_way.append((frame, step.begin(frame)))
            while len(under_way) > (0 if live else step.frames):
                yield _finished(under_way)
    except (EdgeposeError, KeyboardInterrupt):
        while under_way:  # the frames before the one that failed are written
            yield _finished(under_way)
        raise
    while under_way:
        yield _finished(under_way)


def _finished(under_way: deque[tuple[Frame, Callable[[], Poses]]]) -> tuple[Frame, Poses]:
    frame, finish = under_way.popleft()
    return frame, finish()


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
