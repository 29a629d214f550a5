"""A camera on this machine that misbehaves: MPEG-TS over TCP in real time, with stalls, cut connections and damage.

The picture is a part of a video. Every connection gets the same film from its beginning, over and over. Bytes are
flipped, packets are left out, the sender pauses, and the connection is closed, each at random times.
"""

from __future__ import annotations

import io
import random
import socket
import threading
import time
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import cv2

from edgepose._checks import Array
from edgepose.media.sources import open_source

PACKET = 188  # bytes of MPEG-TS
RATE = 10  # frames per second


def film(video: Path, size: tuple[int, int], start_s: float, seconds: float) -> list[Array]:
    """Return frames of a part of a video, each scaled to (height, width)."""
    from edgepose.media.selection import Selection

    with open_source(str(video), selection=Selection(start_s=start_s, end_s=start_s + seconds)) as source:
        return [cv2.resize(frame.image, size[::-1], interpolation=cv2.INTER_AREA) for frame in source]


def transport_stream(frames: list[Array]) -> list[bytes]:
    """Encode frames as H.264 in MPEG-TS, and return the bytes of each frame."""
    out, parts, written = io.BytesIO(), [], 0
    with av.open(out, "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "tune": "zerolatency"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.gop_size, stream.time_base = "yuv420p", RATE, Fraction(1, RATE)
        for i, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts = i
            container.mux(stream.encode(frame))
            parts.append(out.getvalue()[written:])
            written = len(out.getvalue())
        container.mux(stream.encode(None))
    parts.append(out.getvalue()[written:])
    return [part for part in parts if part]


@dataclass
class Faults:
    """What a camera did so far, and how often each second it does it.

    Attributes:
        stalls: Pauses of `stall_s` seconds at most.
        cuts: Connections that were closed.
        flipped: Bytes that were changed.
        lost: Packets that were left out.
        connections: Connections that were accepted.
    """

    stalls_per_s: float = 0.05
    cuts_per_s: float = 0.04
    damage_per_s: float = 0.5
    stall_s: float = 4.0
    stalls: int = 0
    cuts: int = 0
    flipped: int = 0
    lost: int = 0
    connections: int = 0
    rng: random.Random = field(default_factory=lambda: random.Random(0))


class FaultyCamera:
    """Serves a film at `url` until it is closed.

    Args:
        parts: The bytes of each frame.
        faults: How it misbehaves, and what it did.
    """

    def __init__(self, parts: list[bytes], faults: Faults) -> None:
        self._parts, self.faults = parts, faults
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(0.2)
        self._stop = threading.Event()
        self.url = f"tcp://127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the connection and the server."""
        self._stop.set()
        self._thread.join()
        self._listening.close()

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._listening.accept()
            except TimeoutError:
                continue
            self.faults.connections += 1
            connection.settimeout(5.0)
            with connection:
                try:
                    self._send(connection)
                except OSError:  # the reader left, or takes nothing
                    continue

    def _send(self, connection: socket.socket) -> None:
        faults, rng, place = self.faults, self.faults.rng, 0
        due = time.monotonic()
        while not self._stop.is_set():
            connection.sendall(self._damaged(self._parts[place % len(self._parts)]))
            place += 1
            due += 1 / RATE
            if rng.random() < faults.stalls_per_s / RATE:
                faults.stalls += 1
                due = time.monotonic() + rng.uniform(0.3, faults.stall_s)
            if place > RATE and rng.random() < faults.cuts_per_s / RATE:
                faults.cuts += 1
                return
            self._stop.wait(max(0.0, due - time.monotonic()))

    def _damaged(self, part: bytes) -> bytes:
        faults, rng = self.faults, self.faults.rng
        if rng.random() >= faults.damage_per_s / RATE:
            return part
        packets = [part[i : i + PACKET] for i in range(0, len(part), PACKET)]
        if rng.random() < 0.3 and len(packets) > 2:
            faults.lost += 1
            packets.pop(rng.randrange(1, len(packets)))
        changed = bytearray(b"".join(packets))
        for _ in range(rng.randint(1, 20)):
            faults.flipped += 1
            changed[rng.randrange(len(changed))] ^= rng.randrange(1, 256)
        return bytes(changed)
