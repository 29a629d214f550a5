"""The overlapped run: order, errors from every stage, Ctrl-C, bounded memory."""

from __future__ import annotations

import json
import threading
import time

import numpy as np
import pytest

from edgepose.errors import DataError
from edgepose.media.draw import draw_poses
from edgepose.media.results.cocoresults import CocoResults
from edgepose.media.sources import Frame, open_source
from edgepose.media.video import VideoWriter
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import SKELETONS
from edgepose.runtime.ends import DEPTH, Writer
from edgepose.runtime.host import HostPipeline
from edgepose.runtime.stream import run_stream, stream_poses

NOBODY = Poses.empty(SKELETONS["lsp14"])


class Clip:
    """`count` frames, then `end` is raised if there is one."""

    fps, size, live = 10.0, (48, 64), False

    def __init__(self, count, end=None, pause_s=0.0):
        self.count, self.end, self.pause_s = count, end, pause_s
        self.read = self.dropped = 0

    def __iter__(self):
        for i in range(self.count):
            time.sleep(self.pause_s)
            self.read += 1
            image = np.full((48, 64, 3), i % 256, np.uint8)
            yield Frame(index=i, name=f"clip-{i:06d}", image_id=i, time_s=i / 10, image=image)
        if self.end is not None:
            raise self.end


class Works:
    """A pipeline that calls `step` with the number of the frame, which its pixels tell."""

    ahead = 0

    def __init__(self, step=lambda index: None):
        self.step = step

    def begin(self, image):
        self.step(int(image[0, 0, 0]))
        return lambda: NOBODY


@pytest.fixture(autouse=True)
def no_thread_stays():
    yield
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("edgepose-")]


def test_every_frame_reaches_every_sink_in_order():
    first, second = [], []
    done = run_stream(
        Clip(25),
        Works(),
        [lambda frame, poses: first.append(frame.index), lambda frame, poses: second.append(poses)],
    )
    assert done == 25
    assert first == list(range(25))
    assert second == [NOBODY] * 25


@pytest.mark.parametrize("error", [DataError("cut off"), KeyboardInterrupt(), MemoryError()])
def test_an_error_of_the_source_comes_after_its_frames(error):
    written = []
    with pytest.raises(type(error)) as caught:
        run_stream(Clip(5, error), Works(), [lambda frame, poses: written.append(frame.index)])
    assert caught.value is error
    assert written == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt()])
def test_an_error_of_the_work_lets_finished_frames_be_written(error):
    written, clip = [], Clip(1000)

    def step(index):
        if index == 7:
            raise error

    def slow(frame, poses):
        time.sleep(0.01)
        written.append(frame.index)

    with pytest.raises(type(error)):
        run_stream(clip, Works(step), [slow])
    assert written == list(range(7))
    assert clip.read < 20


@pytest.mark.parametrize("at", [3, 999])
def test_an_error_of_a_sink_stops_the_run(at):
    clip = Clip(1000)

    def sink(frame, poses):
        if frame.index == at:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        run_stream(clip, Works(), [sink])
    assert clip.read < at + 20


def test_queues_are_bounded():
    clip, ahead = Clip(60), []

    def step(index):
        time.sleep(0.002)
        ahead.append(clip.read - index)
        return NOBODY

    run_stream(clip, Works(step), [])
    assert max(ahead) <= DEPTH + 2


def test_a_live_source_drops_its_oldest_frames():
    clip, worked = Clip(60, pause_s=0.002), []
    clip.live, clip.count = True, 60

    def step(index):
        time.sleep(0.02)
        worked.append(index)
        return NOBODY

    run_stream(clip, Works(step), [])
    assert len(worked) < 40
    assert worked == sorted(worked)
    assert worked[-1] == 59  # the newest is never the one that goes
    assert clip.dropped == 60 - len(worked)


