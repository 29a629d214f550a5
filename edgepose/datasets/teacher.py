"""Joints that a teacher network found, and how they are combined with the labels of a data set.

A teacher file is a JSON file in COCO's format whose annotations have `teacher`: [x, y, confidence] for every joint of
its category. It belongs to the data sets whose image files it names. Its joints and those of the data set are matched
by name, so a data set with 14 joints and a teacher with 17 train one network with 17 joints.

The rule for one joint, where c is the teacher's confidence, limited to 1:

    only the teacher found it, c at least `floor`      teacher's position,   weight c
    only the data set labels it                        published position,   weight 1
    both, closer than `agree`                          between the two,      weight 1
    both, farther apart, or c below `floor`            published position,   weight (1 - c)^2

A teacher that is sure of another position therefore masks a published joint, because one of the two is wrong, often in
which side is left. Labels that were copied from the teacher confirm nothing: they weigh c.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgepose._checks import Array
from edgepose.datasets.cocojson import read_labels
from edgepose.datasets.fields import Entry
from edgepose.datasets.samples import PoseData, Sample, SampleList
from edgepose.datasets.targets import joints_in
from edgepose.errors import DataError
from edgepose.pose.geometry import FARTHEST_PX
from edgepose.pose.skeletons import SKELETONS, Skeleton

COPIED_PX = 1e-3  # Labels this close to the teacher's joints were copied from the same file.
LEAST_OVERLAP = 0.5  # intersection over union of the boxes of one person, where an image shows several
LEAST_AGREEMENT = 0.2  # A teacher file that agrees with fewer of the published joints belongs to other images.


@dataclass(frozen=True, kw_only=True)
class BlendOptions:
    """How the joints of a teacher and of a data set are combined, see the module's docstring.

    Attributes:
        agree: The largest distance at which two positions of a joint agree, as a fraction of the diagonal of the
            person's box.
        floor: The smallest confidence of a teacher's joint that is used.
        share: The teacher's share of the position where both agree: 0 for the published joint, 1 for the teacher's.
    """

    agree: float = 0.06
    floor: float = 0.3
    share: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the teacher found for one person.

    Attributes:
        xy_image: The joints, [K, 2] float64, image pixels.
        confidence: The confidences, [K] float64, 0 to 1.
        box_xyxy: The person's box in the teacher's file, [4] float64, image pixels.
    """

    xy_image: Array
    confidence: Array
    box_xyxy: Array


@dataclass(frozen=True, kw_only=True)
class TeacherFile:
    """The content of a teacher file.

    Attributes:
        path: The file.
        skeleton: The joints of the teacher.
        people: The people of each image, by the file name of the image.
    """

    path: Path
    skeleton: Skeleton
    people: Mapping[str, tuple[Found, ...]]


def read_teacher(path: Path) -> TeacherFile:
    """Read a teacher file.

    Args:
        path: A JSON file in COCO's format whose annotations have `teacher`.

    Raises:
        DataError: The file cannot be read, or an entry is wrong. The message names the entry.
    """
    labels = read_labels(path)
    skeleton = next((known for known in SKELETONS.values() if known.joints == labels.joints), None)
    if skeleton is None:
        raise DataError(f"{path}: its category has no joints of a built-in layout, which teacher labels need")
    names = {entry.get("id"): entry.get("file_name") for entry in labels.images}
    people: dict[str, list[Found]] = {}
    for entry in labels.annotations:
        name = names.get(entry.get("image_id"))
        if not isinstance(name, str):
            raise DataError(f"{path}: annotation {entry.get('id')}: there is no image {entry.get('image_id')!r}")
        people.setdefault(Path(name).name, []).append(_found(entry, len(skeleton), path))
    return TeacherFile(path=path, skeleton=skeleton, people={name: tuple(found) for name, found in people.items()})


def _found(entry: Entry, joints: int, path: Path) -> Found:
    values, box = (_numbers(entry.get(key)) for key in ("teacher", "bbox"))
    if values.shape != (joints, 3):
        raise DataError(
            f"{path}: annotation {entry.get('id')}: teacher must be {joints} x [x, y, confidence]; "
            "name only files whose annotations have this field"
        )
    if box.shape != (4,):
        raise DataError(f"{path}: annotation {entry.get('id')}: bbox must be [x, y, width, height]")
    confidence = values[:, 2].clip(0, 1)
    return Found(xy_image=values[:, :2], confidence=confidence, box_xyxy=np.concatenate([box[:2], box[:2] + box[2:]]))


def _numbers(value: object) -> Array:
    """Return a value of the file as an array, empty if it is not made of numbers that an image can contain."""
    try:
        numbers = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        return np.zeros(0)
    return numbers if (np.abs(numbers) <= FARTHEST_PX).all() else np.zeros(0)


