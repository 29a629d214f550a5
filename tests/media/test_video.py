"""Sources and the overlay writer: every kind that opens, every kind that cannot."""

from __future__ import annotations

import functools
import http.server
import threading

import cv2
import numpy as np
import pytest

from edgepose.errors import DataError, EdgeposeError, UsageError
from edgepose.media.sources import open_source
from edgepose.media.video import VideoWriter


def picture(i, size=(48, 64)):
    """A flat picture whose brightness says which one it is."""
    return np.full((*size, 3), 10 + 10 * i, np.uint8)


def write_video(path, count=8, fps=5.0, size=(48, 64)):
    with VideoWriter(path, fps) as writer:
        for i in range(count):
            writer.write(picture(i, size))
    return path


def levels(source):
    return [round((float(frame.image.mean()) - 10) / 10) for frame in source]


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_video_round_trip(tmp_path, suffix):
    path = write_video(tmp_path / f"clip{suffix}")
    with open_source(str(path)) as source:
        assert (source.fps, source.count, source.size, source.live) == (5.0, 8, (48, 64), False)
        frames = list(source)
    assert [round((frame.image.mean() - 10) / 10) for frame in frames] == list(range(8))
    assert [frame.name for frame in frames[:2]] == ["clip-000000", "clip-000001"]
    assert [frame.time_s for frame in frames[:3]] == pytest.approx([0, 0.2, 0.4])
    assert [path.name for path in tmp_path.iterdir()] == [f"clip{suffix}"]  # nothing left beside


def test_an_interrupted_video_is_playable(tmp_path):
    path = tmp_path / "clip.mp4"
    with pytest.raises(KeyboardInterrupt), VideoWriter(path, 5.0) as writer:
        for i in range(5):
            writer.write(picture(i))
        raise KeyboardInterrupt
    with open_source(str(path)) as source:
        assert levels(source) == [0, 1, 2, 3, 4]


def test_the_old_video_stays_until_the_new_one_is_whole(tmp_path):
    path = write_video(tmp_path / "clip.mp4", 3)
    before = path.read_bytes()
    with VideoWriter(path, 5.0) as writer:
        writer.write(picture(9))
        assert path.read_bytes() == before
    assert path.read_bytes() != before
    writer.close()  # twice is fine


def test_nothing_is_written_after_close(tmp_path):
    path = write_video(tmp_path / "clip.mp4", 3)
    before = path.read_bytes()
    with VideoWriter(path, 5.0) as writer:
        pass
    with pytest.raises(ValueError, match="is closed"):
        writer.write(picture(0))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize(
    ("times", "played"),
    [
        ([0, 0.2, 0.4, 0.6], [0, 1, 2, 3]),
        ([0, 0.2, 0.8, 1.0], [0, 1, 1, 1, 2, 3]),  # two frames were lost
        ([0, 0.25, 0.35, 0.62], [0, 1, 2, 3]),  # unsteady
        ([0.1 * i for i in range(8)], [0, 1, 2, 3, 6, 7]),  # twice as fast as the source says
    ],
)
def test_the_overlay_of_a_live_source_plays_in_real_time(tmp_path, times, played):
    path = tmp_path / "clip.avi"
    with VideoWriter(path, 5.0) as writer:
        for i, time_s in enumerate(times):
            writer.write(picture(i), time_s)
    with open_source(str(path)) as source:
        assert levels(source) == played


def test_no_frames_no_video(tmp_path):
    with VideoWriter(tmp_path / "clip.mp4", 5.0):
        pass
    assert not list(tmp_path.iterdir())


def test_odd_and_changing_sizes(tmp_path):
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, 5.0) as writer:
        writer.write(picture(5, (49, 65)))
        writer.write(picture(5, (96, 64)))  # upright: black on both sides
    with open_source(str(path)) as source:
        first, second = (frame.image for frame in source)
    assert first.shape == second.shape == (48, 64, 3)
    assert second[:, 25:40].mean() > 50
    assert second[:, :10].mean() < 10


def test_writer_refuses(tmp_path):
    with pytest.raises(UsageError, match=r"unknown suffix '\.mp3'; did you mean '\.mp4'"):
        VideoWriter(tmp_path / "clip.mp3", 5.0)
    (tmp_path / "file").write_text("")
    with pytest.raises(EdgeposeError, match="cannot write"):
        VideoWriter(tmp_path / "file" / "clip.mp4", 5.0)
    with VideoWriter(tmp_path / "clip.mp4", 5.0) as writer, pytest.raises(ValueError, match="image"):
        writer.write(picture(0).astype(np.float32))