def test_stages_overlap():
    """While frame i is worked on, i + 1 is read and i - 1 is still being written."""
    clip, working = Clip(10), [threading.Event() for _ in range(11)]
    working[10].set()

    def step(index):
        working[index].set()
        deadline = time.monotonic() + 10
        while clip.read < min(10, index + 2) and time.monotonic() < deadline:
            time.sleep(0.001)
        assert clip.read >= min(10, index + 2)
        return NOBODY

    def sink(frame, poses):
        assert working[frame.index + 1].wait(10)

    assert run_stream(clip, Works(step), [sink]) == 10


def test_ctrl_c_leaves_a_playable_video_and_valid_json(tmp_path, session, spec):
    video, poses = tmp_path / "out.mp4", tmp_path / "out.json"
    with pytest.raises(KeyboardInterrupt), VideoWriter(video, 10.0) as overlay, CocoResults(poses) as results:
        sinks = [results.write, lambda frame, people: overlay.write(draw_poses(frame.image, people))]
        run_stream(Clip(5, KeyboardInterrupt()), HostPipeline(session, spec), sinks)
    with open_source(str(video)) as source:
        assert len(list(source)) == 5
    assert [entry["image_id"] for entry in json.loads(poses.read_text())] == [0, 1, 2, 3, 4]


def test_a_read_that_hangs_keeps_no_finished_frame_from_being_written(monkeypatch):
    monkeypatch.setattr("edgepose.runtime.ends.PATIENCE_S", 0.05)
    clip, released, written = Clip(10), threading.Event(), []
    frames = iter(clip)

    class Hanging(Clip):
        def __iter__(self):
            yield from (next(frames) for _ in range(4))
            released.wait(20)

    def step(index):
        if index == 3:
            raise KeyboardInterrupt
        return NOBODY

    with pytest.raises(KeyboardInterrupt):
        run_stream(Hanging(10), Works(step), [lambda frame, poses: written.append((frame.index, released.is_set()))])
    assert not released.is_set()
    assert written == [(0, False), (1, False), (2, False)]
    released.set()
    while [thread for thread in threading.enumerate() if thread.name == "edgepose-read"]:
        time.sleep(0.001)


def test_after_a_second_ctrl_c_no_thread_touches_the_sinks(monkeypatch):
    finish, calls, written = Writer.finish, [], []

    def interrupted(self):
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        finish(self)

    monkeypatch.setattr(Writer, "finish", interrupted)

    def slow(frame, poses):
        time.sleep(0.05)
        written.append(frame.index)

    with pytest.raises(KeyboardInterrupt):
        run_stream(Clip(5), Works(), [slow])
    assert written == list(range(len(written))) and len(written) < 5
    assert not [thread for thread in threading.enumerate() if thread.name == "edgepose-write"]


def test_a_frame_without_people_does_not_run_the_network(session, spec):
    nobody = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    found = []
    pipeline = HostPipeline(session, spec)
    sink = lambda frame, poses: found.append(len(poses))  # noqa: E731
    run_stream(Clip(3), pipeline, [sink], finder=lambda image, name, previous: nobody)
    assert found == [0, 0, 0]
    assert not session.batches


def test_progress_sees_the_frames():
    seen = []

    def track(items, label, total=None):
        seen.append((label, total))
        return items

    run_stream(Clip(3), Works(), [], track=track)
    assert seen == [("frames", 3)]


class Gpu:
    """Works on frames that were begun when it is asked for their poses; notes the order."""

    ahead = 1

    def __init__(self, fails_at=None):
        self.log, self.fails_at = [], fails_at

    def begin(self, image, boxes_xyxy=None, box_scores=None):
        index = int(image[0, 0, 0])
        if index == self.fails_at:
            raise DataError("no such frame")
        self.log.append(("begin", index))

        def finish():
            self.log.append(("finish", index))
            return NOBODY

        return finish


