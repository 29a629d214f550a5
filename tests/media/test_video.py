"""Sources and the overlay writer: every kind that opens, every kind that cannot."""

from __future__ import annotations

import functools
import http.server
import socket
import subprocess
import sys
import threading

import av
import cv2
import numpy as np
import pytest
from media.films import steps, write_film

from edgepose.errors import DataError, EdgeposeError, UsageError
from edgepose.media.encoders import CONTAINERS
from edgepose.media.selection import Selection
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


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize(
    "times",
    [
        [0, 0.2, 0.8, 1.0],  # frames were lost
        [0, 0.25, 0.35, 0.62],  # unsteady
        [0.001 * i for i in range(8)],  # far faster than the source says
        [5, 5.04, 7, 7.04],  # the middle of a film
    ],
)
def test_frames_are_shown_at_their_times(tmp_path, suffix, times):
    path = tmp_path / f"clip{suffix}"
    with VideoWriter(path, 5.0) as writer:
        for i, time_s in enumerate(times):
            writer.write(picture(i), time_s)
    with open_source(str(path)) as source:
        frames = list(source)
    assert [frame.time_s for frame in frames] == pytest.approx([time_s - times[0] for time_s in times], abs=6e-4)
    assert levels(frames) == list(range(len(times)))


@pytest.mark.parametrize(
    ("times", "played", "shown"),
    [
        ([0, 0.2, 0.8, 1.0], [0, 0.2, 0.8, 1.0], [0, 1, 2, 3]),
        ([0, 0.25, 0.35, 0.62], [0, 0.2, 0.4, 0.6], [0, 1, 2, 3]),
        (
            [0.1 * i for i in range(8)],
            [0, 0.2, 0.4, 0.6, 0.8, 1.0],
            [0, 1, 2, 3, 6, 7],
        ),  # twice too fast
    ],
)
def test_an_avi_file_has_a_fixed_rate(tmp_path, times, played, shown):
    path = tmp_path / "clip.avi"
    with VideoWriter(path, 5.0) as writer:
        for i, time_s in enumerate(times):
            writer.write(picture(i), time_s)
    with open_source(str(path)) as source:
        frames = list(source)
    assert [frame.time_s for frame in frames] == pytest.approx(played)
    assert levels(frames) == shown


TAGS = {"h264": "avc1", "hevc": "hvc1", "mpeg4": "mp4v", "av1": "av01", "vp9": "vp09"}
CODECS = [(suffix, codec) for suffix, kind in CONTAINERS.items() for codec in kind.codecs]


@pytest.mark.parametrize(("suffix", "codec"), CODECS)
def test_every_codec_in_every_container(tmp_path, suffix, codec, capfd):
    path = tmp_path / f"clip{suffix}"
    with VideoWriter(path, 10.0, codec=codec) as writer:
        for i in range(5):
            writer.write(picture(2 * i, (96, 128)), 0.1 * i)
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        assert stream.codec.canonical_name == codec
        assert (stream.width, stream.height, stream.pix_fmt) == (128, 96, "yuv420p")
        if suffix in (".mp4", ".mov"):
            assert float(stream.duration * stream.time_base) == pytest.approx(0.5)
            assert (
                stream.codec_tag
                == {"h264": "avc1", "hevc": "hvc1", "mpeg4": "mp4v", "av1": "av01", "vp9": "vp09"}[codec]
            )
    with open_source(str(path)) as source:
        frames = list(source)
    assert levels(frames) == [0, 2, 4, 6, 8]
    assert capfd.readouterr().err == ""


def test_the_index_stands_first(tmp_path):
    for suffix in (".mp4", ".mov"):
        data = write_video(tmp_path / f"clip{suffix}").read_bytes()
        assert 0 < data.index(b"moov") < data.index(b"mdat") and b"moof" not in data