def test_lost_frames_are_noticed(tmp_path):
    writer = VideoWriter(tmp_path / "clip.mp4", 5.0)
    writer.write(picture(0))
    writer.frames = 100  # what a full disk does: the writes said nothing
    with pytest.raises(EdgeposeError, match="only 1 of 100 frames"):
        writer.close()
    assert not list(tmp_path.iterdir())


def test_folder_in_natural_order(tmp_path):
    for i in (10, 9, 1, 2):
        cv2.imwrite(str(tmp_path / f"frame{i}.png"), picture(i))
    cv2.imwrite(str(tmp_path / "000000000785.PNG"), picture(0))
    (tmp_path / "notes.txt").write_text("no image")
    with open_source(str(tmp_path)) as source:
        assert source.count == 5
        frames = list(source)
    assert [frame.name for frame in frames] == ["000000000785.PNG", *(f"frame{i}.png" for i in (1, 2, 9, 10))]
    assert [frame.image_id for frame in frames] == [0, 1, 2, 3, 4]
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [10, 20, 30, 100, 110]


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["3.png", "10.png", "785.jpg"], [3, 10, 785]),
        (["3.png", "10.png", "a.png"], [0, 1, 2]),  # one that is no number: 3 and an index 3 may not meet
        (["3.jpg", "3.png", "10.png"], [0, 1, 2]),
    ],
)
def test_image_ids_are_never_given_twice(tmp_path, names, ids):
    for name in names:
        cv2.imwrite(str(tmp_path / name), picture(0))
    with open_source(str(tmp_path)) as source:
        assert [frame.image_id for frame in source] == ids


def test_one_image(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), picture(3))
    with open_source(str(tmp_path / "a.png")) as source:
        assert levels(source) == [3]


def test_a_broken_image_is_named(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (99, 99, 3), dtype=np.uint8)
    for name in ("1.jpg", "2.jpg"):
        cv2.imwrite(str(tmp_path / name), noise)
    (tmp_path / "2.jpg").write_bytes((tmp_path / "2.jpg").read_bytes()[:3000])
    with open_source(str(tmp_path)) as source:
        frames = iter(source)
        assert next(frames).name == "1.jpg"
        with pytest.raises(DataError, match=r"2\.jpg is truncated"):
            next(frames)


def test_what_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"no source '.*nothing\.mp4'; expected an image"):
        open_source(str(tmp_path / "nothing.mp4"))
    with pytest.raises(DataError, match="holds no image"):
        open_source(str(tmp_path))
    (tmp_path / "text.mp4").write_text("this is no video")
    with pytest.raises(DataError, match=r"text\.mp4 is no image or video"):
        open_source(str(tmp_path / "text.mp4"))


def test_a_camera_that_is_not_there(capfd):
    with pytest.raises(DataError, match="camera 99 is not there or is in use"):
        open_source("camera:99")
    with pytest.raises(UsageError, match="camera:N"):
        open_source("camera:front")
    assert not capfd.readouterr().err  # of FFmpeg


def test_a_stream_that_is_not_there():
    with pytest.raises(DataError, match="cannot open the stream"):
        open_source("rtsp://127.0.0.1:9/nothing")


@pytest.fixture
def served(tmp_path):
    """The address of a server of `tmp_path`."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    handler.log_message = lambda *given: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_video_behind_http_is_not_live(tmp_path, served):
    write_video(tmp_path / "clip.avi")
    with open_source(f"{served}/clip.avi") as source:
        assert (source.count, source.live, source.fps) == (8, False, 5.0)
        assert levels(source) == list(range(8))


def test_a_truncated_video_gives_its_frames_and_says_so(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "clip.avi"
    with VideoWriter(path, 5.0) as writer:
        for _ in range(40):
            writer.write(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    seen = 0
    with open_source(str(path)) as source, pytest.raises(DataError, match="damaged or truncated"):
        for _ in source:
            seen += 1
    assert 15 <= seen <= 21


def test_a_video_cut_before_its_index_is_refused(tmp_path):
    path = write_video(tmp_path / "clip.mp4", 20)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(DataError, match="cut off"):
        open_source(str(path))


def test_the_clip_of_people(data_root):
    path = data_root / "video" / "one-by-one-person-detection.mp4"
    with open_source(str(path)) as source:
        assert (source.count, source.size, source.fps) == (1394, (432, 768), 10.0)
        assert next(iter(source)).image.shape == (432, 768, 3)
