"""The labels of a data set, gathered for measuring, and which metrics they allow.

A metric that the labels cannot carry (no neck, no torso, no OKS sigmas) is skipped with the reason; one
that can is planned once and then measured for every engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgepose._checks import Array
from edgepose.datasets.samples import PoseData, Sample
from edgepose.errors import DataError
from edgepose.metrics import oks, pck, pcp
from edgepose.pose.skeletons import Skeleton

OKS_METRICS = ("oks_ap", "oks_ap50", "oks_ap75", "oks_ar")
# name, ends of the reference length, threshold
CURVES = (
    ("pck@0.2", pck.TORSO, 0.2),
    ("pck@0.1", pck.TORSO, 0.1),
    ("pdj@0.2", pck.TORSO, 0.2),
    ("pckh@0.5", pck.HEAD, 0.5),
)


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The labels of N samples over the data's joints, what is compared, and who counts."""

    skeleton: Skeleton
    compared: Array  # [C] int: the joints compared, as indices of skeleton
    people: oks.People  # all N samples, all joints
    images: int
    counted: Array  # [N] bool

    @property
    def joints(self) -> tuple[str, ...]:
        return tuple(self.skeleton.joints[i] for i in self.compared)

    @property
    def n(self) -> int:
        """How many people count."""
        return int(self.counted.sum())

    def compared_people(self) -> oks.People:
        """All N samples over the compared joints."""
        xy, labelled = self.people.xy_image[:, self.compared], self.people.labelled[:, self.compared]
        return replace(self.people, xy_image=xy, labelled=labelled)


@dataclass(frozen=True, kw_only=True)
class HitMetric:
    """A metric of hits: what turns the counted people's joints [n, C, 2] into hits [n, parts]."""

    parts: tuple[str, ...]
    hits: Callable[[Array], Array]
    kind: str = "per_joint"  # or per_limb


@dataclass(frozen=True, kw_only=True)
class Plan:
    """hits: what can be measured. skipped: metric -> why not. notes: metric -> how to read it."""

    hits: dict[str, HitMetric]
    skipped: dict[str, str]
    notes: dict[str, str]


def shared_joints(data: PoseData, skeletons: Sequence[Skeleton]) -> tuple[str, ...]:
    """The joints of the data that every skeleton has, in the data's order. DataError when there is none."""
    shared = set(data.skeleton.joints).intersection(*(skeleton.joints for skeleton in skeletons))
    if not shared:
        names = ", ".join(sorted({skeleton.name for skeleton in skeletons}))
        raise DataError(
            f"{data.name}: its skeleton {data.skeleton.name} shares no joint with {names}; "
            "choose data labelled with the network's joints, or correct the joint names in its spec"
        )
    return tuple(joint for joint in data.skeleton.joints if joint in shared)


def gather(data: PoseData, joints: Sequence[str]) -> Truth:
    """The labels of all samples, with `joints` compared; no image is read.

    DataError when nobody that counts has a label for any of them.
    """
    samples = [data[i] for i in range(len(data))]
    compared = np.array([data.skeleton.index(joint) for joint in joints])
    ids: dict[tuple[int, str], int] = {}
    image = [ids.setdefault((sample.image_id, sample.name), len(ids)) for sample in samples]
    people = _people(samples, image, len(data.skeleton))
    ignore = np.array([sample.ignore for sample in samples], bool)
    counted = ~ignore & people.labelled[:, compared].any(axis=1)
    if not counted.any():
        raise DataError(f"{data.name}: nobody has a label for any of {', '.join(joints)}; choose other data")
    return Truth(skeleton=data.skeleton, compared=compared, people=people, images=len(ids), counted=counted)


def _people(samples: Sequence[Sample], image: list[int], joints: int) -> oks.People:
    n = len(samples)
    labelled = np.array([sample.labelled for sample in samples], bool).reshape(n, joints)
    # ignored though it has joints: nothing but a crowd is
    crowd = [sample.crowd or (sample.ignore and bool(sample.labelled.any())) for sample in samples]
    return oks.People(
        image=np.array(image, np.int64),
        xy_image=np.array([sample.xy_image for sample in samples], np.float64).reshape(n, joints, 2),
        labelled=labelled,
        boxes_xyxy=np.array([sample.box_xyxy for sample in samples], np.float64).reshape(n, 4),
        area=np.array([sample.area for sample in samples], np.float64),
        crowd=np.array(crowd, bool),
    )


def plan_metrics(truth: Truth) -> Plan:
    """Which metrics the labels allow, and why the others are skipped."""
    made = {name: _curve(truth, ends, threshold) for name, ends, threshold in CURVES}
    made["pcp@0.5"] = _strict_pcp(truth)
    skipped = {name: metric for name, metric in made.items() if isinstance(metric, str)}
    if not truth.skeleton.sigmas:
        reason = f"skeleton {truth.skeleton.name} has no OKS sigmas; give it one for each joint"
        skipped |= dict.fromkeys(OKS_METRICS, reason)
    notes = {name: f"within {part} of {ends[0]} to {ends[1]}" for name, ends, part in CURVES}
    notes["pcp@0.5"] = "strict: both ends within half the limb's length"
    notes |= dict.fromkeys(
        OKS_METRICS,
        "boxes from the labels; the area is the labelled segment's, or the box's where labels have none, "
        "which makes OKS milder than COCO's",
    )
    return Plan(
        hits={name: metric for name, metric in made.items() if isinstance(metric, HitMetric)},
        skipped=skipped,
        notes={name: note for name, note in notes.items() if name not in skipped},
    )


def _counted_labels(truth: Truth) -> tuple[Array, Array]:
    """(xy [n, C, 2], labelled [n, C]) of the counted people over the compared joints."""
    people = truth.compared_people()
    return people.xy_image[truth.counted], people.labelled[truth.counted]


def _curve(truth: Truth, ends: tuple[str, str], threshold: float) -> HitMetric | str:
    """PCK, PDJ or PCKh over the length between `ends`; a str says why it cannot be measured."""
    missing = [joint for joint in ends if joint not in truth.skeleton.joints]
    if missing:
        return f"the labels have no {' and no '.join(missing)}, so no reference length"
    everything, everywhere = truth.people.xy_image[truth.counted], truth.people.labelled[truth.counted]
    length = pck.segment_px(everything, everywhere, ends, truth.skeleton)
    xy, labelled = _counted_labels(truth)

    def measure(predicted: Array) -> Array:
        return pck.hits(predicted, xy, labelled, length, threshold)

    if np.isnan(measure(xy)).all():
        return f"nobody with a compared joint has both {ends[0]} and {ends[1]} labelled, apart"
    return HitMetric(parts=truth.joints, hits=measure)


def _strict_pcp(truth: Truth) -> HitMetric | str:
    """PCP over the limbs between compared joints; a str says why it cannot be measured."""
    limbs = pcp.limbs_of(truth.skeleton, truth.joints)
    if not limbs:
        return f"no limb of {truth.skeleton.name} has all its joints among the compared ones"
    xy, labelled = _counted_labels(truth)

    def measure(predicted: Array) -> Array:
        return pcp.hits(predicted, xy, labelled, truth.joints, limbs)

    if np.isnan(measure(xy)).all():
        return "nobody has both ends of a limb labelled"
    return HitMetric(parts=tuple(limb.name for limb in limbs), hits=measure, kind="per_limb")
