"""Where frames come from: images, folders of images, videos, cameras and streams.

`Frame` and `Source` are the whole interface that the rest of the package sees. `film` reads videos, `live` keeps
cameras and streams connected, and `feeds` and `gstreamer` open them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from edgepose._checks import Array
from edgepose._progress import Note, silent
from edgepose.errors import DataError, UsageError, printable, redact
from edgepose.media.folder import list_images
from edgepose.media.images import is_image
from edgepose.media.selection import ALL, Selection
from edgepose.pose.geometry import Size

if TYPE_CHECKING:
    from edgepose.media.sound import Sound

URL = re.compile(r"^(rtsp|rtsps|rtmp|http|https|udp|tcp)://", re.IGNORECASE)

# Files that are taken as films in folders. A file that is named alone may have any suffix.
VIDEO_SUFFIXES = (
    *(".3g2", ".3gp", ".asf", ".avi", ".f4v", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg"),
    *(".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
)


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One picture of a source.

    Attributes:
        index: The position in the source, from 0.
        name: The name of the frame in every output.
        image_id: The number of the frame in COCO results. It is the file name where the names of all files are
            different numbers, as COCO's are, and `index` otherwise.
        time_s: The time of the frame in seconds. In a film it is the time that the file gives the frame, after the
            first frame of the film; a live source counts from its first frame; images are 1 / fps apart.
        image: The pixels, [H, W, 3] uint8 BGR.
        source: The name of the source in a run of several; empty in a run of one.
    """

    index: int
    name: str
    image_id: int
    time_s: float
    image: Array
    source: str = ""


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

    @property
    def sound(self) -> Sound | None:
        """Where the sound is that belongs to the frames, or None where there is none."""
        ...

    @property
    def skipped(self) -> Sequence[str]:
        """The files of a folder that could not be read, or not to their end, so far, each with the reason."""
        ...

    def canvas(self) -> Size | None:
        """Return the (height, width) of a video of the frames, or None where the first frame decides it."""
        ...

    def __iter__(self) -> Iterator[Frame]: ...
    def close(self) -> None:
        """Release the source; a second call does nothing."""
        ...

    def __enter__(self) -> Source: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_source(
    text: str,
    *,
    recursive: bool = False,
    strict: bool = True,
    selection: Selection = ALL,
    threads: int = 0,
    note: Note = silent,
) -> Source:
    """Open a source of frames.

    Args:
        text: The path of an image, of a folder of images or of a video; `camera:N` or `/dev/videoN`; `csi:N` or
            `gst:PIPELINE` for GStreamer; or an address such as rtsp://.
        recursive: Whether to take the images in the sub-folders of a folder too, and the videos of all of them.
        strict: Whether an image or a video of a folder that cannot be read raises DataError. Otherwise it is left out,
            and `skipped` of the source lists it.
        selection: Which frames of a film or of a live source are taken. Of images, only `every` counts.
        threads: Threads of the video decoder; 0 takes one for each CPU.
        note: Receives a line about what is left out of a folder, and about what a video is: interlaced, HDR.

    Returns:
        The source. The caller closes it.

    Raises:
        DataError: The source does not exist or cannot be read.
        UsageError: The camera has no number, or images were asked for by time.
    """
    from edgepose.media import collection, feeds, film, gstreamer, stills

    if text.startswith(("gst:", "csi:")):
        return gstreamer.open_pipeline(text, selection=selection, threads=threads, note=note)
    if text.startswith(("camera:", "/dev/video")):
        return feeds.open_camera(text, selection=selection, threads=threads, note=note)
    if URL.match(text):
        return feeds.open_address(text, selection=selection, threads=threads, note=note)
    if not text.strip():  # which `Path` takes for the current folder
        raise UsageError("the source is empty; name an image, a folder, a video, a camera or an address")
    path = Path(text)
    if path.is_dir():
        _refuse_times(text, selection)
        found = list_images(path, recursive=recursive, also=VIDEO_SUFFIXES if recursive else (), films=VIDEO_SUFFIXES)
        for line in found.notes():
            note(line)
        if any(one.suffix.lower() in VIDEO_SUFFIXES for one in found.paths):
            return collection.CollectionSource(
                found.paths,
                path,
                broken=found.broken,
                strict=strict,
                selection=selection,
                threads=threads,
                note=note,
            )
        return stills.ImageSource(found.paths, folder=path, broken=found.broken, strict=strict, every=selection.every)
    if not path.is_file():
        raise DataError(
            f"no source {redact(text)!r}; expected an image, a folder of images, a video, camera:N, csi:N, "
            "gst:PIPELINE or an address rtsp://"
        )
    if is_image(path):
        _refuse_times(text, selection)
        return stills.ImageSource([path])
    return film.open_film(path, selection=selection, threads=threads, note=note)


def _refuse_times(text: str, selection: Selection) -> None:
    if selection.start_s or selection.end_s is not None:
        kind = "a folder" if Path(text).is_dir() else "an image"
        raise UsageError(f"--start and --end are times in one film, and {redact(text)} is {kind}; leave them out")


def source_name(text: str) -> str:
    """Return the name of a source for the names of output files: its last part without folder, suffix and password."""
    if re.match(r"(camera|csi):", text):
        return text.replace(":", "")
    if text.startswith("gst:"):
        return "gstreamer"
    if URL.match(text):
        from edgepose.media.feeds import stem_of_url

        return stem_of_url(text)
    path = Path(text).resolve()
    return printable(path.name if path.is_dir() else path.stem) or "frames"
