"""Pictures with the poses drawn over them, one file per frame.

A picture keeps its name; a frame of a video or a camera becomes a JPEG file of its name.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import cv2

from edgepose.errors import EdgeposeError
from edgepose.media.results.folder import ResultFolder
from edgepose.media.results.sink import ResultSink, RunFacts
from edgepose.media.sources import Frame
from edgepose.pose.poses import Poses

QUALITY = 92  # of JPEG and WebP, in percent
_JPEG, _WEBP = [cv2.IMWRITE_JPEG_QUALITY, QUALITY], [cv2.IMWRITE_WEBP_QUALITY, QUALITY]
# suffix -> options of the encoder; pictures of other formats become JPEG files
ENCODED: dict[str, list[int]] = {".jpg": _JPEG, ".jpeg": _JPEG, ".png": [], ".bmp": [], ".webp": _WEBP}


class Pictures(ResultSink):
    """A folder of drawings."""

    def __init__(self, path: Path, about: RunFacts) -> None:
        self._folder = ResultFolder(path, about, "pictures with the poses drawn in")
        self._draw = about.draw

    def write(self, frame: Frame, poses: Poses) -> None:
        """Draw and write a frame."""
        name = file_name(frame.name)
        suffix = PurePosixPath(name).suffix.lower()
        good, data = cv2.imencode(suffix, self._draw(frame, poses), ENCODED[suffix])
        if not good:
            raise EdgeposeError(f"frame {frame.name} cannot be encoded as {suffix}")
        self._folder.write(name, data.tobytes())

    def close(self, error: BaseException | None = None) -> None:
        """Do no more than make the folder: every file is complete."""
        self._folder.finish(error)


def file_name(frame_name: str) -> str:
    """Return the name of the picture of a frame. `a.tif` becomes `a.tif.jpg`, so that it does not meet `a.jpg`."""
    suffix = PurePosixPath(frame_name).suffix.lower()
    return frame_name if suffix in ENCODED else f"{frame_name}.jpg"


def open_sink(place: Path, about: RunFacts) -> ResultSink:
    """Open a folder of drawings."""
    return Pictures(place, about)
