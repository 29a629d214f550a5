"""Where frames come from: images, folders of images, videos, cameras and streams.

`Frame` and `Source` are the whole interface that the rest of the package sees. Videos, cameras and streams are read by
`edgepose.media.capture`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

from edgepose._checks import Array
from edgepose.errors import DataError
from edgepose.media.images import SUFFIXES, images_in, read_image
from edgepose.pose.geometry import Size

URL = re.compile(r"^(rtsp|rtsps|rtmp|http|https|udp|tcp)://", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One picture of a source.

    Attributes:
        index: The position in the source, from 0.
        name: The name of the frame in every output.
        image_id: The number of the frame in COCO results. It is the file name where the names of all files are
            different numbers, as COCO's are, and `index` otherwise.
        time_s: The time of the frame in seconds. A live source counts from its first frame; any other source gives
            index / fps.
        image: The pixels, [H, W, 3] uint8 BGR.
    """

    index: int
    name: str
    image_id: int
    time_s: float
    image: Array


class Source(Protocol):
    """Frames in order.

    A live source cannot wait: when its reader is too slow, frames are lost, and `dropped` counts them.

    Attributes:
        fps: Frames per second.
        count: The number of frames, or None where it is not known.
        size: The (height, width) of all frames, or None where frames differ in size.
        live: Whether the source is a camera or a live stream.
        dropped: The number of frames that were lost.
    """

    fps: float
    count: int | None
    size: Size | None
    live: bool
    dropped: int

    def __iter__(self) -> Iterator[Frame]: ...
    def close(self) -> None:
        """Release the source; a second call does nothing."""
        ...

    def __enter__(self) -> Source: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_source(text: str) -> Source:
    """Open a source of frames.

    Args:
        text: The path of an image, of a folder of images or of a video, `camera:N`, or an RTSP or HTTP address.

    Returns:
        The source. The caller closes it.

    Raises:
        DataError: The source does not exist or cannot be read.
        UsageError: The camera has no number.
    """
    from edgepose.media import capture

    if text.startswith("camera:"):
        return capture.open_camera(text)
    if URL.match(text):
        return capture.open_stream(text)
    path = Path(text)
    if path.is_dir():
        return ImageSource(images_in(path))
    if not path.is_file():
        raise DataError(
            f"no source {text!r}; expected an image, a folder of images, a video, camera:N or an address rtsp://"
        )
    if path.suffix.lower() in SUFFIXES:
        return ImageSource([path])
    return capture.open_video(path)


class ImageSource:
    """Image files as frames, ten in a second. A damaged file raises the DataError of `read_image`."""

    fps = 10.0
    live = False

    def __init__(self, paths: list[Path]) -> None:
        self.paths, self.dropped = paths, 0
        self.count: int | None = len(paths)
        self.size: Size | None = None

    def __iter__(self) -> Iterator[Frame]:
        for index, (path, image_id) in enumerate(zip(self.paths, _image_ids(self.paths), strict=True)):
            seconds, image = index / self.fps, read_image(path)
            yield Frame(index=index, name=path.name, image_id=image_id, time_s=seconds, image=image)

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def __enter__(self) -> ImageSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _image_ids(paths: list[Path]) -> list[int]:
    """Return a different number for each file: its name where all names are numbers, else 0, 1, 2, ..."""
    stems = [path.stem for path in paths]
    if all(stem.isdecimal() for stem in stems) and len({int(stem) for stem in stems}) == len(stems):
        return [int(stem) for stem in stems]
    return list(range(len(paths)))
