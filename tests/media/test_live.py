"""Cameras and streams: they break off and come back, and a slow reader sees the latest frame."""

from __future__ import annotations

import itertools
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest
from media.films import steps, write_film

from edgepose.errors import DataError, UsageError
from edgepose.media.feeds import _remedy
from edgepose.media.gstreamer import LAUNCH
from edgepose.media.live import LiveSource
from edgepose.media.selection import Selection
from edgepose.media.sources import open_source

SYSTEM_PYTHON = "/usr/bin/python3"  # the one that has PyGObject
SERVER = Path(__file__).with_name("rtsp_server.py")
needs_gstreamer = pytest.mark.skipif(shutil.which(LAUNCH) is None, reason=f"{LAUNCH} is not installed")


class FakeFeed:
    """Gives `count` pictures, then breaks off, or ends."""

    fps, size = 25.0, (4, 4)

    def __init__(self, count, *, ends=False):
        self.count, self.ends, self.closed = count, ends, False

    def images(self):
        for i in range(self.count):
            yield np.full((4, 4, 3), i, np.uint8)
        if not self.ends:
            raise DataError("gone")

    def close(self):
        self.closed = True


class Connections:
    """Feeds one after another; None stands for an attempt that fails."""

    def __init__(self, *feeds):
        self.feeds, self.opened = list(feeds), []

    def __call__(self):
        feed = self.feeds.pop(0) if self.feeds else None
        if feed is None:
            raise DataError("nobody answers")
        self.opened.append(feed)
        return feed


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr("edgepose.media.live.FIRST_WAIT_S", 0.001)


def test_a_stream_that_breaks_off_is_connected_again():
    notes = []
    connect = Connections(FakeFeed(3), None, None, FakeFeed(2), FakeFeed(1, ends=True))
    with LiveSource(connect, name="cam", note=notes.append) as source:
        frames = list(source)
        assert (source.live, source.count, source.fps, source.size) == (True, None, 25.0, (4, 4))
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [0, 1, 2, 0, 1, 0]
    assert [frame.name for frame in frames] == [f"cam-00000{i}" for i in range(6)]
    assert frames[0].time_s == 0 and all(a.time_s <= b.time_s for a, b in itertools.pairwise(frames))
    assert source.reconnected == 2 and all(feed.closed for feed in connect.opened)
    assert ["broke off after 3 frames (gone)" in notes[0], "is back" in notes[1]] == [True, True] and len(notes) == 4


@pytest.mark.parametrize("count", [0, 3])
def test_a_stream_that_stays_away_is_given_up(count):
    with LiveSource(Connections(FakeFeed(count)), name="cam", patience_s=0.01) as source:
        seen, says = 0, f"cam: the stream ended after {count} frames and did not come back.*nobody answers"
        with pytest.raises(DataError, match=says):
            for _ in source:
                seen += 1
    assert seen == count


def test_a_first_connection_that_fails_is_an_error_at_once():
    with pytest.raises(DataError, match="nobody answers"):
        LiveSource(Connections(None, FakeFeed(1)), name="cam")


def test_a_source_that_is_closed_waits_no_longer(monkeypatch):
    monkeypatch.setattr("edgepose.media.live.FIRST_WAIT_S", 60.0)
    source = LiveSource(Connections(FakeFeed(1), FakeFeed(1)), name="cam")
    threading.Timer(0.2, source.close).start()
    begin = time.monotonic()
    assert len(list(source)) == 1 and time.monotonic() - begin < 10


def test_a_selection_of_a_live_source():
    chosen = Selection(every=2)
    with LiveSource(Connections(FakeFeed(5, ends=True)), name="cam", selection=chosen) as source:
        assert [frame.index for frame in source] == [0, 2, 4] and source.fps == 12.5


def test_sources_with_wrong_names():
    for text, says in (
        ("", "the source is empty"),
        ("csi:left", "expected csi:N"),
        ("gst:", "needs a pipeline"),
        ("camera:front", "expected camera:N"),
        ("gst:videotestsrc 'x", "cannot be split"),
    ):
        with pytest.raises(UsageError, match=says):
            open_source(text)
    with pytest.raises(DataError, match="camera /dev/video98 is not there"):
        open_source("/dev/video98")


@needs_gstreamer
@pytest.mark.parametrize("format", ["NV12", "I420", "BGRx", "YUY2"])
def test_a_pipeline(format, capfd):
    """A solid red, in an odd size, with the sink that pipelines for OpenCV end in."""
    pipeline = "videotestsrc num-buffers=6 pattern=solid-color foreground-color=0xffd02010 ! "
    pipeline += f"video/x-raw,format={format},width=162,height=122,framerate=25/1 ! appsink drop=1"
    with open_source(f"gst:{pipeline}") as source:
        assert (source.live, source.size, source.fps) == (True, (122, 162), 25.0)
        frames = list(source)
    assert len(frames) == 6
    np.testing.assert_allclose(frames[-1].image[60, 80], (0x10, 0x20, 0xD0), atol=6)
    assert capfd.readouterr() == ("", "")


