"""Pose networks of Ultralytics: YOLOv8, 11, 12 and 26, as `model.export(format="onnx")` writes them.

The metadata says `task` = pose, `kpt_shape` and `imgsz`, as Python literals. The output is [N, 4 + classes + K * D, A]
of centers, sizes, scores and joints, which are to be suppressed; or [N, 300, 6 + K * D] of corners, score, class and
joints, which are suppressed inside (`nms=True`) or need not be (`end2end`). D is 3, or 2 for joints without a score.
Poses of several classes are suppressed together, since the class is not part of a pose.

Without metadata, an output of one class is taken if it has one row for each cell of the strides 8, 16 and 32. What
DeepStream's exporter makes of these networks has the two axes exchanged, and corners instead of centers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgepose.artifacts.spec import CropSpec, InputSpec, ModelSpec
from edgepose.codecs.onestage import OnestageCodec
from edgepose.errors import SpecError
from edgepose.graph.adapters.onestage import ultralytics_end2end, ultralytics_raw
from edgepose.recognize.candidate import METADATA, SHAPES, Candidate, Guess, Recognized
from edgepose.recognize.literals import USUAL, is_whole, literal, size_of
from edgepose.recognize.naming import name_of
from edgepose.recognize.ports import Image, float_image, output_shapes, outputs_of_noise, with_stated
from edgepose.recognize.skeletons import skeleton_of

if TYPE_CHECKING:
    import onnx

    from edgepose.pose.geometry import Size
    from edgepose.pose.skeletons import Skeleton

GRAY = 114  # the level around the image
SCORE, IOU, PEOPLE = 0.25, 0.7, 300  # of Ultralytics' predict mode
STRIDES = ((8, 16, 32), (8, 16, 32, 64))
FEWEST = 4  # joints of a pose
BOX = 5  # center, size and the score of one class
COUNTS = (13, 14, 16, 17, 21, 26, 133)  # joints that a network without metadata may have


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the metadata of a network says.

    Attributes:
        joints: The number of joints.
        dims: The numbers of each joint: x, y, and 3 with a score.
        classes: The number of classes.
        names: The names of the joints; empty where they are not stated.
    """

    joints: int
    dims: int
    classes: int
    names: tuple[str, ...]


