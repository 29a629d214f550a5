"""Turn the frames of a decoder into pictures as people see them.

A file says more about its pictures than their pixels: that they are two half pictures of different times (interlaced),
that their pixels are no squares, that they lie on their side, that their colors are those of an HDR screen. All of it
is applied here, so that whoever gets a picture can forget about it.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Generic, TypeVar

import av
import cv2
import numpy as np
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from edgepose._checks import Array
from edgepose._progress import Note, silent
from edgepose.pose.geometry import Size

Tag = TypeVar("Tag")

PQ, HLG = 16, 18  # transfer functions of HDR, numbered as in ITU-T H.273
HDR = {PQ: "PQ", HLG: "HLG"}
# Bring HDR into the range and the colors of an ordinary screen; "perceptual" keeps bright parts apart.
_TO_SDR = ("scale", "out_transfer=bt709:out_primaries=bt709:out_color_matrix=bt709:intent=perceptual")
_YADIF = ("yadif", "mode=send_frame:deint=interlaced")  # one picture of each frame; whole frames pass unchanged
WIDEST_PIXEL = 8  # a pixel that is said to be wider or higher than this is a mistake of the file
DISPLAY_MATRIX = "DISPLAYMATRIX"


class Filters(Generic[Tag]):
    """Deinterlaces frames, and brings HDR into the ordinary range, where they need it.

    The deinterlacer looks at the next frame too, so that frames come out one later than they went in. Each is given
    with a tag, which comes out with it.

    Args:
        name: The name of the source in notes.
        note: Receives one line when the first interlaced frame comes, and one when the first HDR frame comes.
    """

    def __init__(self, name: str, note: Note = silent) -> None:
        self._name, self._note = name, note
        self._needed: tuple[tuple[str, str], ...] = ()
        self._graph: av.filter.Graph | None = None
        self._shape: tuple[object, ...] = ()
        self._tags: deque[Tag] = deque()

    def push(self, frame: VideoFrame, trc: int, tag: Tag) -> Iterator[tuple[VideoFrame, Tag]]:
        """Take one frame and yield those that are finished.

        Args:
            frame: The decoded frame.
            trc: Its transfer function, numbered as in ITU-T H.273.
            tag: Anything that belongs to the frame.
        """
        self._notice(frame, trc)
        if not self._needed:
            yield frame, tag
            return
        shape = (frame.width, frame.height, frame.format.name, self._needed)
        if self._graph is not None and shape != self._shape:
            yield from self.flush()
        if self._graph is None:
            self._graph, self._shape = _graph(frame, self._needed), shape
        self._tags.append(tag)
        self._graph.push(frame)
        yield from self._pull(self._graph)

    def flush(self) -> Iterator[tuple[VideoFrame, Tag]]:
        """Yield the frames that are still inside; the next frame begins anew."""
        graph, self._graph = self._graph, None
        if graph is not None:
            graph.push(None)
            yield from self._pull(graph)
        self._tags.clear()

    def _pull(self, graph: av.filter.Graph) -> Iterator[tuple[VideoFrame, Tag]]:
        while self._tags:
            try:
                frame = graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            assert isinstance(frame, VideoFrame)
            yield frame, self._tags.popleft()

    def _notice(self, frame: VideoFrame, trc: int) -> None:
        if frame.interlaced_frame and _YADIF not in self._needed:
            self._note(f"{self._name}: interlaced; deinterlaced with yadif")
            self._needed = (_YADIF, *self._needed)
        if trc in HDR and _TO_SDR not in self._needed:
            self._note(f"{self._name}: HDR ({HDR[trc]}); the colors are brought into the ordinary range")
            self._needed = (*self._needed, _TO_SDR)


def _graph(frame: VideoFrame, filters: tuple[tuple[str, str], ...]) -> av.filter.Graph:
    graph = av.filter.Graph()
    base = frame.time_base or Fraction(1, 90000)
    first = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=base)
    graph.link_nodes(first, *(graph.add(name, args) for name, args in filters), graph.add("buffersink")).configure()
    return graph


class Converter:
    """Converts frames to upright BGR pictures with square pixels.

    Args:
        pixel_aspect: Width of a pixel divided by its height, as the container or the codec states it.
        threads: Threads of the conversion; 0 leaves the number to FFmpeg.
    """

    def __init__(self, pixel_aspect: Fraction | None = None, threads: int = 0) -> None:
        known = pixel_aspect is not None and Fraction(1, WIDEST_PIXEL) <= pixel_aspect <= WIDEST_PIXEL
        self._aspect = pixel_aspect if known and pixel_aspect is not None else Fraction(1)
        self._threads = threads
        self._reformatter = VideoReformatter()  # one for all frames: it keeps its tables

    def size(self, frame: VideoFrame, turn: Turn) -> Size:
        """Return the (height, width) of the picture of a frame."""
        width = self._width(frame)
        return (width, frame.height) if turn.swaps else (frame.height, width)

    def _width(self, frame: VideoFrame) -> int:
        return max(1, round(frame.width * self._aspect))

    def array(self, frame: VideoFrame, turn: Turn) -> Array:
        """Return the picture of a frame, [H, W, 3] uint8 BGR."""
        width = self._width(frame)
        picture = self._reformatter.reformat(frame, width=width, format="bgr24", threads=self._threads)
        return turn.apply(_pixels(picture))


def _pixels(picture: VideoFrame) -> Array:
    """Return the pixels of a BGR frame, [H, W, 3] uint8, in the memory of the frame where its rows are not padded."""
    (plane,) = picture.planes
    if plane.line_size != 3 * picture.width:
        return np.asarray(picture.to_ndarray())
    return np.frombuffer(memoryview(plane), np.uint8).reshape(picture.height, picture.width, 3)


class Turn:
    """How a picture must be turned and mirrored to stand upright.

    Args:
        matrix: (a, b, c, d): the picture's x axis goes to (a, b) and its y axis to (c, d).
    """

    def __init__(self, matrix: tuple[float, float, float, float] = (1, 0, 0, 1)) -> None:
        a, b, c, d = matrix
        self.swaps = abs(b) + abs(c) > abs(a) + abs(d)  # width and height
        x, y = (c, b) if self.swaps else (a, d)
        self._mirror = (x < 0, y < 0)

    def apply(self, image: Array) -> Array:
        """Return the image, [H, W, 3], turned into its upright position; it may share memory with `image`."""
        if self.swaps:
            image = cv2.transpose(image)
        code = {(True, False): 1, (False, True): 0, (True, True): -1}.get(self._mirror)
        return np.asarray(image if code is None else cv2.flip(image, code))


def turn_of(frame: VideoFrame) -> Turn:
    """Return how a frame must be turned, as its display matrix says; a turn that is no quarter turn is rounded.

    The matrix is that of MP4 files: nine numbers, row by row, with 16 bits after the point in the first two columns.
    """
    data = frame.side_data.get(DISPLAY_MATRIX)
    if isinstance(data, SideData) and data.buffer_size >= 36:
        a, b, _, c, d, *_ = struct.unpack("=9i", bytes(data)[:36])
        if a * d - b * c:
            return Turn((a, b, c, d))
    return Turn()
