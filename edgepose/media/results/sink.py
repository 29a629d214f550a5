"""`ResultSink`, what an output is while a run goes on, and `RunFacts`, what outputs know of the run."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from edgepose._checks import Array
from edgepose._progress import Note, silent
from edgepose.media.sources import Frame
from edgepose.pose.geometry import Size
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import Skeleton

if TYPE_CHECKING:
    from edgepose.media.sound import Sound


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What the outputs of a run may ask about it.

    Attributes:
        name: The name of the source, without folder and suffix. Files in output folders begin with it.
        skeleton: The joints that every person has.
        fps: Frames per second of the source.
        threshold: Joints with a lower score are not drawn, and count as not found where a format has no scores.
        live: Whether the source is a camera or a live stream.
        draw: Draws the people of a frame over a copy of its picture, [H, W, 3] uint8 BGR.
        canvas: The (height, width) of a video of all frames, or None where the first frame decides it.
        video_codec: The codec of an overlay video; None takes the default of its container.
        sound: The sound of the film, to be copied into an overlay video.
        latencies_ms: The recent latency of each stage in milliseconds, by the name of the stage.
        dropped: How many frames of a live source were lost so far.
        note: Receives a line for the user.
    """

    name: str
    skeleton: Skeleton
    fps: float
    draw: Callable[[Frame, Poses], Array]
    threshold: float = 0.3
    live: bool = False
    canvas: Size | None = None
    video_codec: str | None = None
    sound: Sound | None = None
    latencies_ms: Callable[[], Mapping[str, float]] = dict
    dropped: Callable[[], int] = int
    note: Note = silent


class ResultSink(abc.ABC):
    """Takes the frames of a run with their people, in order, in one thread.

    It is a context manager. The end of the block completes the output, also after an error or a signal.
    """

    @abc.abstractmethod
    def write(self, frame: Frame, poses: Poses) -> None:
        """Append a frame and its people.

        Raises:
            EdgeposeError: The output cannot be written, for example because the disk is full.
        """

    @abc.abstractmethod
    def close(self, error: BaseException | None = None) -> None:
        """Complete the output; `error` is what ended the run early. A second call does nothing."""

    def __enter__(self) -> ResultSink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(error)


def worth_keeping(error: BaseException | None, frames: int, people: int) -> bool:
    """Return whether a run that `error` ended left a result.

    A run that fails before it found anybody, or is stopped before its first frame, leaves nothing, so that the results
    of an earlier run stay.
    """
    return error is None or bool(frames if isinstance(error, KeyboardInterrupt) else people)