class UltralyticsPose:
    """YOLO pose networks of Ultralytics, by their metadata."""

    name = "ultralytics-pose"

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Recognize a network whose metadata says that it finds poses, see `registry.Family.recognize`."""
        if candidate.metadata.get("task") != "pose" or "kpt_shape" not in candidate.metadata:
            return None
        said = _said(candidate)
        image = float_image(candidate)
        size, sized = (USUAL, ()) if image is None else size_of(candidate, image)
        shape = None if image is None else _only_shape(candidate, image, size)
        if image is None or shape is None:
            raise SpecError(
                f"{candidate.path}: its metadata says that it is a pose network of Ultralytics, but it does not take "
                "one image [N, 3, H, W] of floats and give one output; export it again"
            )
        model, suppressed = _rewritten(candidate, shape, said)
        trained_on = candidate.metadata.get("description", "").partition("trained on")[2]
        skeleton, guesses = skeleton_of(said.joints, said.names, trained_on)
        spec = _contract(candidate, image, size, model, skeleton, suppressed=suppressed)
        guesses = (*guesses, *_unread(candidate, skeleton.name), *sized, *_across(said, suppressed))
        return Recognized(family=self.name, source=METADATA, model=model, spec=spec, guesses=guesses)


class UltralyticsShapes:
    """YOLO pose networks of Ultralytics that lost their metadata, and DeepStream's exports of them."""

    name = "ultralytics-pose-shapes"

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Recognize the number of rows and columns, see `registry.Family.recognize`."""
        image = float_image(candidate)
        if image is None or len(candidate.outputs) != 1 or candidate.metadata.get("task") not in (None, "pose"):
            return None
        size = image.sized(USUAL)
        shape = _only_shape(candidate, image, size)
        joints = 0 if shape is None else _joints_of(shape, size)
        if shape is None or not joints:
            return None
        transposed = shape[2] == BOX + 3 * joints
        if transposed and not _in_pixels(candidate, image, size):
            return None
        stated = with_stated(candidate.model, {candidate.outputs[0].name: shape})
        model = ultralytics_raw(stated, 1, joints, 3, transposed=transposed)
        skeleton, about = skeleton_of(joints)
        guesses = (*_usual(), *about)
        if image.size is None:
            reason = "the usual size, as the graph takes images of any size"
            guesses += (Guess(field="input.size", value=f"{list(size)}", reason=reason),)
        spec = _contract(candidate, image, size, model, skeleton, suppressed=False)
        return Recognized(family=self.name, source=SHAPES, model=model, spec=spec, guesses=guesses)

    def near(self, candidate: Candidate) -> str | None:
        """Say why an output of as many rows as cells is not taken, see `registry.Explaining.near`."""
        image = float_image(candidate)
        if image is None or len(candidate.outputs) != 1:
            return None
        size = image.sized(USUAL)
        shape = _only_shape(candidate, image, size)
        if shape is None or not any(count in _anchors(size) for count in shape[1:]):
            return None
        columns = next(other for count, other in (shape[1:], shape[:0:-1]) if count in _anchors(size))
        if columns < BOX + 3 * FEWEST or columns % 3 == 1:  # 5 + 3 * K, or 6 + 3 * K with an objectness
            return None  # a detector, whose columns are classes
        return (
            f"each cell has {columns} numbers, and networks of one class have 5 + 3 * K for K joints of a usual "
            f"skeleton ({', '.join(map(str, COUNTS))})"
        )


def _only_shape(candidate: Candidate, image: Image, size: Size) -> tuple[int, ...] | None:
    """Return the shape of the only output, if it has three axes."""
    if len(candidate.outputs) != 1:
        return None
    (shape,) = output_shapes(candidate, image, size).values() or ((),)
    return shape if len(shape) == 3 else None


def _rewritten(candidate: Candidate, shape: tuple[int, ...], said: Said) -> tuple[onnx.ModelProto, bool]:
    """Return the rewritten graph, and whether people are suppressed inside."""
    numbers = said.joints * said.dims
    model = with_stated(candidate.model, {candidate.outputs[0].name: shape})
    if shape[1] == 4 + said.classes + numbers:
        return ultralytics_raw(model, said.classes, said.joints, said.dims), False
    if shape[2] == 6 + numbers:
        return ultralytics_end2end(model, said.joints, said.dims), True
    raise SpecError(
        f"{candidate.path}: its metadata says {said.classes} classes{_assumed(candidate)} and "
        f"{said.joints} joints of {said.dims} numbers, "
        f"so that its output is [1, {4 + said.classes + numbers}, A] or [1, 300, {6 + numbers}], but it is "
        f"{list(shape)}; export it again"
    )


def _assumed(candidate: Candidate) -> str:
    """Say that the number of classes is assumed where `names` cannot be read."""
    return "" if _classes(candidate) else " (assumed, as its `names` are missing or cannot be read)"


def _contract(
    candidate: Candidate, image: Image, size: Size, model: onnx.ModelProto, skeleton: Skeleton, *, suppressed: bool
) -> ModelSpec:
    return ModelSpec(
        name=name_of(candidate),
        skeleton=skeleton,
        input=InputSpec(
            name=image.name, size=size, color="rgb", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), scale=1 / 255,
            dtype=image.dtype,
        ),
        codec=OnestageCodec(
            score_threshold=SCORE, iou_threshold=None if suppressed else IOU, max_people=PEOPLE
        ),
        crop=CropSpec(padding=1.0, border_value=GRAY, place="center", resize="round"),
        outputs=(model.graph.output[0].name,),
    )  # fmt: skip


def _joints_of(shape: tuple[int, ...], size: Size) -> int:
    """Return the number of joints of an output of one class, [1, 5 + 3 K, A] or its transpose; 0 for any other."""
    for columns, rows in (shape[1:], shape[:0:-1]):
        joints, rest = divmod(columns - BOX, 3)
        if rows in _anchors(size) and rest == 0 and joints in COUNTS:
            return joints
    return 0


def _in_pixels(candidate: Candidate, image: Image, size: Size) -> bool:
    """Whether the numbers behind the score are places and no scores of classes, as a YOLOX detector has them there."""
    (rows,) = outputs_of_noise(candidate, image, size).values() or (np.zeros((1, 1, BOX)),)
    return bool(np.abs(rows[..., BOX:]).max(initial=0.0) > 1)


def _anchors(size: Size) -> tuple[int, ...]:
    """Return the numbers of cells of all strides that published networks have."""
    return tuple(sum((size[0] // stride) * (size[1] // stride) for stride in strides) for strides in STRIDES)


def _usual() -> tuple[Guess, ...]:
    why = "that of Ultralytics, as the output has the shape of its networks and there is no metadata"
    return (
        Guess(field="input.color", value="rgb", reason=why),
        Guess(field="input.mean", value="[0, 0, 0]", reason=why),
        Guess(field="input.std", value="[1, 1, 1]", reason=why),
        Guess(field="input.scale", value="1 / 255", reason=why),
        Guess(field="crop.resize", value="round", reason=why),
    )


def _said(candidate: Candidate) -> Said:
    """Read the metadata.

    Raises:
        SpecError: `kpt_shape` is no pair of a number of joints and 2 or 3.
    """
    shape = literal(candidate, "kpt_shape")
    pair = list(shape) if isinstance(shape, (list, tuple)) else []
    if len(pair) != 2 or not all(is_whole(number) for number in pair) or pair[0] < 1 or pair[1] not in (2, 3):
        raise SpecError(
            f"{candidate.path}: its metadata has kpt_shape = {candidate.metadata['kpt_shape']!r}; expected [K, 2] or "
            "[K, 3]: export it again"
        )
    return Said(
        joints=pair[0],
        dims=pair[1],
        classes=_classes(candidate) or 1,
        names=_joint_names(candidate),
    )


def _across(said: Said, suppressed: bool) -> tuple[Guess, ...]:
    """Return a guess where people of several classes are suppressed here.

    Ultralytics suppresses within each class. Poses have no class here, so one being that was found as two classes would
    be found twice.
    """
    if suppressed or said.classes == 1:
        return ()
    reason = (
        f"poses have no class here, so the {said.classes} classes are suppressed together, as agnostic_nms=True does "
        "in Ultralytics; by default it suppresses within each class, and keeps one pose for each class"
    )
    return (Guess(field="codec.iou_threshold", value=str(IOU), reason=reason),)


def _unread(candidate: Candidate, skeleton: str) -> tuple[Guess, ...]:
    """Return a guess where `kpt_names` is there and cannot be read."""
    if "kpt_names" not in candidate.metadata or _joint_names(candidate):
        return ()
    reason = f"its metadata has kpt_names = {candidate.metadata['kpt_names'][:60]!r}, which are no lists of names"
    return (Guess(field="skeleton", value=skeleton, reason=reason),)


def _classes(candidate: Candidate) -> int:
    """Return the number of names of classes; 0 where they cannot be read."""
    names = literal(candidate, "names")
    return len(names) if isinstance(names, (dict, list, tuple)) else 0


def _joint_names(candidate: Candidate) -> tuple[str, ...]:
    """Return `kpt_names`, a list for each class, of which the first counts."""
    value = literal(candidate, "kpt_names")
    if isinstance(value, dict):
        value = next(iter(value.values()), ())
    names = value if isinstance(value, (list, tuple)) else ()
    return tuple(str(name).strip().lower().replace(" ", "_").replace("-", "_") for name in names)


ULTRALYTICS_POSE = UltralyticsPose()
ULTRALYTICS_SHAPES = UltralyticsShapes()
