"""The live view over HTTP: the page, pictures, numbers, slow viewers, who may look, and the end."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgepose.errors import EdgeposeError, UsageError
from edgepose.media.draw import Drawing
from edgepose.media.results.sink import RunFacts
from edgepose.media.sources import Frame
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import SKELETONS
from edgepose.view.live import ServedView, open_sink
from edgepose.view.server import LONG_VIEWERS

NOBODY = Poses.empty(SKELETONS["lsp14"])
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def frame(i: int) -> Frame:
    return Frame(index=i, name=f"f{i}", image_id=i, time_s=i / 10, image=np.full((480, 640, 3), i % 250, np.uint8))


def facts(note: Callable[[str], None] = lambda text: None) -> RunFacts:
    return RunFacts(name="camera0", skeleton=NOBODY.skeleton, fps=10.0, draw=Drawing(), note=note)


@pytest.fixture
def view() -> Iterator[ServedView]:
    with open_sink("0", facts()) as opened:
        yield opened


def port_of(view: ServedView) -> int:
    return int(view._server._http.server_address[1])


def get(view: ServedView, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port_of(view), timeout=10)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, {key.lower(): value for key, value in answer.getheaders()}, data


@pytest.fixture
def stream(view: ServedView) -> Iterator[Callable[..., Any]]:
    """Open a connection whose answer goes on, as a file."""
    with contextlib.ExitStack() as stack:

        def open_file(path: str = "/stream.mjpg") -> Any:
            connection = socket.create_connection(("127.0.0.1", port_of(view)), timeout=10)
            stack.enter_context(connection)
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            return stack.enter_context(connection.makefile("rb"))

        yield open_file


def next_picture(file: Any) -> np.ndarray:
    length = 0
    while line := file.readline():
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
        if line == b"\r\n" and length:
            return cv2.imdecode(np.frombuffer(file.read(length), np.uint8), cv2.IMREAD_COLOR)
    raise AssertionError("the stream ended")


def test_page_and_numbers(view) -> None:
    status, headers, data = get(view, "/")
    assert status == 200 and b"stream.mjpg" in data and headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in headers["content-security-policy"]
    assert get(view, "/frame.jpg")[0] == 503  # no frame yet
    view.write(frame(7), NOBODY)
    status, headers, data = get(view, "/frame.jpg")
    assert (status, headers["content-type"], data[:2]) == (200, "image/jpeg", b"\xff\xd8")
    found = json.loads(get(view, "/numbers.json")[2])
    assert (found["index"], found["people"], found["ended"]) == (7, [], False)
    for path in ("/missing", "/../page.html", "/page.html"):
        assert get(view, path)[0] == 404


def test_several_viewers_get_pictures_until_the_end(view, stream) -> None:
    view.write(frame(1), NOBODY)
    files = [stream() for _ in range(3)]
    for file in files:
        assert abs(int(next_picture(file).mean()) - 1) <= 2
    view.write(frame(200), NOBODY)
    for file in files:
        assert abs(int(next_picture(file).mean()) - 200) <= 2
    assert json.loads(get(view, "/numbers.json")[2])["viewers"] == 3
    view.close()
    assert [file.read().strip() for file in files] == [b""] * 3
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port_of(view)), timeout=1)


def test_events_say_what_happens_and_end_with_the_run(view, stream) -> None:
    view.write(frame(3), NOBODY)
    file = stream("/events")
    lines = list(iter(file.readline, b"\r\n"))
    assert b"Content-Type: text/event-stream\r\n" in lines
    assert json.loads(file.readline().removeprefix(b"data: "))["index"] == 3
    view._live.close()
    events = [json.loads(line[6:]) for line in file.read().splitlines() if line.startswith(b"data: ")]
    assert events[-1]["ended"] is True


def test_a_viewer_that_reads_nothing_slows_neither_the_run_nor_its_end(view, stream) -> None:
    rng = np.random.default_rng(0)
    # noise, which does not fit into the buffer of a socket
    noise = [rng.integers(0, 255, (480, 640, 3), np.uint8) for _ in range(4)]
    view.write(frame(0), NOBODY)
    next_picture(stream())
    start = time.monotonic()
    for i in range(400):
        view.write(Frame(index=i, name="f", image_id=i, time_s=0.0, image=noise[i % 4]), NOBODY)
        time.sleep(0.005)
    assert time.monotonic() - start < 10
    assert json.loads(get(view, "/numbers.json")[2])["viewers"] == 1  # it waits for its buffer
    start = time.monotonic()
    view.close()
    assert time.monotonic() - start < 5


def test_there_is_a_limit_of_viewers(view, stream) -> None:
    view.write(frame(0), NOBODY)
    files = [stream() for _ in range(LONG_VIEWERS)]
    for file in files:
        next_picture(file)
    assert get(view, "/stream.mjpg")[0] == 503 and get(view, "/numbers.json")[0] == 200
    view.close()


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost", 200), ("127.0.0.1:8080", 200), ("[::1]:80", 200), ("evil.example", 403), ("evil.example:8080", 403),
     ("localhost.evil.example", 403)],
)  # fmt: skip
def test_pages_of_others_do_not_reach_a_local_view(view, host, status) -> None:
    """A name of somebody else that leads to 127.0.0.1 would let their page read the pictures."""
    assert get(view, "/numbers.json", Host=host)[0] == status


def test_only_a_given_host_opens_the_view_to_others() -> None:
    notes: list[str] = []
    with open_sink("0", facts(notes.append)) as local:
        assert local._server._http.server_address[0] == "127.0.0.1"
        assert len(notes) == 1 and notes[0].startswith("the run is shown at http://localhost:")
    with open_sink("0.0.0.0:0", facts(notes.append)) as public:
        assert public._server._http.server_address[0] == "0.0.0.0"
        assert "everyone who reaches this machine" in notes[-1]
        assert get(public, "/numbers.json", Host="jetson.lan:80")[0] == 200


def test_a_port_that_is_in_use_and_a_host_that_is_none(view) -> None:
    with pytest.raises(EdgeposeError, match=r"cannot listen on 127\.0\.0\.1.*choose another"):
        open_sink(str(port_of(view)), facts())
    with pytest.raises(UsageError, match=r"no-such-host\.invalid is no address"):
        open_sink("no-such-host.invalid:0", facts())


def test_the_end_leaves_no_thread(view, stream) -> None:
    view.write(frame(0), NOBODY)
    next_picture(stream())
    view.close()
    view.close()
    end = time.monotonic() + 5
    while names := [thread.name for thread in threading.enumerate() if "process_request" in thread.name]:
        assert time.monotonic() < end, names
        time.sleep(0.02)
    assert "edgepose-view" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_a_browser_shows_the_page(view, tmp_path: Path) -> None:
    stop = threading.Event()

    def play() -> None:
        i = 0
        while not stop.wait(0.05):
            picture = np.zeros((480, 640, 3), np.uint8)
            picture[:] = (0, 0, 255)
            view.write(Frame(index=(i := i + 1), name="f", image_id=i, time_s=0.0, image=picture), NOBODY)

    player = threading.Thread(target=play)
    player.start()
    shot = tmp_path / "page.png"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    flags += ["--disable-component-update", "--disable-sync", "--hide-scrollbars", "--window-size=1200,700"]
    command = [str(CHROMIUM), *flags, "--timeout=4000", f"--user-data-dir={tmp_path / 'user'}", f"--screenshot={shot}"]
    try:
        done = subprocess.run(
            [*command, f"http://127.0.0.1:{port_of(view)}/"], capture_output=True, text=True, timeout=120
        )
    finally:
        stop.set()
        player.join()
    assert shot.exists(), done.stderr[-2000:]
    page = cv2.imread(str(shot)).astype(int)
    red = (page[..., 2] > 200) & (page[..., :2].max(axis=-1) < 60)
    assert red.mean() > 0.15, "the pictures are not on the page"
