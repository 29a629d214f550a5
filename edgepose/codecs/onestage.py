"""One-stage networks: boxes and joints of everyone in a frame, in one pass. The written definition, in plain numpy.

Networks such as YOLO-pose (Maji et al., "YOLO-Pose", CVPR Workshops 2022) and RTMO (Lu et al., CVPR 2024) return a list
of candidates, each with a box, a score and all joints. Decoding keeps the candidates above a score, drops those whose
box overlaps that of a better one (greedy non-maximum suppression), and moves the rest to the image.

A row of the output is x0, y0, x1, y1, score, then x, y, score of each joint. Coordinates are pixels of the network's
input, the canvas, with pixel centers at integers. `edgepose.graph.adapters` rewrites networks to this form.

The suppression is computed in float32, in this order of operations, so that it keeps the same people everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from msgspec import Meta

from edgepose._checks import Array, check_array
from edgepose.codecs.codec import Axis, Codec, People
from edgepose.codecs.overflow import overflowed
from edgepose.errors import SpecError
from edgepose.pose.geometry import Size, apply_affine

if TYPE_CHECKING:
    from typing_extensions import Self

    from edgepose.artifacts.spec import InputSpec, ModelSpec
    from edgepose.kernels.cuda import DeviceArray, Launch
    from edgepose.pose.skeletons import Skeleton

BOX = 5  # x0, y0, x1, y1, score
EVALUATED = 0.001  # average precision ranks people by score, so it also takes those of a low one
EVALUATED_PEOPLE = 300  # of which COCO's evaluation takes the best 20 of an image
LEAST = float(np.finfo(np.float32).tiny)  # of a joint: every joint of a person has a place, and 0 says that it has none


def suppress(
    boxes_xyxy: Array, scores: Array, score_threshold: float, iou_threshold: float | None, limit: int
) -> Array:
    """Return the candidates that are people.

    Args:
        boxes_xyxy: [M, 4] float.
        scores: [M] float.
        score_threshold: The score that a person must exceed.
        iou_threshold: The largest intersection over union with a better person; None suppresses nobody.
        limit: The largest number of people.

    Returns:
        Their indices, [P] int64, the highest score first, and the first of equal scores first.
    """
    boxes, values = np.asarray(boxes_xyxy, np.float32), np.asarray(scores, np.float32)
    order = np.argsort(-values, kind="stable")
    order = order[values[order] > np.float32(score_threshold)]
    if iou_threshold is None:
        return order[:limit]
    kept: list[int] = []
    while order.size and len(kept) < limit:
        best, order = order[0], order[1:]
        kept.append(int(best))
        order = order[~_overlaps(boxes[best], boxes[order], np.float32(iou_threshold))]
    return np.array(kept, np.int64)


def _overlaps(box: Array, boxes: Array, threshold: np.float32) -> Array:
    """Whether the intersection over union of a box [4] with boxes [N, 4] is above a threshold, [N] bool."""
    with np.errstate(invalid="ignore", over="ignore"):
        width = _length(np.maximum(box[0], boxes[:, 0]), np.minimum(box[2], boxes[:, 2]))
        height = _length(np.maximum(box[1], boxes[:, 1]), np.minimum(box[3], boxes[:, 3]))
        shared = width * height
        both = _area(box) + _area(boxes) - shared
        return np.asarray(shared > threshold * both)


def _area(boxes: Array) -> Array:
    return _length(boxes[..., 0], boxes[..., 2]) * _length(boxes[..., 1], boxes[..., 3])


def _length(low: Array, high: Array) -> Array:
    return np.asarray(np.maximum(high - low, np.float32(0)))


def decode_to_image(
    rows: Array,  # [N, M, 5 + 3K]
    inverse: Array,  # [N, 2, 3] float, canvas -> image
    score_threshold: float,
    iou_threshold: float | None,
    limit: int,
) -> Array:
    """Find the people of each image.

    Args:
        rows: [N, M, 5 + 3K] float, the candidates.
        inverse: [N, 2, 3] float, canvas -> image.
        score_threshold: As `suppress`.
        iou_threshold: As `suppress`.
        limit: As `suppress`.

    Returns:
        [N, limit, 5 + 3K] float32: the people in image pixels, the highest score first, then zeros.

    Raises:
        ModelError: If a score, or a number of a person, is NaN or infinity.
    """
    columns = check_array("rows", rows, ("N", "M", "columns"))["columns"]
    check_array("inverse", inverse, (len(rows), 2, 3))
    people = np.zeros((len(rows), limit, columns), np.float32)
    for found, candidates, matrix in zip(people, rows, np.asarray(inverse, np.float64), strict=True):
        scores = candidates[:, BOX - 1]
        if not np.isfinite(scores).all():
            raise overflowed("people")
        kept = suppress(candidates[:, : BOX - 1], scores, score_threshold, iou_threshold, limit)
        mine = candidates[kept].astype(np.float32)
        if not np.isfinite(mine).all():
            raise overflowed("people")
        for x in places(columns):
            mine[:, x : x + 2] = apply_affine(matrix, mine[:, x : x + 2].astype(np.float64))
        found[: len(kept)] = mine
    return people


def places(columns: int) -> tuple[int, ...]:
    """Return the columns of a row that are an x, with its y behind it: the corners of the box, and the joints.

    Args:
        columns: 5 + 3K.
    """
    return (0, 2, *range(BOX, columns, 3))


def people_of(rows: Array) -> People:
    """Return the people of one image.

    Args:
        rows: [P, 5 + 3K] float32, as `decode_to_image` returns them for one image.
    """
    found = rows[rows[:, BOX - 1] > 0]
    joints = found[:, BOX:].reshape(len(found), (rows.shape[1] - BOX) // 3, 3)
    return People(
        xy_image=np.ascontiguousarray(joints[..., :2]),
        scores=np.maximum(joints[..., 2], np.float32(LEAST)),
        boxes_xyxy=np.ascontiguousarray(found[:, : BOX - 1]),
        box_scores=np.ascontiguousarray(found[:, BOX - 1]),
    )


def merge_flip(rows: Array, flipped: Array, flip_order: Sequence[int], width: int) -> Array:
    """Join candidates with those of the mirrored canvas, mirrored back. The suppression keeps the better ones.

    Args:
        rows: [N, M, 5 + 3K] float.
        flipped: The same for canvases mirrored by x -> W - 1 - x.
        flip_order: `Skeleton.flip_order()`.
        width: W, pixels.

    Returns:
        [N, 2M, 5 + 3K] float32.
    """
    check_array("flipped", flipped, (len(rows), "M", rows.shape[2]))
    back = flipped.astype(np.float32)
    joints = back[..., BOX:].reshape(*back.shape[:2], len(flip_order), 3)[:, :, list(flip_order)]
    joints[..., 0] = width - 1 - joints[..., 0]
    back[..., BOX:] = joints.reshape(*back.shape[:2], 3 * len(flip_order))
    back[..., [0, 2]] = width - 1 - back[..., [2, 0]]
    return np.concatenate([rows.astype(np.float32), back], axis=1)


Fraction = Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class OnestageCodec(Codec):
    """A list of candidates, each with a box, a score and all joints.

    Attributes:
        score_threshold: The score that a person must exceed.
        iou_threshold: Of two people whose boxes have a larger intersection over union, the better one stays. None for
            a network that suppresses by itself, or that needs no suppression.
        max_people: The largest number of people in an image.
    """

    name: ClassVar[str] = "onestage"
    decodes: ClassVar[tuple[str, ...]] = ("people",)
    output_names: ClassVar[tuple[str, ...]] = ("people",)
    finds_people: ClassVar[bool] = True
    lists_people: ClassVar[bool] = True

    score_threshold: Fraction = 0.25
    iou_threshold: Fraction | None = None
    max_people: Annotated[int, Meta(ge=1, le=1000)] = 100

    def shapes(self, skeleton: Skeleton, input: InputSpec) -> tuple[tuple[Axis, ...], ...]:
        """Return the shapes of the decoded outputs for one image, see `Codec.shapes`."""
        return (("people", (BOX + 3 * len(skeleton),)),)

    def decode(
        self, outputs: Sequence[Array], flipped: Sequence[Array] | None, inverse: Array, contract: ModelSpec
    ) -> People:
        """Turn outputs into joints in the image, see `Codec.decode`."""
        from edgepose.kernels import onestage_people

        (rows,) = outputs if flipped is None else self.merge_flip(outputs, flipped, contract)
        return people_of(onestage_people(rows, inverse, self.score_threshold, self.iou_threshold, self.max_people)[0])

    def merge_flip(self, outputs: Sequence[Array], flipped: Sequence[Array], contract: ModelSpec) -> tuple[Array, ...]:
        """Join the candidates of both, see `merge_flip` and `Codec.merge_flip`."""
        return (merge_flip(outputs[0], flipped[0], contract.skeleton.flip_order(), contract.input.size[1]),)

    def check_flip(self, skeleton: Skeleton) -> None:
        """Raise SpecError where nothing would suppress one of the two of each person, see `Codec.check_flip`."""
        if self.iou_threshold is None:
            raise SpecError(
                "a flip test of codec 'onestage' finds everyone twice, and the contract has no codec.iou_threshold to "
                "suppress one of them; run without the flip test"
            )

    def for_evaluation(self) -> Self:
        """Return the codec that also finds people of a low score, see `Codec.for_evaluation`."""
        return replace(
            self,
            score_threshold=min(self.score_threshold, EVALUATED),
            max_people=max(self.max_people, EVALUATED_PEOPLE),
        )

    def for_comparison(self) -> tuple[Self, float]:
        """Return the codec that finds people of half of the score, see `Codec.for_comparison`."""
        return replace(self, score_threshold=self.score_threshold / 2), self.score_threshold

    def device_problem(self, flip_test: bool) -> str | None:
        """Say why outputs cannot be decoded on the device, see `Codec.device_problem`."""
        return "a flip test of codec 'onestage' is merged on the CPU" if flip_test else None

    def device_affines(self, inverse: Array, map_size: Size, contract: ModelSpec) -> Array:
        """Return the matrices for `device_decoder`, see `Codec.device_affines`."""
        return np.asarray(inverse, np.float64)

    def device_shape(self, skeleton: Skeleton) -> tuple[int, ...]:
        """Return the shape of what the launch writes for one image, see `Codec.device_shape`."""
        return (self.max_people, BOX + 3 * len(skeleton))

    def device_decoder(
        self,
        outputs: Sequence[DeviceArray],
        flipped: tuple[Sequence[DeviceArray], DeviceArray] | None,
        affines: DeviceArray,
        joints: DeviceArray,
    ) -> Launch:
        """Return the kernel launch that decodes on the device, see `Codec.device_decoder`."""
        from edgepose.kernels import cuda

        return cuda.onestage_people(outputs[0], affines, joints, self.score_threshold, self.iou_threshold)

    def from_device(self, found: Array) -> People:
        """Turn what the launch wrote into people, see `Codec.from_device`."""
        return people_of(found[0])
