"""Predictions of one engine on a data set: on labeled boxes, on the boxes of a person finder, or on whole images.

On labeled boxes, a prediction is made for people who are not ignored and have at least one labeled joint. The others
get none, as in the usual evaluation of top-down networks on ground-truth boxes; OKS treats them as ignored.

On found boxes every image is run, also images without people, and AP is that of the papers (Xiao et al., ECCV 2018;
HRNet, CVPR 2019): the score of a person is that of the box times the mean of the joint scores above 0.2, and of two
predictions of one person the better one stays (`metrics/suppress.py`).

A network that finds people by itself is also run on every image. Its people have scores of their own and share no
joint, so they are taken as they are (Cao et al., CVPR 2017), also those of a low score (`evaluated`).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgepose._checks import Array, check_array
from edgepose._progress import Track, quiet
from edgepose.artifacts.spec import ModelSpec
from edgepose.datasets.samples import Picture, PoseData, Sample, pictures, refuse_outside
from edgepose.kernels.cropping import crop_matrices
from edgepose.measure.boxes import with_corners
from edgepose.measure.shared_inputs import SharedInputs
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import Skeleton
from edgepose.runtime.finders import Finder, NumberedFinder
from edgepose.runtime.host import HostPipeline
from edgepose.runtime.pipeline import Pipeline

THE_NETWORK = "the network itself"


@dataclass(frozen=True, kw_only=True)
class Engine:
    """The engine that made a prediction.

    Attributes:
        path: Its folder.
        precision: The precision in its manifest.
        backend: The backend in its manifest.
        onnx_sha256: The hash of the network in its manifest.
        skeleton: The joints it predicts.
    """

    path: str
    precision: str
    backend: str
    onnx_sha256: str
    skeleton: Skeleton


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """The predictions of one engine on labeled boxes: one row for each sample of the data set, in its order.

    Attributes:
        engine: The engine.
        xy_image: Joints in image pixels, [N, K, 2] float; NaN where nothing was predicted.
        scores: Their scores, [N, K] float.
    """

    engine: Engine
    xy_image: Array  # [N, K, 2] float
    scores: Array  # [N, K] float

    def __post_init__(self) -> None:
        joints = len(self.engine.skeleton)
        n = check_array("xy_image", self.xy_image, ("N", joints, 2))["N"]
        check_array("scores", self.scores, (n, joints))


@dataclass(frozen=True, kw_only=True)
class Detected:
    """The predictions of one engine for the D people that a finder or the network itself found.

    Attributes:
        engine: The engine.
        boxes: What found the people.
        image: The image of each person, [D] int64, as an index into `pictures(data)`.
        xy_image: Joints in image pixels, [D, K, 2] float; NaN where a joint was not found.
        scores: Their scores, [D, K] float.
        box_scores: The scores of the boxes, [D] float.
        area: The area of the image that the network saw, [D] float, in square pixels.
        grouped: Whether the network found the people itself; `box_scores` are then the scores of whole people.
    """

    engine: Engine
    boxes: str  # what the boxes came from
    image: Array  # [D] int64
    xy_image: Array  # [D, K, 2] float
    scores: Array  # [D, K] float
    box_scores: Array  # [D] float
    area: Array  # [D] float, square pixels of the image that the network saw
    grouped: bool = False

    def __post_init__(self) -> None:
        joints = len(self.engine.skeleton)
        d = check_array("xy_image", self.xy_image, ("D", joints, 2))["D"]
        check_array("scores", self.scores, (d, joints))
        for name in ("image", "box_scores", "area"):
            check_array(name, getattr(self, name), (d,))


def evaluated(spec: ModelSpec) -> ModelSpec:
    """Return the contract that accuracy is measured with; only its codec differs, see `Codec.for_evaluation`.

    Args:
        spec: The contract of a network.
    """
    return replace(spec, codec=spec.codec.for_evaluation())


def predict(
    pipeline: Pipeline,
    data: PoseData,
    engine: Engine,
    *,
    finder: Finder | None = None,
    source: str = "",
    track: Track = quiet,
) -> Predictions | Detected:
    """Run an engine on a data set.

    Args:
        pipeline: The opened engine.
        data: The data set.
        engine: What the result says about the engine.
        finder: Finds the people of every image. None takes the labeled boxes, except for a network that finds people
            by itself.
        source: What the result calls the finder.
        track: Reports progress.

    Returns:
        `Detected` where the finder or the network finds the people, else `Predictions`.

    Raises:
        DataError: An image cannot be read, or a label cannot belong to its image.
    """
    if finder is not None:
        return collect_detected(pipeline, finder, data, engine, source=source, track=track)
    if pipeline.finds_people:
        return collect_everyone(pipeline, data, engine, track)
    return collect(pipeline, data, engine, track)


def collect(
    pipeline: Pipeline, data: PoseData, engine: Engine, track: Track = quiet, *, unlabeled: bool = False
) -> Predictions:
    """Run an engine on the box of every labeled person, with one call for each image.

    Samples that are ignored or have no labeled joint are left out, and their rows are NaN, unless `unlabeled` is set.

    Raises:
        DataError: An image cannot be read, or a label cannot belong to its image.
    """
    return collect_several(pipeline, [data], engine, track, unlabeled=unlabeled)[0]


def collect_several(
    pipeline: Pipeline,
    several: Sequence[PoseData],
    engine: Engine,
    track: Track = quiet,
    *,
    unlabeled: bool = False,
    shared: SharedInputs | None = None,
) -> list[Predictions]:
    """Run an engine on several sets of boxes of the same people; each image is read once, with one call for each set.

    Args:
        pipeline: The opened engine.
        several: Data sets of the same people in the same order, which differ in the boxes alone; at least one.
        engine: What the results say about the engine.
        track: Reports progress.
        unlabeled: Whether to run people too who are ignored or have no labeled joint; the rows of others are NaN.
        shared: Keeps the inputs of the first set for other graphs of the network.

    Returns:
        The predictions for each set of boxes.

    Raises:
        DataError: An image cannot be read, or a label cannot belong to its image.
    """
    samples = [[data[i] for i in range(len(data))] for data in several]
    joints, count = len(engine.skeleton), len(samples[0])
    xy = np.full((len(several), count, joints, 2), np.nan)
    scores = np.zeros((len(several), count, joints))
    groups = list(_by_image(samples[0], unlabeled))
    for group in track(groups, f"eval {engine.path}", len(groups)):
        read = _reader(samples[0], group)
        for number, people in enumerate(samples):
            boxes = np.stack([people[i].box_xyxy for i in group]).astype(np.float32)
            poses = _poses(pipeline, read, boxes, group[0], shared if number == 0 else None)
            check_array("poses.xy_image", poses.xy_image, (len(group), joints, 2))
            xy[number, group], scores[number, group] = poses.xy_image, poses.scores
    return [Predictions(engine=engine, xy_image=xy[i], scores=scores[i]) for i in range(len(several))]


def _reader(samples: Sequence[Sample], group: Sequence[int]) -> Callable[[], Array]:
    """Return what reads the image of a group of samples once, and checks their labels."""

    @functools.cache
    def read() -> Array:
        image = samples[group[0]].read()
        for i in group:
            refuse_outside(samples[i], (image.shape[0], image.shape[1]))
        return image

    return read


def _poses(
    pipeline: Pipeline, read: Callable[[], Array], boxes_xyxy: Array | None, key: int, shared: SharedInputs | None
) -> Poses:
    """Find the poses in an image, by kept inputs where these are shared."""
    if shared is not None and isinstance(pipeline, HostPipeline):
        return shared.poses(pipeline, key, read, boxes_xyxy)
    return pipeline(read(), boxes_xyxy)


def _by_image(samples: Sequence[Sample], unlabeled: bool) -> Iterator[list[int]]:
    """Yield the indices of neighboring samples of one image for which a prediction is made."""
    wanted = [i for i, sample in enumerate(samples) if unlabeled or (not sample.ignore and sample.labeled.any())]
    for _, group in itertools.groupby(wanted, lambda i: (samples[i].image_id, samples[i].name)):
        yield list(group)


def collect_detected(
    pipeline: Pipeline,
    finder: Finder,
    data: PoseData,
    engine: Engine,
    *,
    source: str,
    track: Track = quiet,
) -> Detected:
    """Run an engine on every box that a finder finds in every image.

    Args:
        pipeline: The opened engine.
        finder: Finds the people. The images do not follow each other in time, so it sees no previous poses.
        data: The data set.
        engine: What the result says about the engine.
        source: What the result calls the finder.
        track: Reports progress.

    Raises:
        DataError: An image cannot be read.
    """
    every = pictures(data)
    if isinstance(finder, NumberedFinder):
        finder.number_frames({picture.name: picture.image_id for picture in every})
    found = []
    for i, image in _images(every, engine, track):
        boxes, box_scores = finder(image, every[i].name, None)
        if len(boxes):
            found.append(_Found(i, pipeline(image, boxes, box_scores), seen_px2(boxes, pipeline.spec)))
    return _detected(found, engine, source, grouped=False)


def collect_everyone(pipeline: Pipeline, data: PoseData, engine: Engine, track: Track = quiet) -> Detected:
    """Run an engine that finds people by itself on every image. Joints that it did not find are NaN.

    Raises:
        DataError: An image cannot be read.
    """
    return collect_everyone_several(pipeline, [data], engine, track)[0]


def collect_everyone_several(
    pipeline: Pipeline,
    several: Sequence[PoseData],
    engine: Engine,
    track: Track = quiet,
    *,
    shared: SharedInputs | None = None,
) -> list[Detected]:
    """Run an engine that finds people by itself on every image of several sets. Joints that it did not find are NaN.

    Args:
        pipeline: The opened engine.
        several: Data sets with as many images, such as `moved_images.with_borders` makes them; at least one. Image
            after image, that of each set is run.
        engine: What the results say about the engine.
        track: Reports progress.
        shared: Keeps the inputs of the first set for other graphs of the network.

    Returns:
        The people in each set.

    Raises:
        DataError: An image cannot be read.
    """
    every = [pictures(data) for data in several]
    found: list[list[_Found]] = [[] for _ in several]
    for i in track(range(len(every[0])), f"eval {engine.path}", len(every[0])):
        for number, images in enumerate(every):
            poses = with_corners(_poses(pipeline, images[i].read, None, i, shared if number == 0 else None))
            sides = poses.boxes_xyxy[:, 2:] - poses.boxes_xyxy[:, :2]
            found[number].append(_Found(i, poses, sides.prod(axis=1)))
    result = [_detected(people, engine, THE_NETWORK, grouped=True) for people in found]
    for detected in result:
        detected.xy_image[detected.scores <= 0] = np.nan
    return result


def _images(every: Sequence[Picture], engine: Engine, track: Track) -> Iterator[tuple[int, Array]]:
    for i, picture in enumerate(track(every, f"eval {engine.path}", len(every))):
        yield i, picture.read()


@dataclass(frozen=True)
class _Found:
    """The people of an image: its index, their poses, and the areas that the network saw, [M]."""

    image: int
    poses: Poses
    area: Array


def _detected(found: Sequence[_Found], engine: Engine, source: str, *, grouped: bool) -> Detected:
    every = [_Found(0, Poses.empty(engine.skeleton), np.zeros(0)), *found]  # there may be no image, and nobody
    return Detected(
        engine=engine,
        boxes=source,
        image=np.concatenate([np.full(len(one.poses), one.image, np.int64) for one in every]),
        xy_image=np.concatenate([one.poses.xy_image for one in every]).astype(np.float64),
        scores=np.concatenate([one.poses.scores for one in every]).astype(np.float64),
        box_scores=np.concatenate([one.poses.box_scores for one in every]).astype(np.float64),
        area=np.concatenate([one.area for one in every]),
        grouped=grouped,
    )


def seen_px2(boxes_xyxy: Array, spec: ModelSpec) -> Array:
    """Return the area of the image that the crop of each box [N, 4] shows, [N] float64, in square pixels."""
    height, width = spec.input.size
    return np.asarray(height * width / np.abs(np.linalg.det(crop_matrices(boxes_xyxy, spec)[:, :, :2])))