def test_colors_come_back(tmp_path):
    """The file states how its colors were computed; a player that believes it shows the colors that were written."""
    patches = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (200, 200, 30), (128, 128, 128)]
    image = np.concatenate([np.full((48, 48, 3), color, np.uint8) for color in patches], axis=1)
    with VideoWriter(tmp_path / "clip.mp4", 5.0) as writer:
        writer.write(image)
    with open_source(str(tmp_path / "clip.mp4")) as source:
        (frame,) = source
    centers = frame.image[24, 24::48].astype(int)
    assert np.abs(centers - patches).max() <= 6


@pytest.mark.parametrize(
    ("source", "codec", "suffix", "heard_as"),
    [
        ("x.mp4", "aac", ".mp4", "aac"),
        ("x.mp4", "aac", ".mkv", "aac"),
        ("x.mp4", "aac", ".mov", "aac"),
        ("x.mp4", "aac", ".avi", "aac"),
        ("x.mkv", "libopus", ".mp4", "opus"),
        ("x.mkv", "libopus", ".webm", "opus"),
        ("x.ts", "aac", ".mkv", "aac"),
        ("x.mkv", "pcm_s16le", ".mkv", "pcm_s16le"),
        ("x.mkv", "pcm_s16le", ".mov", "pcm_s16le"),
        ("x.mkv", "pcm_s16le", ".mp4", "aac"),
        ("x.mkv", "libopus", ".avi", "aac"),
        ("x.mp4", "aac", ".webm", "opus"),
        ("x.mkv", "mp3", ".webm", "opus"),
    ],
)
def test_sound_is_copied_or_encoded_as_players_of_the_container_take_it(tmp_path, source, codec, suffix, heard_as):
    film = write_film(tmp_path / source, steps(50), start=1.0, sound=(codec, 0.0))
    path, notes = tmp_path / f"overlay{suffix}", []
    with (
        open_source(str(film), selection=Selection(start_s=0.4, end_s=1.4)) as frames,
        VideoWriter(path, frames.fps, sound=frames.sound, note=notes.append) as writer,
    ):
        for frame in frames:
            writer.write(frame.image, frame.time_s)
    with av.open(str(path)) as file:
        assert [stream.codec_context.codec.canonical_name for stream in file.streams.audio] == [heard_as]
        again = codec.removeprefix("lib") != heard_as
        assert len(notes) == again and all(f"was encoded as {heard_as}" in line for line in notes)
        packets = [packet for packet in file.demux() if packet.pts is not None]
        heard = [float(packet.pts * packet.time_base) for packet in packets if packet.stream.type == "audio"]
    with av.open(str(path)) as file:
        wave = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)]).astype(float)
        rate = file.streams.audio[0].rate
    crossings = np.flatnonzero(np.diff(wave[2000:-4000] > 0))
    assert rate * (len(crossings) - 1) / np.ptp(crossings) / 2 == pytest.approx(440, rel=0.02)  # Hz
    with open_source(str(path)) as again:
        assert [frame.time_s for frame in again] == pytest.approx(steps(25), abs=1e-3)
    if suffix != ".avi":
        assert -0.05 < min(heard) < 0.1 and 0.85 < max(heard) < 1.02


def test_an_avi_file_says_that_it_moved_frames_and_left_some_out(tmp_path):
    notes = []
    with VideoWriter(tmp_path / "x.avi", 10.0, note=notes.append) as writer:
        for time_s in (0.0, 0.1, 0.13, 0.24):
            writer.write(picture(1), time_s)
    assert len(notes) == 1 and "moved by up to" in notes[0] and ".mkv" in notes[0]
    with VideoWriter(tmp_path / "y.avi", 10.0, note=notes.append) as writer:
        for time_s in (0.0, 0.1, 0.4):
            writer.write(picture(1), time_s)
    assert len(notes) == 1


