"""Boxes of people: the output of a person detector. The written definition, in plain numpy.

A detector of any family is rewritten to one output, [N, M, 5] (`edgepose.graph.adapters.detectors`): x0, y0, x1, y1 in
pixels of the network's input, with pixel centers at integers, and a score. It is what the codec of networks that find
people with their joints takes, [N, M, 5 + 3 K], for K = 0 joints: the skeleton is `PERSON`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from msgspec import Meta

from edgepose._checks import Array, check_array
from edgepose.codecs.codec import Axis, Codec, People
from edgepose.codecs.overflow import refuse_overflow
from edgepose.errors import SpecError
from edgepose.pose.geometry import apply_affine

if TYPE_CHECKING:
    from edgepose.artifacts.spec import InputSpec, ModelSpec
    from edgepose.pose.skeletons import Skeleton

CANDIDATES = 1000  # boxes of one image that suppression looks at, the best ones; a crowd has fewer above the threshold
Share = Annotated[float, Meta(ge=0, le=1)]


def nms(boxes_xyxy: Array, scores: Array, overlap: float) -> Array:
    """Suppress boxes that overlap a better one (greedy non-maximum suppression).

    Args:
        boxes_xyxy: Bounding boxes, [N, 4].
        scores: Their scores, [N].
        overlap: The largest intersection over union with a better box that a box may have.

    Returns:
        The indices of the remaining boxes, [M] int64, best first.
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        order = rest[iou(boxes_xyxy[best], boxes_xyxy[rest]) <= overlap]
    return np.array(kept, np.int64)


def iou(box_xyxy: Array, boxes_xyxy: Array) -> Array:
    """Return the intersection over union, [N], of one box [4] with boxes [N, 4]; 0 where both are empty."""
    low = np.maximum(box_xyxy[:2], boxes_xyxy[:, :2])
    high = np.minimum(box_xyxy[2:], boxes_xyxy[:, 2:])
    shared = (high - low).clip(0).prod(axis=1)
    both = (box_xyxy[2:] - box_xyxy[:2]).prod() + (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).prod(axis=1)
    return np.asarray(shared / np.maximum(both - shared, 1e-9))


def people_of(rows: Array, codec: DetectorCodec) -> Array:
    """Choose the people of one image.

    Args:
        rows: [M, 5] float, boxes and scores.
        codec: The thresholds.

    Returns:
        [P, 5] float32, the best first.

    Raises:
        ModelError: A score, or a box whose score is above the threshold, is not finite.
    """
    check_array("rows", rows, ("M", 5))
    refuse_overflow(rows[:, 4], "scores")
    found = rows[rows[:, 4] > codec.score_threshold].astype(np.float32)
    refuse_overflow(found, "boxes")
    found = found[(found[:, 2] > found[:, 0]) & (found[:, 3] > found[:, 1])]
    found = found[np.argsort(-found[:, 4], kind="stable")[:CANDIDATES]]
    if codec.iou_threshold < 1:
        found = found[nms(found[:, :4], found[:, 4], codec.iou_threshold)]
    return found[: codec.max_people]


@dataclass(frozen=True, kw_only=True)
class DetectorCodec(Codec):
    """Boxes of people with scores.

    Attributes:
        score_threshold: People whose score is not above it are dropped.
        iou_threshold: Of two people whose boxes overlap by more than this intersection over union, the better one
            stays. 1 keeps both, for a network that suppresses them itself.
        max_people: The largest number of people in an image.
    """

    name: ClassVar[str] = "detector"
    decodes: ClassVar[tuple[str, ...]] = ("boxes with scores",)
    output_names: ClassVar[tuple[str, ...]] = ("detections",)
    finds_people: ClassVar[bool] = True

    score_threshold: Share = 0.3
    iou_threshold: Share = 0.45
    max_people: Annotated[int, Meta(ge=1, le=CANDIDATES)] = 64

    def check(self, skeleton: Skeleton, input: InputSpec, outputs: Sequence[str], where: str) -> None:
        """Check the parameters against the rest of the contract, see `Codec.check`."""
        super().check(skeleton, input, outputs, where)
        if len(skeleton):
            raise SpecError(
                f"{where}: codec 'detector' finds boxes without joints, and skeleton {skeleton.name!r} has "
                f"{len(skeleton)}; write skeleton = 'person'"
            )

    def shapes(self, skeleton: Skeleton, input: InputSpec) -> tuple[tuple[Axis, ...], ...]:
        """Return the shapes of the decoded outputs for one image, see `Codec.shapes`."""
        return (("M", (5,)),)

    def decode(
        self, outputs: Sequence[Array], flipped: Sequence[Array] | None, inverse: Array, contract: ModelSpec
    ) -> People:
        """Turn the output into the people of one image, see `Codec.decode`."""
        if flipped is not None:
            self.check_flip(contract.skeleton)
        check_array("inverse", inverse, (1, 2, 3))
        found = people_of(outputs[0][0], self)
        corners = apply_affine(inverse[0], found[:, :4].reshape(-1, 2).astype(np.float64)).reshape(-1, 4)
        none = np.zeros((len(found), 0), np.float32)
        return People(none[..., None].repeat(2, axis=2), none, corners.astype(np.float32), found[:, 4])

    def merge_flip(self, outputs: Sequence[Array], flipped: Sequence[Array], contract: ModelSpec) -> tuple[Array, ...]:
        """Raise SpecError: boxes of two images cannot be averaged, see `check_flip`."""
        self.check_flip(contract.skeleton)
        raise AssertionError

    def check_flip(self, skeleton: Skeleton) -> None:
        """Raise SpecError: the boxes of an image and of its mirror image are not the same ones."""
        raise SpecError("a person detector has no flip test: its boxes cannot be averaged; leave out --flip-test")

    def device_problem(self, flip_test: bool) -> str | None:
        """Say why outputs cannot be decoded on the device, see `Codec.device_problem`."""
        return "codec 'detector' chooses people on the CPU"