def test_the_next_frame_begins_before_the_last_is_finished():
    gpu, written = Gpu(), []
    done = run_stream(Clip(4), gpu, [lambda frame, poses: written.append(frame.index)])
    assert done == 4 and written == [0, 1, 2, 3]
    assert gpu.log == [
        ("begin", 0), ("begin", 1), ("finish", 0), ("begin", 2), ("finish", 1), ("begin", 3), ("finish", 2),
        ("finish", 3),
    ]  # fmt: skip


def test_a_live_frame_is_not_held_back():
    gpu, clip = Gpu(), Clip(3, pause_s=0.02)
    clip.live = True
    run_stream(clip, gpu, [])
    assert [kind for kind, _ in gpu.log] == ["begin", "finish"] * (len(gpu.log) // 2)


@pytest.mark.parametrize("where", ["step", "source"])
def test_frames_before_an_error_are_finished_and_written(where):
    gpu, written = Gpu(fails_at=3 if where == "step" else None), []
    clip = Clip(5) if where == "step" else Clip(3, DataError("the camera went"))
    with pytest.raises(DataError):
        run_stream(clip, gpu, [lambda frame, poses: written.append(frame.index)])
    assert written == [0, 1, 2]


class Copies:
    """A pipeline whose poses are the boxes it was given: the first joint is the corner of the box."""

    def __init__(self, ahead):
        self.ahead, self.unfinished = ahead, 0

    def begin(self, image, boxes_xyxy=None, box_scores=None):
        self.unfinished += 1
        poses = Poses(
            skeleton=NOBODY.skeleton,
            xy_image=np.repeat(boxes_xyxy[:, None, :2], 14, axis=1),
            scores=np.ones((len(boxes_xyxy), 14), np.float32),
            boxes_xyxy=boxes_xyxy,
            box_scores=box_scores,
        )

        def finish():
            self.unfinished -= 1
            return poses

        return finish


class Follower:
    """A finder that looks where the people of the previous frame were, one pixel to the right."""

    def __init__(self):
        self.started = 0

    def __call__(self, image, frame_name, previous):
        if previous is None:
            self.started += 1
            return np.array([[0, 0, 10, 20]], np.float32), np.ones(1, np.float32)
        return previous.boxes_xyxy + np.float32([1, 0, 1, 0]), previous.box_scores


@pytest.mark.parametrize(("ahead", "corners"), [(0, [0, 1, 2, 3, 4, 5]), (1, [0, 0, 1, 1, 2, 2])])
def test_a_finder_sees_the_poses_of_the_latest_finished_frame(ahead, corners):
    finder, written = Follower(), []
    sink = lambda frame, poses: written.append(int(poses.xy_image[0, 0, 0]))  # noqa: E731
    run_stream(Clip(6), Copies(ahead), [sink], finder=finder)
    assert written == corners
    assert finder.started == 1 + ahead


def test_a_finder_sees_the_last_frame_of_a_live_source():
    clip, written = Clip(4, pause_s=0.02), []
    clip.live = True
    run_stream(clip, Copies(1), [lambda frame, poses: written.append(poses.xy_image[0, 0, 0])], finder=Follower())
    assert written == list(range(len(written)))


@pytest.mark.parametrize("ahead", [0, 1])
def test_poses_are_iterated_over(ahead):
    pipeline = Copies(ahead)
    found = [frame.index for frame, _ in stream_poses(Clip(4), pipeline, finder=Follower())]
    assert found == [0, 1, 2, 3]


@pytest.mark.parametrize("ahead", [0, 1])
def test_leaving_the_loop_finishes_what_was_begun(ahead):
    pipeline, clip = Copies(ahead), Clip(1000)
    for frame, _ in stream_poses(clip, pipeline, finder=Follower()):
        if frame.index == 3:
            break
    assert pipeline.unfinished == 0
    assert clip.read < 20


def test_an_error_of_the_source_reaches_the_loop_after_its_frames():
    seen = []
    with pytest.raises(DataError, match="cut off"):
        for frame, _ in stream_poses(Clip(3, DataError("cut off")), Works()):
            seen.append(frame.index)
    assert seen == [0, 1, 2]
