"""The live view without a server: where it listens, what it costs, and what viewers get."""

from __future__ import annotations

import threading
from dataclasses import replace

import cv2
import numpy as np
import pytest

from edgepose.errors import UsageError
from edgepose.media.results.sink import RunFacts
from edgepose.media.sources import Frame
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import SKELETONS
from edgepose.view.live import LONGEST_EDGE, LiveView, encode, parse_place

NOBODY = Poses.empty(SKELETONS["lsp14"])


def frame(i: int, size: tuple[int, int] = (60, 80)) -> Frame:
    return Frame(index=i, name=f"f{i}", image_id=i, time_s=i / 10, image=np.full((*size, 3), 10 * i % 250, np.uint8))


class Counted:
    """A drawing function that counts."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, frame: Frame, poses: Poses) -> np.ndarray:
        self.calls += 1
        return frame.image


def view(draw: Counted) -> LiveView:
    times = {"poses": 12.5}
    return LiveView(
        RunFacts(
            name="camera0", skeleton=NOBODY.skeleton, fps=10.0, draw=draw, latencies_ms=lambda: times, dropped=lambda: 4
        )
    )


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("8080", ("127.0.0.1", 8080)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("[::1]:8080", ("::1", 8080)),
        ("localhost:0", ("localhost", 0)),
        (" 8080 ", ("127.0.0.1", 8080)),
    ],
)
def test_places(text, place) -> None:
    assert parse_place(text) == place


@pytest.mark.parametrize("text", ["", "port", "70000", ":8080", "host:", "::1:8080", "http://host:80", "a b:80", "-1"])
def test_wrong_places(text) -> None:
    with pytest.raises(UsageError, match="expected a port"):
        parse_place(text)


def test_nothing_is_drawn_while_nobody_looks() -> None:
    draw = Counted()
    live = view(draw)
    for i in range(50):
        live.write(frame(i), NOBODY)
    assert draw.calls == 0
    number, data = live.picture_after(0, 1.0)
    assert (number, draw.calls) == (50, 1)
    shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (60, 80, 3) and abs(int(shown.mean()) - 490 % 250) < 3


def test_viewers_share_a_picture_and_get_no_frame_twice() -> None:
    draw = Counted()
    live = view(draw)
    live.write(frame(0), NOBODY)
    first = live.picture_after(0, 1.0)
    assert live.picture_after(0, 1.0) == first and draw.calls == 1
    assert live.picture_after(first[0], 0.01) is None
    live.write(frame(1), NOBODY)
    live.write(frame(2), NOBODY)
    assert live.picture_after(first[0], 1.0)[0] == 3 and draw.calls == 2  # frame 1 was missed


def test_a_waiting_viewer_gets_the_next_frame_and_the_end() -> None:
    live = view(Counted())
    got: list[object] = []
    thread = threading.Thread(target=lambda: got.extend([live.picture_after(0, 10), live.picture_after(1, 10)]))
    thread.start()
    live.write(frame(0), NOBODY)
    while not got and thread.is_alive() and live._encoded[0] == 0:
        pass
    live.close()
    thread.join(10)
    assert got[0][0] == 1 and got[1] is None and live.numbers()["ended"]


def test_numbers(monkeypatch) -> None:
    live = view(Counted())
    assert live.numbers()["fps"] == 0 and "people" not in live.numbers()
    clock = iter(np.arange(100) / 20)
    monkeypatch.setattr("edgepose.view.live.time.monotonic", lambda: float(next(clock)))
    tracked = Poses(
        skeleton=NOBODY.skeleton,
        xy_image=np.zeros((2, 14, 2), np.float32),
        scores=np.full((2, 14), 0.5, np.float32),
        boxes_xyxy=np.zeros((2, 4), np.float32),
        box_scores=np.ones(2, np.float32),
        track_ids=np.array([5, -1]),
    )
    for i in range(5):
        live.write(frame(i), tracked)
    found = live.numbers()
    assert found["fps"] == pytest.approx(20)
    assert (found["frames"], found["index"], found["dropped"], found["source"]) == (5, 4, 4, "camera0")
    assert found["latency_ms"] == {"poses": 12.5} and (found["width"], found["height"]) == (80, 60)
    assert found["people"] == [{"track_id": 5, "score": 0.5}, {"track_id": None, "score": 0.5}]
    untracked = replace(tracked, track_ids=None)
    live.write(frame(5), untracked)
    assert [one["track_id"] for one in live.numbers()["people"]] == [None, None]


def test_large_frames_are_scaled_down() -> None:
    shown = cv2.imdecode(np.frombuffer(encode(np.zeros((1080, 1920, 3), np.uint8)), np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (720, LONGEST_EDGE, 3)
    assert encode(np.zeros((9000, 1, 3), np.uint8))[:2] == b"\xff\xd8"
