"""Run one pipeline over several sources at once, each with its own reading and writing thread.

The thread of the caller takes at most one frame of every source in each turn, so no source waits for more than one
frame of each other one. The people of the frames of a turn are one batch where the pipeline can join them. A source
whose results are written more slowly than they are found is passed over until there is room again.

A source that ends or fails does not end the others: its results are completed at once, and its error is kept. Errors
that are no `EdgeposeError` end all of them, and so does Ctrl-C, as in `edgepose.runtime.stream`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from edgepose._checks import Array
from edgepose._progress import Track, quiet
from edgepose.errors import EdgeposeError
from edgepose.media.sources import Frame, Source
from edgepose.pose.poses import Poses
from edgepose.runtime.ends import PATIENCE_S, POLL_S, Reader, Sink, Writer
from edgepose.runtime.finders import Finder, TimedFinder
from edgepose.runtime.pipeline import JoiningPipeline, Pipeline
from edgepose.runtime.stages import FIND, FOLLOW, POSES, StageTimes
from edgepose.runtime.stream import Step


def _keep(error: BaseException | None) -> None:
    """Do nothing: nothing has to be completed."""


@dataclass(kw_only=True)
class Stream:
    """One of several sources, with what belongs to it alone.

    Attributes:
        name: Its name, which `Frame.source` of its frames carries.
        source: The frames.
        sinks: Functions that take each frame with its poses, in one thread for each stream.
        finder: Finds the people whose boxes the pipeline gets. None gives the pipeline the whole frame.
        steps: What is done to the poses of a frame, such as tracking and smoothing, in the thread of the caller.
        times: Receives how long the stages take.
        close: Completes the results, behind the last frame, in the thread of the sinks. It gets what ended the stream
            early, and may raise an EdgeposeError.
        frames: The number of frames so far.
        error: What ended the stream early.
    """

    name: str
    source: Source
    sinks: Sequence[Sink] = ()
    finder: Finder | None = None
    steps: Sequence[Step] = ()
    times: StageTimes = field(default_factory=StageTimes)
    close: Callable[[BaseException | None], None] = _keep
    frames: int = 0
    error: EdgeposeError | None = None


def run_streams(
    streams: Sequence[Stream],
    pipeline: Pipeline,
    *,
    track: Track = quiet,
    failed: Callable[[Stream], None] = lambda stream: None,
) -> None:
    """Find the poses in every frame of every stream and hand them to its sinks, in order.

    Args:
        streams: The streams; their `frames` and `error` are filled in.
        pipeline: Finds poses in the frames of all of them.
        track: Reports the progress, of all frames together.
        failed: Is called with a stream that an error ended, at once.
    """
    wake = threading.Event()
    running = [_Running(stream, wake, failed) for stream in streams]
    counts = [stream.source.count for stream in streams]
    total = sum(count for count in counts if count is not None) if None not in counts else None
    ending: BaseException | None = None
    try:
        for _ in track(_worked(running, pipeline, wake), "frames", total):
            pass
    except BaseException as error:
        ending = error
        raise
    finally:
        _end(running, ending)
    for one in running:
        one.check()


def _end(running: Sequence[_Running], ending: BaseException | None) -> None:
    """Let what is finished be written, and end all threads. A second Ctrl-C drops it."""
    for one in running:
        one.stop.set()
    try:
        for one in running:
            one.end(ending)
        for one in running:
            one.writer.finish()
    finally:
        for one in running:
            one.writer.give_up()  # has an effect only after a second Ctrl-C
        deadline = time.monotonic() + PATIENCE_S  # of all of them: reads hang at the same time
        for one in running:
            one.reader.join(max(0.0, deadline - time.monotonic()))


class _Running:
    """A stream with its threads."""

    def __init__(self, stream: Stream, wake: threading.Event, failed: Callable[[Stream], None]) -> None:
        self.stream, self.stop, self._failed = stream, threading.Event(), failed
        self.writer = Writer(list(stream.sinks), stream.times, close=stream.close, wake=wake)
        self.reader = Reader(stream.source, self.stop, stream.times, wake)
        self.timed = stream.finder if isinstance(stream.finder, TimedFinder) else None
        self.previous: Poses | None = None
        self.ended = False  # nothing more is taken from the source
        self._closing = False

    @property
    def ready(self) -> bool:
        """Whether a turn can take a frame, the end of the source or an error."""
        return not self.ended and self.reader.waiting and self.writer.has_room

    def take(self) -> tuple[Frame, tuple[Array, Array] | tuple[()]] | None:
        """Return the next frame and the boxes of its people; None where the stream has ended.

        Raises:
            EdgeposeError: The source or the finder failed.
        """
        frame = self.reader.take()
        if frame is None:
            self.ended = True
            return None
        frame = replace(frame, source=self.stream.name)
        if self.timed is not None:
            self.timed.set_time(frame.time_s)
        if self.stream.finder is None:
            return frame, ()
        with self.stream.times.stage(FIND):
            return frame, self.stream.finder(frame.image, frame.name, self.previous)

    def give(self, frame: Frame, poses: Poses) -> None:
        """Do the steps of a frame and queue its results; the error of a step or of a sink ends this stream."""
        if self.stream.error is not None:
            return
        try:
            if self.stream.steps:
                with self.stream.times.stage(FOLLOW):
                    for step in self.stream.steps:
                        poses = step(frame, poses)
            self.previous = poses
            self.writer.put((frame, poses))
            self.stream.frames += 1
        except EdgeposeError as error:
            self.fail(error)

    def fail(self, error: EdgeposeError) -> None:
        """End the stream by an error."""
        if self.stream.error is None:
            self.ended, self.stream.error = True, error
            self._failed(self.stream)
            self.end(error)

    def end(self, error: BaseException | None = None) -> None:
        """Let the writer complete the results behind the frames that it has, once; nobody waits for that."""
        self.ended = True
        self.stop.set()
        if not self._closing:
            self._closing = True
            self.writer.end(error)

    def check(self) -> None:
        """Take an error of the last writes, or of the completion of the results, for that of the stream."""
        try:
            self.writer.raise_error()
        except EdgeposeError as error:
            if self.stream.error is None:
                self.stream.error = error
                self._failed(self.stream)


def _worked(running: Sequence[_Running], pipeline: Pipeline, wake: threading.Event) -> Iterator[Frame]:
    """Work in turns until all streams have ended, and yield every frame whose results were queued."""
    turns = _Joined(pipeline) if isinstance(pipeline, JoiningPipeline) else _OneByOne(pipeline)
    try:
        while True:
            wake.clear()
            ready = [one for one in running if one.ready]
            if ready:
                yield from turns.turn(ready)
                continue
            yield from turns.finish()
            if all(one.ended for one in running):
                return
            wake.wait(POLL_S)
    except KeyboardInterrupt:
        yield from turns.finish()
        raise


class _Joined:
    """Turns in which the people of all frames are one batch."""

    def __init__(self, pipeline: JoiningPipeline) -> None:
        self._pipeline = pipeline

    def turn(self, ready: Sequence[_Running]) -> Iterator[Frame]:
        taken: list[tuple[_Running, Frame, Array | None, Array | None]] = []
        for one in ready:
            try:
                item = one.take()
            except EdgeposeError as error:
                one.fail(error)
                continue
            if item is None:
                one.end()
                continue
            frame, boxes = item
            taken.append((one, frame, *(boxes or (None, None))))
        for (one, frame, _, _), poses in zip(taken, self._poses(taken), strict=True):
            if poses is not None:
                one.give(frame, poses)
            yield frame

    def finish(self) -> Iterator[Frame]:
        """Yield nothing: every turn finishes its frames."""
        yield from ()

    def _poses(self, taken: list[tuple[_Running, Frame, Array | None, Array | None]]) -> list[Poses | None]:
        """Return the poses of each frame; None where its stream failed."""
        if not taken:
            return []
        start = time.perf_counter()
        try:
            found: list[Poses | None] = list(self._together(taken))
        except EdgeposeError as error:  # of one of the frames: which one shows when each runs alone
            if len(taken) > 1:
                return [self._poses([one])[0] for one in taken]
            taken[0][0].fail(error)
            return [None]
        for one, *_ in taken:
            one.stream.times.add(POSES, time.perf_counter() - start)
        return found

    def _together(self, taken: list[tuple[_Running, Frame, Array | None, Array | None]]) -> list[Poses]:
        images = [frame.image for _, frame, _, _ in taken]
        return self._pipeline.together(images, [item[2] for item in taken], [item[3] for item in taken])


class _OneByOne:
    """Turns in which frames begin one after the other, and a pipeline may work on `Pipeline.ahead` of them at once."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._under_way: deque[tuple[_Running, Frame, float, Callable[[], Poses]]] = deque()

    def turn(self, ready: Sequence[_Running]) -> Iterator[Frame]:
        live = False
        for one in ready:
            try:
                item = one.take()
                if item is None:
                    yield from self.finish()
                    one.end()
                    continue
                frame, boxes = item
                start = time.perf_counter()
                self._under_way.append((one, frame, start, self._pipeline.begin(frame.image, *boxes)))
            except EdgeposeError as error:
                yield from self.finish()  # the frames before the one that failed
                one.fail(error)
                continue
            live |= one.stream.source.live
            yield from self.finish(self._pipeline.ahead)
        if live:  # which does not wait for a next frame to begin
            yield from self.finish()

    def finish(self, left: int = 0) -> Iterator[Frame]:
        """Finish all frames but the `left` latest ones."""
        while len(self._under_way) > left:
            one, frame, start, wait = self._under_way.popleft()
            try:
                poses = wait()
                one.stream.times.add(POSES, time.perf_counter() - start)
                one.give(frame, poses)
            except EdgeposeError as error:
                one.fail(error)
            yield frame
