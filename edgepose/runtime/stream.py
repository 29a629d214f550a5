"""Frames through overlapping stages: one thread reads, the caller's thread works, one thread writes.

OpenCV and the engines release the interpreter lock, so decoding and encoding cost nothing while there is
a core for them. Queues are bounded: memory does not grow with the video. Whatever goes wrong in a thread
is raised in the caller as itself, after the frames before it were written.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from edgepose._progress import Track, quiet
from edgepose.pose.poses import Poses
from edgepose.runtime.detect import Boxes
from edgepose.runtime.topdown import TopDown
from edgepose.runtime.video import Frame, Source

DEPTH = 4  # frames between two stages
POLL_S = 0.1  # how soon a blocked stage sees that another one stopped

Step = Callable[[Frame], Poses]
Sink = Callable[[Frame, Poses], None]


class Timings:
    """Seconds spent in each stage, one number a call: `seconds["infer"]`."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name].append(time.perf_counter() - start)


class _Untimed(Timings):
    """Measures nothing: a camera may run for weeks."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        yield


def people_step(boxes: Boxes, topdown: TopDown, timings: Timings | None = None) -> Step:
    """The work on one frame: find people, cut them out, run the network, decode."""
    clock = timings or _Untimed()

    def step(frame: Frame) -> Poses:
        with clock.stage("detect"):
            found, scores = boxes(frame.image, frame.name)
        if not len(found):
            return Poses.empty(topdown.spec.skeleton)
        with clock.stage("preprocess"):
            crops, inverse = topdown.preprocess(frame.image, found)
        with clock.stage("infer"):
            outputs = topdown.infer(crops)
        with clock.stage("decode"):
            return topdown.decode(outputs, inverse, found, scores)

    return step


def run_stream(
    source: Source,
    step: Step,
    sinks: Iterable[Sink],
    *,
    timings: Timings | None = None,
    track: Track = quiet,
) -> int:
    """Run `step` on every frame and hand the result to every sink, in order; return the number of frames.

    Sinks are called in one thread of their own. The caller closes them, also after an exception: by then
    they hold every frame that was finished, and no thread touches them any more.
    """
    clock = timings or _Untimed()
    stop = threading.Event()
    reader = _Reader(source, clock, stop)
    writer = _Writer(list(sinks), clock)
    done = 0
    try:
        for frame in track(reader, "frames", source.count):
            writer.put((frame, step(frame)))
            done += 1
    finally:
        stop.set()
        reader.join()
        writer.finish()
    writer.raise_error()
    return done


class _Reader:
    """Iterates a source in a thread. A live source's oldest frame gives way when nobody keeps up."""

    def __init__(self, source: Source, clock: Timings, stop: threading.Event) -> None:
        self._queue: queue.Queue[Frame | BaseException | None] = queue.Queue(DEPTH)
        self._source, self._clock, self._stop = source, clock, stop
        self._thread = threading.Thread(target=self._read, name="edgepose-read", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Frame]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    def join(self) -> None:
        self._thread.join()

    def _read(self) -> None:
        try:
            frames = iter(self._source)
            while not self._stop.is_set():
                with self._clock.stage("read"):
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
        except queue.Empty:
            return


class _Writer:
    """Calls the sinks in a thread."""

    def __init__(self, sinks: list[Sink], clock: Timings) -> None:
        self._queue: queue.Queue[tuple[Frame, Poses] | None] = queue.Queue(DEPTH)
        self._sinks, self._clock = sinks, clock
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

    def raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _write(self) -> None:
        try:
            while (item := self._queue.get()) is not None:
                frame, poses = item
                with self._clock.stage("write"):
                    for sink in self._sinks:
                        sink(frame, poses)
        except BaseException as error:  # handed over: it is raised in the caller's thread
            self._error = error