def taught(
    data: Sequence[PoseData], files: Sequence[TeacherFile], skeleton: Skeleton, options: BlendOptions
) -> list[PoseData]:
    """Combine data sets with the joints of a teacher.

    Args:
        data: The data sets.
        files: The teacher files. Each must name images of one of the data sets.
        skeleton: The joints of the network.
        options: How the joints are combined.

    Returns:
        The data sets in the same order. One to which a teacher file belongs has the joints of the network and a
        confidence for each of them; the others are unchanged.

    Raises:
        DataError: A teacher file names no image of the data, two files name the same image, or the joints of a file
            are not those of the images.
    """
    used: set[Path] = set()
    combined = []
    for part in data:
        # Only label lists are matched: rendered figures have no file names, and reading a sample would render it.
        names = {sample.name for sample in part.samples} if isinstance(part, SampleList) else set()
        own = [file for file in files if names & file.people.keys()]
        if len(own) > 1:
            raise DataError(f"{own[0].path} and {own[1].path} name the same images of {part.name}; pass one of them")
        used |= {file.path for file in own}
        combined.append(_combined(part, own[0], skeleton, options) if own and isinstance(part, SampleList) else part)
    for file in files:
        if file.path not in used:
            raise DataError(f"{file.path} names no image of the training data; leave it out, or add its data set")
    return combined


def _combined(part: SampleList, file: TeacherFile, skeleton: Skeleton, options: BlendOptions) -> SampleList:
    rows = [skeleton.index(joint) for joint in skeleton.shared(file.skeleton)]
    theirs = [file.skeleton.index(joint) for joint in skeleton.shared(file.skeleton)]
    samples, agreements = [], []
    for sample in part.samples:
        found = _same_person(sample, file.people.get(sample.name, ()))
        xy, labeled = joints_in(sample, skeleton, part.skeleton)
        teacher_xy, confidence = np.zeros_like(xy), np.zeros(len(skeleton))
        if found is not None:
            teacher_xy[rows], confidence[rows] = found.xy_image[theirs], found.confidence[theirs]
        diagonal = float(np.linalg.norm(sample.box_xyxy[2:] - sample.box_xyxy[:2]))
        near = _near(xy, teacher_xy, options.agree * diagonal)
        agreements.append(near[labeled & (confidence >= options.floor)])
        xy, weight = blend(xy, labeled, teacher_xy, confidence, near, options)
        samples.append(_with_joints(sample, xy, weight))
    _refuse_other_images(part, file, np.concatenate(agreements))
    return replace(part, skeleton=skeleton, samples=tuple(samples))


def _near(a: Array, b: Array, distance: float) -> Array:
    return np.asarray(np.linalg.norm(a - b, axis=-1) <= distance)


def blend(
    xy: Array,  # [K, 2] float, published
    labeled: Array,  # [K] bool
    teacher_xy: Array,  # [K, 2] float
    confidence: Array,  # [K] float, 0 to 1
    near: Array,  # [K] bool
    options: BlendOptions,
) -> tuple[Array, Array]:
    """Combine the joints of one person, see the module's docstring.

    Args:
        xy: The published joints, [K, 2] float, image pixels.
        labeled: Which of them are labeled, [K] bool.
        teacher_xy: The teacher's joints, [K, 2] float, image pixels.
        confidence: Their confidences, [K] float, 0 to 1.
        near: Which joints are so close that they agree, [K] bool.
        options: The thresholds.

    Returns:
        The joints [K, 2] float64 in image pixels, and their weights [K] float64, 0 to 1.
    """
    sure = confidence >= options.floor
    agreed, alone = labeled & sure & near, ~labeled & sure
    copied = agreed & _near(xy, teacher_xy, COPIED_PX)
    share = np.select([agreed, alone], [options.share, 1.0], 0.0)[:, None]
    weight = np.select([copied | alone, agreed, labeled], [confidence, 1.0, (1 - confidence) ** 2], 0.0)
    return (1 - share) * xy + share * teacher_xy, weight


def _with_joints(sample: Sample, xy: Array, weight: Array) -> Sample:
    known = weight > 0
    return replace(
        sample,
        xy_image=np.where(known[:, None], xy, 0).astype(np.float32),
        labeled=known,
        occluded=np.zeros(len(known), bool),
        confidence=weight.astype(np.float32),
        ignore=sample.crowd or not known.any(),
    )


def _same_person(sample: Sample, people: Sequence[Found]) -> Found | None:
    """Return the person of the teacher's file with the same box, or the only person of an image."""
    if len(people) < 2:
        return people[0] if people else None
    best = max(people, key=functools.partial(_overlap, sample))
    return best if _overlap(sample, best) >= LEAST_OVERLAP else None


def _overlap(sample: Sample, found: Found) -> float:
    """Return the intersection over union of the boxes of two people."""
    a, b = sample.box_xyxy.astype(np.float64), found.box_xyxy
    both = float(np.prod((np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])).clip(0)))
    areas = float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]))
    return both / max(areas - both, 1e-9)


def _refuse_other_images(part: SampleList, file: TeacherFile, agrees: Array) -> None:
    """Refuse a file whose joints are elsewhere for most people: files of two data sets can have the same names."""
    if len(agrees) and agrees.mean() < LEAST_AGREEMENT:
        raise DataError(
            f"{file.path} does not belong to {part.name}: only {agrees.mean():.0%} of its joints are where the "
            "published ones are, although the images have the same names"
        )
