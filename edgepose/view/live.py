"""The latest frame of a run, for viewers. They draw and encode it in their own threads, when somebody looks."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import cv2

from edgepose._checks import Array
from edgepose.errors import EdgeposeError, UsageError
from edgepose.media.results.record import FORMAT, frame_facts, track_ids
from edgepose.media.results.sink import ResultSink, RunFacts
from edgepose.media.sources import Frame
from edgepose.pose.poses import Poses

if TYPE_CHECKING:
    from edgepose.view.server import ViewServer

LOCAL = "127.0.0.1"
QUALITY = 80  # of the JPEG pictures, in percent
LONGEST_EDGE = 1280  # of a picture on the page; larger frames are scaled down
RATE_S = 3.0  # the time over which the frame rate is measured


class LiveView(ResultSink):
    """Keeps the latest frame of a run for the server, and the numbers of the run.

    Writing a frame stores it and returns. Viewers that are slower than the run miss frames.
    """

    def __init__(self, about: RunFacts) -> None:
        self._about = about
        self._changed = threading.Condition()
        self._encoding = threading.Lock()
        self._latest: tuple[int, Frame, Poses] | None = None
        self._encoded: tuple[int, bytes] = (0, b"")
        self._written: deque[float] = deque(maxlen=600)
        self._frames = 0
        self.viewers = 0
        self.ended = False

    def write(self, frame: Frame, poses: Poses) -> None:
        """Show a frame to whoever looks."""
        with self._changed:
            self._frames += 1
            self._written.append(time.monotonic())
            self._latest = (self._frames, frame, poses)
            self._changed.notify_all()

    def close(self, error: BaseException | None = None) -> None:
        """Let viewers know that the run has ended."""
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def picture_after(self, number: int, patience_s: float) -> tuple[int, bytes] | None:
        """Wait for a newer frame and return it as JPEG.

        Args:
            number: The number of the frame that the viewer has, 0 for none.
            patience_s: How long to wait.

        Returns:
            The number of the frame and the JPEG file; None where no newer frame came, or the run has ended.
        """
        with self._changed:
            newer = self._changed.wait_for(lambda: self.ended or self._number > number, patience_s)
            if not newer or self._number <= number:
                return None
        with self._encoding:  # one viewer encodes for all
            with self._changed:
                latest = self._latest
            assert latest is not None
            if self._encoded[0] != latest[0]:
                self._encoded = (latest[0], encode(self._about.draw(latest[1], latest[2])))
            return self._encoded

    @contextmanager
    def viewer(self) -> Iterator[None]:
        """Count somebody who looks at the pictures."""
        with self._changed:
            self.viewers += 1
        try:
            yield
        finally:
            with self._changed:
                self.viewers -= 1

    def wait_for_end(self, patience_s: float) -> None:
        """Wait until the run has ended, or for `patience_s`."""
        end = time.monotonic() + patience_s
        with self._changed:
            while not self.ended and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)

    def numbers(self) -> dict[str, Any]:
        """Return what the page shows beside the picture: frame, rates, stages, drops and people."""
        with self._changed:
            latest, written, frames = self._latest, list(self._written), self._frames
        recent = [moment for moment in written if moment >= time.monotonic() - RATE_S]
        span = recent[-1] - recent[0] if len(recent) > 1 else 0.0
        found: dict[str, Any] = {
            "format": FORMAT,
            "source": self._about.name,
            "frames": frames,
            "fps": round((len(recent) - 1) / span, 2) if span > 0 else 0.0,
            "latency_ms": dict(self._about.latencies_ms()),
            "dropped": self._about.dropped(),
            "viewers": self.viewers,
            "ended": self.ended,
        }
        if latest is not None:
            _, frame, poses = latest
            people = [
                {"track_id": track, "score": round(float(score), 3)}
                for track, score in zip(track_ids(poses), poses.person_scores, strict=True)
            ]
            found |= {**frame_facts(frame), "joints": list(poses.skeleton.joints), "people": people}
        return found

    @property
    def _number(self) -> int:
        return 0 if self._latest is None else self._latest[0]


class ServedView(ResultSink):
    """The live view of one source, with a server that the views of all sources share.

    The last view that is closed stops the server.
    """

    def __init__(self, live: LiveView, server: ViewServer, open_views: list[LiveView]) -> None:
        self._live, self._server, self._open = live, server, open_views

    def write(self, frame: Frame, poses: Poses) -> None:
        """Show a frame."""
        self._live.write(frame, poses)

    def close(self, error: BaseException | None = None) -> None:
        """Let viewers know that the source has ended, and stop the server behind the last one."""
        self._live.close(error)
        if self._live in self._open:
            self._open.remove(self._live)
            if not self._open:
                self._server.stop()


def encode(picture: Array) -> bytes:
    """Return a picture as a JPEG file that is no larger than `LONGEST_EDGE`.

    Raises:
        EdgeposeError: OpenCV cannot encode it.
    """
    height, width = picture.shape[:2]
    scale = LONGEST_EDGE / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    good, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not good:
        raise EdgeposeError("--view: a frame cannot be encoded as JPEG")
    return data.tobytes()


def parse_place(text: str) -> tuple[str, int]:
    """Parse `[HOST:]PORT`; an IPv6 address stands in brackets.

    Returns:
        The host, 127.0.0.1 by default, and the port; port 0 is any free one.

    Raises:
        UsageError: The text is something else.
    """
    match = re.fullmatch(r"(?:(?P<host>[^:\[\]\s/@]+|\[[0-9A-Fa-f:.]+\]):)?(?P<port>\d{1,5})", text.strip())
    if match is None or int(match["port"]) > 65535:
        raise UsageError(f"--view {text!r}: expected a port, such as 8080, or HOST:PORT, such as 0.0.0.0:8080")
    return (match["host"] or LOCAL).strip("[]"), int(match["port"])


def check_place(text: str) -> None:
    """Raise UsageError where the text is not `[HOST:]PORT`."""
    parse_place(text)


def open_sink(place: str, about: RunFacts) -> ResultSink:
    """Start the server of a live view."""
    return open_sinks(place, [about])[0]


def open_sinks(place: str, abouts: Sequence[RunFacts]) -> list[ResultSink]:
    """Start a server for the live views of several sources."""
    from edgepose.view.server import ViewServer

    host, port = parse_place(place)
    lives = [LiveView(about) for about in abouts]
    server = ViewServer(lives, host, port)
    note = abouts[0].note
    note(f"the run is shown at {server.url}")
    if not server.local:
        note("--view: everyone who reaches this machine over the network can see the pictures")
    server.start()
    still_open = list(lives)
    return [ServedView(live, server, still_open) for live in lives]