def test_what_a_killed_process_leaves_can_be_played(tmp_path):
    """The bytes that are on the disk after 80 of 100 frames: all but the last seconds."""
    for suffix in (".mp4", ".mkv", ".avi"):
        path, copy = tmp_path / f"clip{suffix}", tmp_path / f"copy{suffix}"
        rng = np.random.default_rng(0)
        with VideoWriter(path, 10.0) as writer:
            for i in range(100):
                writer.write(rng.integers(0, 255, (96, 128, 3), dtype=np.uint8), 0.1 * i)
                if i == 80:
                    copy.write_bytes(writer._beside.read_bytes())
        seen = 0
        with open_source(str(copy), selection=Selection(skip_errors=True)) as source:
            for _ in source:
                seen += 1
        assert 40 <= seen <= 81, suffix


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


def test_a_full_disk_is_noticed(tmp_path):
    """A limit of the size of files stands for it."""
    code = (
        "import resource, signal, sys, numpy as np; from pathlib import Path\n"
        "from edgepose.media.video import VideoWriter\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "rng = np.random.default_rng(0)\n"
        "with VideoWriter(Path(sys.argv[1]), 10.0) as writer:\n"
        "    for i in range(60): writer.write(rng.integers(0, 255, (96, 128, 3), dtype=np.uint8))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "x.mp4")], capture_output=True, text=True)
    assert done.returncode == 1 and "EdgeposeError: cannot write video" in done.stderr
    assert "is the disk full?" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "codec", "says"),
    [
        ("x.webm", "h264", "takes no h264; choose --video-codec vp9 or av1"),
        ("x.mp4", "h265", "--video-codec h265; did you mean"),
        ("x.mp4", "h264_none", "--video-codec h264_none"),
        ("x.avi", "vp9", "takes no vp9"),
        ("x.mp4", "h264_videotoolbox", "cannot encode h264_videotoolbox; it can encode h264"),
    ],
)
def test_codecs_that_cannot_be(tmp_path, name, codec, says):
    with pytest.raises(UsageError, match=says):
        VideoWriter(tmp_path / name, 5.0, codec=codec)
    assert not list(tmp_path.iterdir())


def test_a_hardware_encoder_that_is_not_here(tmp_path):
    """FFmpeg knows the encoder of NVIDIA, and this machine may lack the card."""
    try:
        with VideoWriter(tmp_path / "x.mp4", 5.0, codec="h264_nvenc") as writer:
            writer.write(picture(0, (256, 256)))
    except EdgeposeError as error:
        assert "h264_nvenc" in str(error) and "--video-codec" in str(error)
        assert not list(tmp_path.iterdir())
    else:
        assert (tmp_path / "x.mp4").is_file()


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


def test_a_stream_that_does_not_answer(monkeypatch):
    monkeypatch.setattr("edgepose.media.feeds.TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(DataError, match=r"cannot open the stream .*\(no answer in time\)"):
            open_source(f"tcp://127.0.0.1:{port}")


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


def test_an_index_at_the_end_behind_a_server_without_parts(tmp_path, served):
    """FFmpeg reads the index at the end of the file and cannot go back: the file is whole, so nothing is to convert."""
    noise = np.random.default_rng(0).integers(0, 256, (8, 240, 320, 3), dtype=np.uint8)  # more than FFmpeg reads ahead
    write_film(tmp_path / "clip.mp4", steps(8), pictures=list(noise), codec="mjpeg", pix_fmt="yuvj420p")
    with pytest.raises(DataError, match="download the file"):
        open_source(f"{served}/clip.mp4")


def test_a_video_cut_before_the_end_of_its_first_frame_is_refused(tmp_path):
    path = write_video(tmp_path / "clip.mp4", 20)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"mdat") + 100])  # within the first frame
    with pytest.raises(DataError, match="cut off"):
        open_source(str(path))


def test_the_clip_of_people(data_root):
    path = data_root / "video" / "one-by-one-person-detection.mp4"
    with open_source(str(path)) as source:
        assert (source.count, source.size, source.fps) == (1394, (432, 768), 10.0)
        assert next(iter(source)).image.shape == (432, 768, 3)
