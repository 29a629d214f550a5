"""Run a pipeline over a source of frames in three overlapping stages.

One thread reads frames, the thread of the caller finds poses, and one thread writes results. OpenCV and the inference
libraries release the interpreter lock, so decoding and encoding cost no time while there is a core for them. Queues
are bounded: memory does not grow with the length of the video.

An error in a thread is raised in the caller, after the results of the frames before it were written. A first Ctrl-C
lets the finished frames be written; a second one drops them. Neither waits for a camera that hangs.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from edgepose._checks import Array
from edgepose._progress import Track, quiet
from edgepose.errors import EdgeposeError
from edgepose.media.sources import Frame, Source
from edgepose.pose.poses import Poses
from edgepose.runtime.ends import Reader, Sink, Writer
from edgepose.runtime.finders import Finder, TimedFinder
from edgepose.runtime.pipeline import Pipeline
from edgepose.runtime.stages import FIND, FOLLOW, POSES, StageTimes

Step = Callable[[Frame, Poses], Poses]


def run_stream(
    source: Source,
    pipeline: Pipeline,
    sinks: Iterable[Sink],
    *,
    finder: Finder | None = None,
    steps: Sequence[Step] = (),
    track: Track = quiet,
    times: StageTimes | None = None,
) -> int:
    """Find the poses in every frame and hand them to every sink, in order.

    All sinks are called in one thread. The caller closes them, also after an exception: by then they hold every
    finished frame, and no thread uses them any more. Frames of a live source that were lost are counted in
    `source.dropped`.

    Args:
        source: The frames.
        pipeline: Finds poses in them.
        sinks: Functions that take each frame with its poses.
        finder: Finds the people whose boxes the pipeline gets. None gives the pipeline the whole frame.
        steps: What is done to the poses of a frame, one step after the other, such as tracking and smoothing. The
            frames come in order, in the thread of the caller.
        track: Reports progress.
        times: Receives how long the stages take.

    Returns:
        The number of frames.
    """
    stop = threading.Event()
    times = times or StageTimes()
    reader = Reader(source, stop, times)
    writer = Writer(list(sinks), times)
    done = 0
    try:
        for item in _worked(track(reader, "frames", source.count), pipeline, finder, source.live, steps, times):
            writer.put(item)
            done += 1
    finally:
        stop.set()
        try:
            writer.finish()  # before the reader, which may hang
        finally:
            writer.give_up()  # has an effect only after a second Ctrl-C
            reader.join()
    writer.raise_error()
    return done


def stream_poses(
    source: Source,
    pipeline: Pipeline,
    *,
    finder: Finder | None = None,
    steps: Sequence[Step] = (),
    track: Track = quiet,
) -> Iterator[tuple[Frame, Poses]]:
    """Find the poses in every frame, in order, while a thread reads ahead.

    Close the iterator to end the thread before the last frame; leaving a `for` loop does that.

    Args:
        source: The frames.
        pipeline: Finds poses in them.
        finder: Finds the people whose boxes the pipeline gets. None gives the pipeline the whole frame.
        steps: What is done to the poses of a frame, one step after the other, such as tracking and smoothing. The
            frames come in order, in the thread of the caller.
        track: Reports progress.

    Yields:
        Each frame with its poses.
    """
    stop = threading.Event()
    times = StageTimes()
    reader = Reader(source, stop, times)
    try:
        yield from _worked(track(reader, "frames", source.count), pipeline, finder, source.live, steps, times)
    finally:
        stop.set()
        reader.join()


def _worked(
    frames: Iterable[Frame],
    pipeline: Pipeline,
    finder: Finder | None,
    live: bool,
    steps: Sequence[Step],
    times: StageTimes,
) -> Iterator[tuple[Frame, Poses]]:
    """Yield every frame with its poses. A frame of a live source does not wait for the next one to begin."""
    under_way: deque[tuple[Frame, Callable[[], Poses]]] = deque()
    previous: Poses | None = None
    timed = finder if isinstance(finder, TimedFinder) else None
    coming = iter(frames)
    try:
        while (frame := next(coming, None)) is not None:
            if timed is not None:
                timed.set_time(frame.time_s)
            boxes: tuple[Array, Array] | tuple[()] = ()
            if finder is not None:
                with times.stage(FIND):
                    boxes = finder(frame.image, frame.name, previous)
            under_way.append((frame, _timed(pipeline, frame, boxes, times)))
            while len(under_way) > (0 if live else pipeline.ahead):
                _, previous = item = _finished(under_way, steps, times)
                yield item
    except (EdgeposeError, KeyboardInterrupt):
        while under_way:  # the frames before the one that failed are finished and written
            yield _finished(under_way, steps, times)
        raise
    except GeneratorExit:
        while under_way:  # the pipeline may be used again
            _finished(under_way, steps, times)
        raise
    while under_way:
        yield _finished(under_way, steps, times)


def _timed(
    pipeline: Pipeline, frame: Frame, boxes: tuple[Array, Array] | tuple[()], times: StageTimes
) -> Callable[[], Poses]:
    """Begin a frame, and time it until its poses are there."""
    start = time.perf_counter()
    finish = pipeline.begin(frame.image, *boxes)

    def wait() -> Poses:
        poses = finish()
        times.add(POSES, time.perf_counter() - start)
        return poses

    return wait


def _finished(
    under_way: deque[tuple[Frame, Callable[[], Poses]]], steps: Sequence[Step], times: StageTimes
) -> tuple[Frame, Poses]:
    frame, finish = under_way.popleft()
    poses = finish()
    if steps:
        with times.stage(FOLLOW):
            for step in steps:
                poses = step(frame, poses)
    return frame, poses
