"""Several sources in one run: order, fairness, batches, failures and Ctrl-C."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from runtime.test_stream import NOBODY, Clip, Copies, Follower, Gpu, Works

from edgepose.errors import DataError, EdgeposeError
from edgepose.runtime.host import HostPipeline, _stops
from edgepose.runtime.streams import Stream, run_streams


@pytest.fixture(autouse=True)
def no_thread_stays():
    yield
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("edgepose-")]


class Log:
    """What the sinks of several streams got, in the order of their calls."""

    def __init__(self):
        self.calls, self.closed = [], {}

    def stream(self, name, source, **more):
        return Stream(
            name=name,
            source=source,
            sinks=[lambda frame, poses: self.calls.append((frame.source, frame.index))],
            close=lambda error: self.closed.setdefault(name, error),
            **more,
        )

    def of(self, name):
        return [index for source, index in self.calls if source == name]


class Joins(Works):
    """A pipeline that joins frames; it notes how many at once, and fails at some."""

    def __init__(self, fails_at=None):
        super().__init__()
        self.sizes, self.fails_at = [], fails_at

    def together(self, images, boxes_xyxy, box_scores):
        if any(int(image[0, 0, 0]) == self.fails_at for image in images):
            raise EdgeposeError("the network overflowed")
        self.sizes.append(len(images))
        return [NOBODY] * len(images)


@pytest.mark.parametrize("pipeline", [Works, Gpu, Joins])
def test_every_frame_of_every_stream_reaches_its_own_sinks_in_order(pipeline):
    log = Log()
    streams = [log.stream("a", Clip(25)), log.stream("b", Clip(7)), log.stream("c", Clip(40))]
    run_streams(streams, pipeline())
    assert [log.of(name) for name in "abc"] == [list(range(25)), list(range(7)), list(range(40))]
    assert [stream.frames for stream in streams] == [25, 7, 40]
    assert log.closed == {"a": None, "b": None, "c": None}


def test_frames_that_are_ready_together_are_one_batch():
    pipeline, log = Joins(), Log()
    run_streams([log.stream("a", Clip(30)), log.stream("b", Clip(30)), log.stream("c", Clip(30))], pipeline)
    assert sum(pipeline.sizes) == 90 and max(pipeline.sizes) == 3


def test_joined_people_have_the_poses_of_single_calls(session, spec):
    pipeline = HostPipeline(session, spec, largest_batch=4)
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (60 + 10 * i, 80, 3), np.uint8) for i in range(5)]
    boxes = [np.array([[5, 5, 30 + i, 50]] * count, np.float32) for i, count in enumerate((1, 0, 2, 6, 1))]
    scores = [None, None, np.float32([0.5, 0.25]), None, None]
    found = pipeline.together(images, boxes, scores)
    assert [len(batch) for batch in session.batches] == [3, 4, 2, 1]
    session.given = 0
    for image, its, score, poses in zip(images, boxes, scores, found, strict=True):
        alone = pipeline(image, its, score)
        np.testing.assert_array_equal(poses.xy_image, alone.xy_image)
        np.testing.assert_array_equal(poses.box_scores, alone.box_scores)


@pytest.mark.parametrize(("counts", "stops"), [([], []), ([9], [1]), ([2, 2, 1, 9, 0], [2, 3, 4, 5]), ([0, 0], [2])])
def test_groups_of_images_fit_into_the_batch(counts, stops):
    assert list(_stops(counts, 4)) == stops


def test_a_stream_of_many_frames_does_not_starve_a_slow_one():
    """While both have frames, their turns alternate, however fast one of them is read."""
    log = Log()
    run_streams(
        [log.stream("fast", Clip(200)), log.stream("slow", Clip(20, pause_s=0.004))],
        Works(lambda index: time.sleep(0.004)),
    )
    last_slow = max(place for place, (name, _) in enumerate(log.calls) if name == "slow")
    assert last_slow < 20 * 6


def test_a_slow_sink_slows_only_its_own_stream():
    log = Log()
    done = []
    slow = log.stream("slow", Clip(12))
    slow.sinks = [lambda frame, poses: (time.sleep(0.03), done.append(time.monotonic()))]
    fast = log.stream("fast", Clip(60))
    ended = []
    fast.close = lambda error: ended.append(time.monotonic())
    run_streams([slow, fast], Works())
    assert len(done) == 12 and log.of("fast") == list(range(60))
    assert ended[0] < done[-1]


@pytest.mark.parametrize("pipeline", [Works, Gpu, Joins])
def test_a_source_that_fails_ends_alone(pipeline):
    log, said = Log(), []
    streams = [log.stream("a", Clip(5, DataError("cut off"))), log.stream("b", Clip(30))]
    run_streams(streams, pipeline(), failed=lambda stream: said.append((stream.name, str(stream.error))))
    assert log.of("a") == [0, 1, 2, 3, 4] and log.of("b") == list(range(30))
    assert said == [("a", "cut off")] and streams[1].error is None
    assert isinstance(log.closed["a"], DataError) and log.closed["b"] is None


def test_a_frame_that_the_network_cannot_take_ends_its_stream_alone():
    log, joins = Log(), Joins(fails_at=7)
    bad, good = log.stream("bad", Clip(20)), log.stream("good", Clip(7))
    run_streams([bad, good], joins)
    assert str(bad.error) == "the network overflowed" and good.error is None
    assert log.of("bad") == list(range(7)) and log.of("good") == list(range(7))


def test_a_sink_that_fails_ends_its_stream_alone():
    log = Log()

    def full(frame, poses):
        raise EdgeposeError("the disk is full")

    bad, good = log.stream("bad", Clip(500)), log.stream("good", Clip(50))
    bad.sinks = [full]
    run_streams([bad, good], Works())
    assert str(bad.error) == "the disk is full" and good.frames == 50
    assert bad.source.read < 40


def test_results_that_cannot_be_completed_are_an_error_of_the_stream():
    def close(error):
        raise EdgeposeError("the disk is full")

    said = []
    stream = Stream(name="a", source=Clip(3), close=close)
    run_streams([stream, Stream(name="b", source=Clip(3))], Works(), failed=said.append)
    assert str(stream.error) == "the disk is full" and said == [stream]


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize("pipeline", [Works, Gpu, Joins])
def test_other_errors_end_all_streams_after_their_finished_frames(error, pipeline):
    log = Log()
    streams = [log.stream("a", Clip(6, error)), log.stream("b", Clip(10_000, pause_s=0.001))]
    with pytest.raises(type(error)):
        run_streams(streams, pipeline())
    assert log.of("a") == list(range(6))[: 6 - pipeline.ahead * (not isinstance(error, KeyboardInterrupt))]
    assert log.of("b") == list(range(len(log.of("b"))))
    assert isinstance(log.closed["a"], type(error)) and isinstance(log.closed["b"], type(error))


def test_live_streams_drop_frames_by_themselves():
    log = Log()
    busy, calm = Clip(200, pause_s=0.001), Clip(10, pause_s=0.05)
    busy.live = calm.live = True
    run_streams([log.stream("busy", busy), log.stream("calm", calm)], Works(lambda index: time.sleep(0.008)))
    assert busy.dropped > 20 and calm.dropped == 0
    assert len(log.of("busy")) == 200 - busy.dropped and log.of("calm") == list(range(10))


def test_each_stream_has_its_own_finder():
    finders, log = [Follower(), Follower()], Log()
    streams = [log.stream(name, Clip(6), finder=finder) for name, finder in zip("ab", finders, strict=True)]
    run_streams(streams, Copies(0))
    assert [finder.started for finder in finders] == [1, 1]


def test_a_short_stream_is_completed_while_others_go_on():
    log, when = Log(), {}
    long, short = log.stream("long", Clip(100, pause_s=0.005)), log.stream("short", Clip(3))
    for stream in (long, short):
        stream.close = lambda error, name=stream.name: when.setdefault(name, time.monotonic())
    run_streams([long, short], Works())
    assert when["long"] - when["short"] > 0.2


def test_progress_counts_the_frames_of_all():
    seen = []

    def track(items, label, total=None):
        seen.append((label, total))
        return items

    run_streams([Stream(name="a", source=Clip(3)), Stream(name="b", source=Clip(4))], Works(), track=track)
    assert seen == [("frames", 7)]
