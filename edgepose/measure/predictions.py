"""Running an engine over a data set: on the labeled boxes, or on the boxes of a detector.

Who gets a prediction on labeled boxes: people that are not ignored and have at least one joint labeled. The
others get none, as in the top-down literature's evaluation with ground-truth boxes; OKS knows them as ignored.

On detected boxes every image is looked at, those with nobody in them too, and AP is that of the papers (Xiao et
al., ECCV 2018; HRNet, CVPR 2019): a person's score is the box's times the mean of the joint scores above 0.2,
and of two predictions of one person the better stays (`metrics/suppress.py`).

A network that finds people by itself (part affinity fields, `runtime/bottomup.py`) is asked about every image too. Its
groups have scores of their own and share no joint, so they are taken as they are (Cao et al., CVPR 2017).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgepose._checks import Array, check_array
from edgepose._progress import Track, quiet
from edgepose.artifacts.spec import ModelSpec
from edgepose.datasets.samples import Picture, PoseData, Sample, pictures, refuse_outside
from edgepose.pose.geometry import crop_affine
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import Skeleton

# image [H, W, 3] uint8 BGR, boxes_xyxy [M, 4] float32 -> M people
Run = Callable[[Array, Array], Poses]
# image [H, W, 3] uint8 BGR -> everyone in it; a joint that was not found has score 0
RunAll = Callable[[Array], Poses]
# the boxes of an image: (boxes_xyxy [M, 4] float32, scores [M] float32)
Boxes = Callable[[Picture, Array], tuple[Array, Array]]


@dataclass(frozen=True, kw_only=True)
class Engine:
    """What a prediction is of: the engine's folder, and what its manifest says."""

    path: str
    precision: str
    backend: str
    onnx_sha256: str
    skeleton: Skeleton


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What one engine predicted on labeled boxes, one row for each sample of the data set, in its order.

    xy_image: [N, K, 2], K the joints of the engine's skeleton; NaN where nothing was predicted. scores: [N, K].
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
    """What one engine predicted where it or a detector found people, D of them; `image` counts as `pictures(data)`.

    grouped: the network found the people itself, and `box_scores` say how sure it is of the whole person.
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


def collect(run: Run, data: PoseData, engine: Engine, track: Track = quiet) -> Predictions:
    """Run an engine on every labeled person's box, one call an image. DataError for an unreadable image.

    Samples that are ignored or have no label are left out: NaN.
    """
    samples = [data[i] for i in range(len(data))]
    joints = len(engine.skeleton)
    xy = np.full((len(samples), joints, 2), np.nan)
    scores = np.zeros((len(samples), joints))
    groups = list(_by_image(samples))
    for group in track(groups, f"eval {engine.path}", len(groups)):
        boxes = np.stack([samples[i].box_xyxy for i in group]).astype(np.float32)
        image = samples[group[0]].read()
        for i in group:
            refuse_outside(samples[i], (image.shape[0], image.shape[1]))
        poses = run(image, boxes)
        check_array("poses.xy_image", poses.xy_image, (len(group), joints, 2))
        xy[group], scores[group] = poses.xy_image, poses.scores
    return Predictions(engine=engine, xy_image=xy, scores=scores)


def _by_image(samples: Sequence[Sample]) -> Iterator[list[int]]:
    """Indices of neighboring samples of one image that are to be predicted."""
    wanted = [i for i, sample in enumerate(samples) if not sample.ignore and sample.labeled.any()]
    for _, group in itertools.groupby(wanted, lambda i: (samples[i].image_id, samples[i].name)):
        yield list(group)


def collect_detected(
    run: Run,
    boxes: Boxes,
    data: PoseData,
    engine: Engine,
    spec: ModelSpec,
    *,
    source: str,
    track: Track = quiet,
) -> Detected:
    """Run an engine on every box that `boxes` finds in every image; `source` names it in the result."""
    every = pictures(data)
    found: list[_Found] = []
    for i, picture in enumerate(track(every, f"eval {engine.path}", len(every))):
        image = picture.read()
        people, box_scores = boxes(picture, image)
        if len(people):
            poses = run(image, people)
            area = np.array([_seen_px2(box, spec) for box in people])
            found.append((np.full(len(people), i), poses.xy_image, poses.scores, box_scores, area))
    return _detected(found, engine, source)


def collect_everyone(run: RunAll, data: PoseData, engine: Engine, track: Track = quiet) -> Detected:
    """Run an engine that finds people itself on every image. Joints that it did not find are NaN."""
    every = pictures(data)
    found: list[_Found] = []
    for i, picture in enumerate(track(every, f"eval {engine.path}", len(every))):
        poses = run(picture.read())
        xy = np.where(poses.scores[..., None] > 0, poses.xy_image, np.nan)
        sides = poses.boxes_xyxy[:, 2:] - poses.boxes_xyxy[:, :2]
        found.append((np.full(len(poses), i), xy, poses.scores, poses.box_scores, sides.prod(axis=1)))
    return replace(_detected(found, engine, "the network itself"), grouped=True)


# image, xy_image, scores, box_scores, area of the people in an image
_Found = tuple[Array, Array, Array, Array, Array]


def _detected(found: list[_Found], engine: Engine, source: str) -> Detected:
    joints = len(engine.skeleton)
    nothing = (np.zeros(0), np.zeros((0, joints, 2)), np.zeros((0, joints)), np.zeros(0), np.zeros(0))
    image_of, xy, scores, box_scores, area = (
        np.concatenate(parts) for parts in zip(*(found or [nothing]), strict=True)
    )
    return Detected(
        engine=engine,
        boxes=source,
        image=image_of.astype(np.int64),
        xy_image=xy.astype(np.float64),
        scores=scores.astype(np.float64),
        box_scores=box_scores.astype(np.float64),
        area=area,
    )


def _seen_px2(box_xyxy: Array, spec: ModelSpec) -> float:
    """How many square pixels of the image are in a box's crop."""
    matrix = crop_affine(box_xyxy, spec.input.size, padding=spec.crop.padding)
    height, width = spec.input.size
    return float(height * width / abs(np.linalg.det(matrix[:, :2])))
