"""Pseudo-labels: joints that the float network finds on moved crops stand in for labels that nobody made.

What a network finds of a person depends on the crop a little. How much tells how sure it is of each joint: joints that
are found at the same place in every crop are mostly right, and the others are mostly wrong. So the accuracy that a
quantized network keeps can be measured on unlabeled images, with the metrics that labels are measured with: the float
network and the quantized one are both compared with what the float network finds on `COPIES` crops of the same people,
moved and scaled. A joint that was uncertain anyway may then move without a loss, and one that was certain may not.

The joints found on moved crops are nearer to those of the float network than labels are, so fewer joints are near the
limit of a metric, and the loss differs from that on labels. `FACTORS` are the ratios, rather too large than too small.
benchmarks/pseudo_labels.py fits them to what quantized graphs of four networks lose on labeled people of LSP train
(benchmarks/results/pseudo-labels.csv).

AP jumps where single people are left out, which makes its spread useless. The loss of AR follows that of AP where every
person has one prediction, and AR is a mean over people; so AP is predicted from AR (`STAND_INS`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.datasets.samples import PoseData, Sample, SampleList
from edgepose.errors import DataError
from edgepose.measure.held_out import LabeledPeople, LeftOut, labeled_people, retained
from edgepose.measure.predictions import Predictions
from edgepose.metrics.metric import Sampled
from edgepose.pose.geometry import box_of_joints
from edgepose.pose.skeletons import Skeleton

COPIES = 4
SHIFT = 0.07  # of the longer side of the box, at most
SCALE = 0.13  # natural logarithm, at most: 0.88 to 1.14
FACTORS = {"pck@0.2": 1.3, "pck@0.1": 1.7, "pcp@0.5": 0.55, "oks_ap": 1.05}  # loss on labels over that on pseudo-labels
STAND_INS = {"oks_ap": "oks_ar"}  # metric -> the one that it is predicted from


def moves(count: int, copy: int) -> tuple[Array, Array]:
    """Return how the boxes of people are moved for one copy, the same in every run.

    Args:
        count: The number of people.
        copy: The number of the copy, from 0.

    Returns:
        The shifts [N, 2] float64, as a share of the longer side of a box, and the scales [N] float64.
    """
    random = np.random.default_rng([7, copy])
    return random.uniform(-SHIFT, SHIFT, (count, 2)), np.exp(random.uniform(-SCALE, SCALE, count))


def with_moved_boxes(data: PoseData, copy: int) -> SampleList:
    """Return the people of a data set with their boxes moved and scaled.

    Args:
        data: The data set.
        copy: The number of the copy, from 0.
    """
    shifts, scales = moves(len(data), copy)
    samples = []
    for sample, shift, scale in zip((data[i] for i in range(len(data))), shifts, scales, strict=True):
        low, high = np.split(np.asarray(sample.box_xyxy, np.float64), 2)
        center, half = (low + high) / 2 + shift * (high - low).max(), scale * (high - low) / 2
        box = np.concatenate([center - half, center + half]).astype(np.float32)
        samples.append(replace(sample, box_xyxy=box))
    return SampleList(name=data.name, skeleton=data.skeleton, samples=tuple(samples), image_ids=tuple(data.image_ids))


def unread() -> Array:
    """Raise: an image that only pseudo-labels belong to is never read."""
    raise AssertionError("the images of pseudo-labels are not read")


def people_at(skeleton: Skeleton, xy: Array, images: Sequence[tuple[int, str]], name: str = "") -> SampleList:
    """Return people whose joints are known, as a data set without images.

    Args:
        skeleton: The K joints.
        xy: [N, K, 2] float, the joints; those that are not finite are not labeled.
        images: The number and the name of the image of each person.
        name: The name of the data set.
    """
    count = check_array("xy", xy, ("N", len(skeleton), 2))["N"]
    known = np.asarray(np.isfinite(xy).all(axis=2))
    samples = []
    for i in range(count):
        box = box_of_joints(xy[i], known[i]) if known[i].any() else np.zeros(4)
        samples.append(
            Sample(
                image_id=images[i][0],
                name=images[i][1],
                read=unread,
                xy_image=np.where(known[i][:, None], xy[i], 0).astype(np.float32),
                labeled=known[i],
                occluded=np.zeros(len(skeleton), bool),
                box_xyxy=box.astype(np.float32),
                area=max(1.0, float((box[2] - box[0]) * (box[3] - box[1]))),
                ignore=not known[i].any(),
            )
        )
    return SampleList(name=name, skeleton=skeleton, samples=tuple(samples), image_ids=tuple(one for one, _ in images))


@dataclass(frozen=True, kw_only=True)
class PseudoLabels:
    """Pseudo-labels of N people, and what the float network reaches on them.

    Attributes:
        people: The labels, one person for each of the N people and each copy.
        first: What the float network reaches, by metric.
        copies: The number of copies.
    """

    people: LabeledPeople
    first: Mapping[str, Sampled]
    copies: int

    def retained(self, found: Predictions) -> dict[str, LeftOut]:
        """Return what a network retains of each metric of `FACTORS` on the pseudo-labels.

        Args:
            found: Its predictions of the N people.
        """
        kept = retained(self.people, dict(self.first), self.people.measure(_repeated(found, self.copies)))
        return {name: kept[stand_in(name)] for name in FACTORS if stand_in(name) in kept}


def stand_in(metric: str) -> str:
    """Return the metric that one is predicted from: itself, or another one with a smoother spread."""
    return STAND_INS.get(metric, metric)


def pseudo_labels(
    first: Predictions,
    copies: Sequence[Array],
    images: Sequence[tuple[int, str]],
    metrics: Collection[str] = tuple(FACTORS),
) -> PseudoLabels | None:
    """Make pseudo-labels.

    Args:
        first: What the float network finds of the N people.
        copies: What it finds of them on moved crops, [N, K, 2] float each, in the space of `first`.
        images: The number and the name of the image of each person.
        metrics: Names of the metrics; those that the joints do not allow are left out.

    Returns:
        The labels; None where the joints allow no metric.
    """
    data = people_at(first.engine.skeleton, np.concatenate(copies), [*images] * len(copies))
    everyone = _repeated(first, len(copies))
    try:
        people = labeled_people(data, everyone, [stand_in(name) for name in metrics])
    except DataError:
        return None
    return PseudoLabels(people=people, first=people.measure(everyone), copies=len(copies))


def value_of(metric: str, first: Mapping[str, Sampled]) -> float | None:
    """Return what a network reaches, as a share; None where the metric was not measured.

    Args:
        metric: The name of the metric.
        first: What it reaches, by metric.
    """
    return float(first[metric].whole.value) if metric in first else None


def _repeated(found: Predictions, copies: int) -> Predictions:
    xy, scores = np.tile(found.xy_image, (copies, 1, 1)), np.tile(found.scores, (copies, 1))
    return replace(found, xy_image=xy, scores=scores)
