"""Packets of containers in which streams begin that nobody announced."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from edgepose.media.feeds import FfmpegFeed
from edgepose.media.streams import packets_of


class Container:
    """Gives the numbers from 0 on as packets, and fails at some of them as PyAV does at packets of unknown streams."""

    def __init__(self, count, unknown):
        self._numbers, self._unknown = iter(range(count)), unknown

    def demux(self, *streams):
        for number in self._numbers:
            if number in self._unknown:
                raise IndexError("list index out of range")
            yield number


@pytest.mark.parametrize("unknown", [(), (0,), (2, 3), (5,)])
def test_packets_of_streams_that_begin_later_are_left_out(unknown):
    assert list(packets_of(Container(6, unknown), "stream")) == [i for i in range(6) if i not in unknown]


def test_a_live_stream_whose_packets_get_another_number_goes_on():
    """MPEG-TS in which a damaged header names a stream (PID) that is in no table: PyAV does not know it."""
    out = io.BytesIO()
    with av.open(out, "w", format="mpegts") as container:
        stream = container.add_stream("mpeg2video", rate=10, width=64, height=48)
        stream.pix_fmt = "yuv420p"
        for i in range(40):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 6 * i, np.uint8), format="bgr24")
            frame.pts = i
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    whole = bytearray(out.getvalue())
    damaged = bytearray(whole)
    begins = [at for at in range(0, len(damaged), 188) if damaged[at + 1] & 0x5F == 0x41 and damaged[at + 2] == 0]
    assert len(begins) > 20
    for at in begins[10:14]:
        damaged[at + 2] = 0x55
    feed = FfmpegFeed(io.BytesIO(bytes(whole * 100 + damaged + whole)), "x", format="mpegts")
    assert sum(1 for _ in feed.images()) > 101 * 40
    feed.close()
