"""The size of an overlay video of pictures that differ in size."""

from __future__ import annotations

import contextlib
import struct
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import imagesize

from edgepose.errors import DataError
from edgepose.media import heif
from edgepose.media.images import read_image
from edgepose.pose.geometry import Size

MIXED_EDGE = 4096  # longest edge of a canvas for pictures of many sizes
TINY_EDGE = 16  # nobody sees a pose in a picture that is smaller
_DECODED = (".webp", *heif.SUFFIXES)  # imagesize does not see how these are turned or cropped
_UNREADABLE = (OSError, ValueError, TypeError, IndexError, KeyError, OverflowError, struct.error)


def canvas_of(paths: Sequence[Path]) -> Size | None:
    """Choose the size of a video that shows pictures of several sizes.

    It is the size that more than half of the pictures have. Where there is none, it is the greatest height and the
    greatest width, so that every picture fits, after those with an edge longer than `MIXED_EDGE` were scaled down to
    it. Tiny pictures, whose edges are all shorter than `TINY_EDGE`, do not count where there are others.

    Args:
        paths: The image files. Those that cannot be read do not count.

    Returns:
        (height, width), or None where no file can be read.
    """
    sizes = Counter(size for path in paths if (size := size_of(path)) is not None)
    if not sizes:
        return None
    sizes = Counter({size: count for size, count in sizes.items() if max(size) >= TINY_EDGE}) or sizes
    most, count = sizes.most_common(1)[0]
    if 2 * count > sizes.total():
        return most
    scaled = [(h * scale, w * scale) for h, w in sizes for scale in [min(1.0, MIXED_EDGE / max(h, w))]]
    return round(max(h for h, _ in scaled)), round(max(w for _, w in scaled))


def size_of(path: Path) -> Size | None:
    """Return the (height, width) of an image as `read_image` gives it; None if unreadable.

    For most formats only the header is read. A PNG file that EXIF data turns counts as not turned.
    """
    width = height = -1
    if path.suffix.lower() not in _DECODED:
        with contextlib.suppress(*_UNREADABLE):
            width, height = imagesize.get(path)
    if width > 0 and height > 0:
        return height, width
    try:
        height, width = read_image(path).shape[:2]
    except DataError:
        return None
    return height, width