@needs_gstreamer
@pytest.mark.parametrize("text", ["gst:nosuch ! videoconvert", "csi:0", "gst:filesrc location=/nothing ! decodebin"])
def test_a_pipeline_that_does_not_run(text, capfd):
    if text == "csi:0" and Path("/etc/nv_tegra_release").exists():
        pytest.skip("this machine may have the camera")
    with pytest.raises(DataError, match=r"the pipeline gives no frame \(.*(element|such file|Resource)"):
        open_source(text)
    assert capfd.readouterr() == ("", "")


@needs_gstreamer
def test_a_pipeline_that_reads_a_file_gives_every_frame_at_its_time(tmp_path):
    path = write_film(tmp_path / "x.mkv", steps(60), codec="mjpeg", pix_fmt="yuvj420p")
    with open_source(f"gst:filesrc location={path} ! decodebin") as source:
        assert not source.live
        frames = []
        for frame in source:
            frames.append(frame)
            time.sleep(0.02 if frame.index < 10 else 0)  # a slow reader
    assert [frame.time_s for frame in frames] == pytest.approx(steps(60), abs=2e-3)
    with open_source("gst:videotestsrc num-buffers=1 name=filesrc0") as source:
        assert source.live


@needs_gstreamer
def test_closing_ends_the_pipeline():
    source = open_source("gst:videotestsrc is-live=true ! video/x-raw,width=64,height=48")
    frames = iter(source)
    next(frames)
    process = source._feed._process
    source.close()
    assert process.poll() is not None


@pytest.fixture
def rtsp():
    """Starts a server on a port and stops it: `rtsp.start()`, `rtsp.stop()`, `rtsp.address`."""
    check = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    if not Path(SYSTEM_PYTHON).exists() or subprocess.run([SYSTEM_PYTHON, "-c", check], capture_output=True).returncode:
        pytest.skip("gir1.2-gst-rtsp-server-1.0 and python3-gi are not installed")
    if subprocess.run(["gst-inspect-1.0", "x264enc"], capture_output=True).returncode:
        pytest.skip("gstreamer1.0-plugins-ugly is not installed")

    class Server:
        def __init__(self):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
            self.address = f"rtsp://127.0.0.1:{self.port}/live"

        def start(self):
            words = [SYSTEM_PYTHON, str(SERVER), str(self.port)]
            self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            assert self.process.stdout.readline() == b"ready\n"

        def stop(self):
            self.process.kill()
            self.process.communicate()

    server = Server()
    server.start()
    yield server
    server.stop()


def test_a_server_that_is_killed_and_comes_back(rtsp, monkeypatch, capfd):
    monkeypatch.setattr("edgepose.media.live.FIRST_WAIT_S", 0.2)
    notes, seen = [], []
    with open_source(rtsp.address, note=notes.append) as source:
        assert source.live and source.size == (120, 160)
        for frame in source:
            seen.append(frame)
            if len(seen) == 20:
                rtsp.stop()
                threading.Timer(1.5, rtsp.start).start()
            if source.reconnected and len(seen) >= 50:
                break
    assert source.reconnected == 1
    assert "broke off after" in notes[0] and "is back after" in notes[1] and len(notes) == 2
    assert max(b.time_s - a.time_s for a, b in itertools.pairwise(seen)) > 1
    assert all(frame.image.shape == (120, 160, 3) for frame in seen)
    assert capfd.readouterr().err == ""


def test_an_address_that_cannot_be_opened_says_what_to_check():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and does not listen
        port = closed.getsockname()[1]
        for scheme in ("rtsp", "tcp"):
            with pytest.raises(DataError, match=r"nothing listens at this port: check that the camera or server is"):
                open_source(f"{scheme}://127.0.0.1:{port}/live")


@pytest.mark.parametrize(
    ("scheme", "error", "says"),
    [
        ("rtsp", av.error.HTTPUnauthorizedError(401, "401"), "check user and password: rtsp://USER:PASSWORD@HOST"),
        ("http", av.error.HTTPNotFoundError(404, "404"), "check the path behind the host"),
        ("rtsp", av.error.ExitError(0, "exit"), "check that the camera is on and can be reached"),
        ("udp", av.error.ExitError(0, "exit"), "no packet came: check that the sender sends to this machine and port"),
        ("rtmp", av.error.OSError(5, "Input/output error"), "check the name of the host"),
    ],
)
def test_what_to_check_depends_on_the_reason(scheme, error, says):
    assert says in _remedy(scheme, error)


def test_nobody_sends_to_a_udp_address(monkeypatch):
    monkeypatch.setattr("edgepose.media.feeds.TIMEOUT_S", 0.3)
    begin = time.monotonic()
    with pytest.raises(DataError, match=r"no answer in time\); no packet came"):
        open_source("udp://127.0.0.1:59871")
    assert time.monotonic() - begin < 5


def test_one_frame_is_no_plural():
    notes = []
    with LiveSource(Connections(FakeFeed(1), FakeFeed(1, ends=True)), name="cam", note=notes.append) as source:
        assert len(list(source)) == 2
    assert "broke off after 1 frame (gone)" in notes[0]
