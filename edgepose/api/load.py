"""Load a model and find poses with it, in images, videos, cameras and streams."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from edgepose._checks import Array, check_array
from edgepose._progress import Note, Track, quiet, silent
from edgepose.api.cache import EngineChoice, compiled_folder, engine_folder
from edgepose.api.following import StreamOptions, check_score, people_of
from edgepose.backends.engine import open_engine
from edgepose.backends.session import OpenOptions, Session
from edgepose.errors import EngineError, UsageError
from edgepose.media.images import read_image
from edgepose.media.sources import open_source
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import Skeleton
from edgepose.runtime.finders import Finder, FinderOptions, open_finder
from edgepose.runtime.pipeline import open_pipeline
from edgepose.runtime.smoothing import SmoothingOptions
from edgepose.runtime.stream import stream_poses
from edgepose.runtime.tracking import TrackingOptions

if TYPE_CHECKING:
    from edgepose.artifacts.manifest import Manifest
    from edgepose.artifacts.spec import ModelSpec
    from edgepose.runtime.pipeline import Pipeline

Image = str | Path | Array  # a file, or [H, W, 3] uint8 BGR
Images = list[Any] | tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class PosedFrame:
    """A frame of a stream with the poses in it.

    Attributes:
        index: Number of the frame, from 0; frames that a live source dropped are counted.
        name: File name of an image, else the name of the video with the number of the frame.
        image_id: Number that COCO results carry.
        time_s: Time since the first frame in seconds.
        image: [H, W, 3] uint8 BGR.
        poses: The poses in image coordinates.
    """

    index: int
    name: str
    image_id: int
    time_s: float
    image: Array
    poses: Poses


class PoseModel:
    """A network that is ready to find poses; `load` makes it.

    A model belongs to one thread at a time; load one for each thread. Close it, or use it in a `with` block, to free
    its memory.

    Attributes:
        path: The engine folder.
        manifest: The manifest of the engine: its backend, precision and versions.
        spec: The contract of the network.
        pipeline: The pipeline that crops, infers and decodes, for use in your own loop.
    """

    path: Path
    manifest: Manifest
    spec: ModelSpec
    pipeline: Pipeline

    def __init__(
        self,
        path: Path,
        session: Session,
        manifest: Manifest,
        *,
        flip_test: bool = False,
        threads: int = 0,
        detector: str | None = None,
    ) -> None:
        self.path, self.manifest, self.spec = path, manifest, manifest.spec
        self._options = OpenOptions(threads=threads)
        with contextlib.ExitStack() as stack:
            stack.enter_context(session)
            opening = open_pipeline(session, self.spec, flip_test=flip_test, threads=threads)
            self.pipeline = stack.enter_context(opening)
            self._finder = self._enter_finder(stack, detector)
            self._stack = stack.pop_all()
        self._closed = False

    @property
    def skeleton(self) -> Skeleton:
        """The joints that the network finds."""
        return self.spec.skeleton

    @property
    def finds_people(self) -> bool:
        """Whether the network finds everyone in an image by itself, without boxes or a detector."""
        return self.pipeline.finds_people

    @property
    def slowed_by(self) -> str:
        """What keeps an engine on a GPU from its fastest pipeline; empty where nothing does."""
        return self.pipeline.slowed_by

    @overload
    def __call__(self, image: str | Path | Array, *, boxes: Array | None = None) -> Poses: ...

    @overload
    def __call__(self, image: Images, *, boxes: Sequence[Array] | None = None) -> list[Poses]: ...

    def __call__(self, image: Image | Images, *, boxes: Array | Sequence[Array] | None = None) -> Poses | list[Poses]:
        """Find the poses in an image or in several images.

        Args:
            image: A file, an array [H, W, 3] uint8 BGR, or a sequence of them. An array [N, H, W, 3] is a sequence.
            boxes: [P, 4] float, the bounding boxes (x0, y0, x1, y1) of the people in pixels; a sequence of such
                arrays for several images. Without boxes the model's detector finds the people; without a detector
                one person is expected to fill the image.

        Returns:
            The poses of an image, or a list of them for several images.

        Raises:
            DataError: An image cannot be read.
            UsageError: Boxes are given for a network that finds people by itself.
            EngineError: The model is closed.
            TypeError: `image` is none of these.
            ValueError: An array or the boxes have another shape or dtype, or the corners of a box are swapped.

        Examples:
            >>> pose("photo.jpg", boxes=[[10, 20, 110, 320]]).xy_image.shape
            (1, 14, 2)
        """
        if self._closed:
            raise EngineError(f"the model {self.path.name} is closed; load it again")
        if isinstance(image, (str, Path)):
            return self._poses(read_image(Path(image)), Path(image).name, boxes)
        if isinstance(image, np.ndarray) and image.ndim == 3:
            return self._poses(image, "", boxes)
        if isinstance(image, np.ndarray):
            check_array("image", image, ("N", "H", "W", 3) if image.ndim == 4 else ("H", "W", 3), np.uint8)
        elif not isinstance(image, (list, tuple)):
            raise TypeError(f"image: expected a file, a BGR array or a list of them, got {type(image).__name__}")
        given: Sequence[Array | None] = [None] * len(image) if boxes is None else list(boxes)
        if len(given) != len(image):
            raise ValueError(f"boxes: expected one array for each of {len(image)} images, got {len(given)}")
        return [self(one, boxes=its) for one, its in zip(image, given, strict=True)]

    def stream(
        self,
        source: str | Path,
        *,
        options: StreamOptions = StreamOptions(),
        tracking: TrackingOptions | None = None,
        smoothing: SmoothingOptions | None = None,
        track: Track = quiet,
        note: Note = silent,
    ) -> Iterator[PosedFrame]:
        """Find the poses in every frame of a source; reading the next frame overlaps with the work on this one.

        Args:
            source: An image, a folder of images, a video, "camera:0" or an address such as rtsp://.
            options: Who counts, who is who, and which frames are taken, as in `run`. Without `options.detector`, the
                detector that the model was loaded with finds the people.
            tracking: How people are followed where `options.track` is set; None takes the defaults.
            smoothing: How motion is smoothed where `options.smooth` is set; None takes the defaults.
            track: Shows the progress.
            note: Receives lines about the source, and after the last frame about detections and smoothing.

        Yields:
            The frames in order. A live source drops frames when they come faster than they are processed.

        Raises:
            DataError: The source cannot be read.
            TypeError: `source` is no text and no path.
            UsageError: The network finds people by itself, and a detector is given; or an option needs tracking.

        Examples:
            >>> people = StreamOptions(detector="people.onnx", track=True)
            >>> for frame in pose.stream("video.mp4", options=people):
            ...     print(frame.index, len(frame.poses))
        """
        if not isinstance(source, (str, Path)):
            kind = type(source).__name__
            raise TypeError(f"source: expected one file, folder, camera or address, got {kind}; use run for several")
        check_score(self.spec, options.det_score)
        with (
            open_source(
                str(source),
                recursive=options.recursive,
                selection=options.selection,
                threads=self._options.threads,
                note=note,
            ) as opened,
            self.finder(options.detector, least_score=options.det_score, classes=options.det_classes) as finder,
        ):
            people = people_of(self.spec, finder, options, tracking=tracking, smoothing=smoothing)
            frames = stream_poses(opened, self.pipeline, finder=people.finder, steps=people.steps, track=track)
            for frame, poses in frames:
                yield PosedFrame(
                    index=frame.index,
                    name=frame.name,
                    image_id=frame.image_id,
                    time_s=frame.time_s,
                    image=frame.image,
                    poses=poses,
                )
            for line in people.notes():
                note(line)

    @contextlib.contextmanager
    def finder(
        self, detector: str | None = None, *, least_score: float | None = None, classes: Sequence[str] = ()
    ) -> Iterator[Finder | None]:
        """Open the person finder of a stream: the given detector, or the one that the model was loaded with.

        Args:
            detector: The detector, as in `stream`.
            least_score: The score that a person must have for a given detector to report the person; None takes what
                its contract says.
            classes: The classes of the given detector that count as people; empty takes "person".
        """
        if self._closed:
            raise EngineError(f"the model {self.path.name} is closed; load it again")
        with contextlib.ExitStack() as stack:
            yield self._finder if detector is None else self._enter_finder(stack, detector, least_score, classes)

    def close(self) -> None:
        """Free the network. A closed model cannot be used again."""
        self._closed = True
        self._stack.close()

    def __enter__(self) -> PoseModel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        height, width = self.spec.input.size
        state = ", closed" if self._closed else ""
        return (
            f"<PoseModel {self.spec.name}: {self.manifest.backend} {self.manifest.precision}, input {height}x{width}, "
            f"{len(self.skeleton)} joints ({self.skeleton.name}){state}>"
        )

    def _enter_finder(
        self,
        stack: contextlib.ExitStack,
        detector: str | None,
        least_score: float | None = None,
        classes: Sequence[str] = (),
    ) -> Finder | None:
        if detector is None:
            return None
        if self.finds_people:
            raise UsageError(
                f"{self.path} finds people by itself (codec {self.spec.codec.name!r}); leave out --detector"
            )
        options = FinderOptions(threads=self._options.threads, least_score=least_score, classes=tuple(classes))
        return stack.enter_context(open_finder(detector, options))

    def _poses(self, image: Array, name: str, boxes: Array | Sequence[Array] | None) -> Poses:
        if boxes is not None:
            if self.finds_people:
                raise UsageError(
                    f"{self.path} finds people by itself (codec {self.spec.codec.name!r}); leave out the boxes"
                )
            return self.pipeline(image, _checked_boxes(boxes))
        return self.pipeline(image, *(self._finder(image, name, None) if self._finder else ()))


def _checked_boxes(boxes: Array | Sequence[Array]) -> Array:
    """Return boxes as [P, 4] float32; boxes in another form than (x0, y0, x1, y1) are refused where that shows."""
    given = np.asarray(boxes, np.float32)
    if given.size == 0:
        return np.zeros((0, 4), np.float32)
    check_array("boxes", given, ("P", 4))
    turned = (given[:, 2:] < given[:, :2]).any(axis=1)
    if turned.any():
        box = given[turned][0].tolist()
        raise ValueError(f"boxes: expected (x0, y0, x1, y1) with x0 <= x1 and y0 <= y1, got {box}")
    return given


def load(
    model: str | Path,
    *,
    precision: str | None = None,
    backend: str = "auto",
    threads: int = 0,
    spec: str | Path | None = None,
    calib: str | None = None,
    flip_test: bool = False,
    detector: str | Path | None = None,
    cache_dir: str | Path | None = None,
    check: bool = False,
    track: Track = quiet,
    note: Note = silent,
) -> PoseModel:
    """Load a model; a zoo model or an ONNX file is built once and opened from the cache folder afterwards.

    Args:
        model: A zoo name such as "lite", an ONNX file, or an engine folder.
        precision: fp32, fp16, int8 or int8-fp16. By default int8 where quantization scales ship with the model and
            the processor computes INT8 in integers, else fp32: see `edgepose.api.cache.default_precision`.
        backend: tensorrt, tensorrt_rtx, openvino or onnxruntime; "auto" is the fastest that can be used.
        threads: CPU threads; 0 lets the backend choose.
        spec: A spec.toml, the contract of an ONNX file that was trained elsewhere.
        calib: Calibration images as KIND:PATH[:SPLIT], for INT8.
        flip_test: Whether to average with the mirrored image: twice the work, slightly more accurate.
        detector: A person detector (ONNX file, folder or engine), or "whole"; by default one person fills the image.
        cache_dir: The cache folder; by default $EDGEPOSE_CACHE or the user's cache folder.
        check: Whether to run the acceptance sample of the engine, and refuse one that computes something else here
            than when it was built.
        track: Shows the progress of a build.
        note: Receives lines about a build.

    Returns:
        The model.

    Raises:
        EngineError: There is no such model, or an engine folder was made for another machine.
        UsageError: The options do not fit the model.
        MissingPackage: No backend is installed.

    Examples:
        >>> import edgepose
        >>> pose = edgepose.load("lite")
        >>> people = pose("photo.jpg")
    """
    opened = OpenOptions(threads=threads, check=check)
    finder = None if detector is None else str(detector)
    if finder is not None and finder.endswith(".json"):
        raise UsageError(f"the boxes of {finder} belong to one source: pass the file to stream() or run()")
    choice = EngineChoice(precision=precision, backend=backend, spec=Path(spec) if spec else None, calib=calib)
    folder = engine_folder(model, choice, cache_dir=cache_dir, track=track, note=note)
    cached = folder != Path(model)
    compiled = compiled_folder(cache_dir) if cached else None
    opened = replace(opened, compiled_dir=compiled and compiled / folder.name)
    try:
        session, manifest = open_engine(folder, opened)
    except EngineError:
        if not cached:
            raise
        folder = engine_folder(model, choice, cache_dir=cache_dir, rebuild=True, track=track, note=note)
        session, manifest = open_engine(folder, opened)
    return PoseModel(folder, session, manifest, flip_test=flip_test, threads=threads, detector=finder)
