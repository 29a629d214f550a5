"""Which metrics the labels allow, and how each is measured.

A metric that the labels cannot carry (no neck, no torso, no OKS sigmas) is skipped with the reason; one that can
is planned once and then measured for every engine. What each metric is: `edgepose/metrics/`.

A metric of hits is measured at one threshold or as the area under its curve (`_auc`); its value is pooled over
the labelled joints that its literature counts (`metrics/rows.py`: MPII's leaves pelvis and thorax out).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array
from edgepose.measure.labels import Truth
from edgepose.metrics import pck, pcp
from edgepose.metrics.curves import FRACTIONS, area_hits, trapezium, within
from edgepose.metrics.observer import can_judge, observer_centric
from edgepose.metrics.rows import in_mean
from edgepose.pose.skeletons import sigma_origin

# metric -> reference length, threshold; None: the area under the curve over 0 ... 0.5
SHARES: dict[str, tuple[str, float | None]] = {
    "pck@0.2": ("torso", 0.2),
    "pck@0.1": ("torso", 0.1),
    "pdj@0.2": ("torso", 0.2),
    "pdj_auc": ("torso", None),
    "pck_box@0.2": ("box", 0.2),
    "pck_box@0.1": ("box", 0.1),
    "pckh@0.5": ("head", 0.5),
    "pckh@0.1": ("head", 0.1),
    "pckh_auc": ("head", None),
}
# curve -> reference length
CURVES = {"pdj": "torso", "pckh": "head"}
LIMBS = {
    "pcp@0.5": "strict: both ends within half the limb's length",
    "pcp_loose@0.5": "loose: the mean distance of the ends within half the limb's length",
    "pcp_oc@0.5": "strict and observer-centric: left and right of whoever shows the back are exchanged",
}
# metric -> field of oks.Summary
OKS = {
    "oks_ap": "ap", "oks_ap50": "ap50", "oks_ap75": "ap75", "oks_ap_medium": "ap_medium", "oks_ap_large": "ap_large",
    "oks_ar": "ar", "oks_ar50": "ar50", "oks_ar75": "ar75", "oks_ar_medium": "ar_medium", "oks_ar_large": "ar_large",
}  # fmt: skip
LABELLED_BOXES = (
    "boxes from the labels; the area is the labelled segment's, or the box's where labels have none, "
    "which makes OKS milder than COCO's"
)
DETECTED_BOXES = "boxes and their scores from the detections given, duplicates above an OKS of 0.9 suppressed"
NOT_DETECTED = "it is defined for one prediction of each labelled person; leave --detector out to measure it"


@dataclass(frozen=True, kw_only=True)
class HitMetric:
    """A metric of hits: what turns the counted people's joints [n, C, 2] into hits [n, parts], 0..1 or NaN."""

    parts: tuple[str, ...]
    hits: Callable[[Array], Array]
    in_mean: Array  # [parts] bool: which parts the value counts
    kind: str = "per_joint"  # or per_limb


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to measure. skipped: metric -> why not. notes: metric -> how to read it.

    errors: curve -> what turns the counted people's joints into relative errors [n, C].
    """

    hits: dict[str, HitMetric]
    errors: dict[str, Callable[[Array], Array]]
    oks: bool
    skipped: dict[str, str]
    notes: dict[str, str]


@dataclass(frozen=True)
class _Reference:
    """A reference length of the counted people, [n] float, and what it is; or why there is none."""

    length: Array | None
    note: str


def plan_metrics(truth: Truth, *, detected: bool = False) -> Plan:
    """Which metrics the labels allow, and why the others are skipped.

    detected: predictions are of a detector's people, not one for each labelled person; only OKS knows them.
    """
    references = {} if detected else {"torso": _segment(truth, pck.TORSO), "box": _box(truth), "head": _head(truth)}
    made: dict[str, HitMetric | str] = dict.fromkeys([*SHARES, *LIMBS], NOT_DETECTED)
    if not detected:
        made |= {name: _share(truth, references[which], at) for name, (which, at) in SHARES.items()}
        made |= {name: _limbs(truth, name) for name in LIMBS}
    skipped = {name: metric for name, metric in made.items() if isinstance(metric, str)}
    if not truth.skeleton.sigmas:
        reason = f"skeleton {truth.skeleton.name} has no OKS sigmas; give it one for each joint"
        skipped |= dict.fromkeys(OKS, reason)
    hits = {name: metric for name, metric in made.items() if isinstance(metric, HitMetric)}
    lengths = {name: references[which].length for name, which in CURVES.items() if f"{name}_auc" in hits}
    return Plan(
        hits=hits,
        errors={name: _errors(truth, length) for name, length in lengths.items() if length is not None},
        oks="oks_ap" not in skipped,
        skipped=skipped,
        notes={name: note for name, note in _notes(truth, references).items() if name not in skipped},
    )


def _notes(truth: Truth, references: dict[str, _Reference]) -> dict[str, str]:
    """How to read each metric; no references: the boxes were detected."""
    shares = {name: _how(at) + references[which].note for name, (which, at) in SHARES.items() if which in references}
    boxes = LABELLED_BOXES if references else DETECTED_BOXES
    return shares | LIMBS | dict.fromkeys(OKS, f"{boxes}; {sigma_origin(truth.skeleton)}")


def _how(threshold: float | None) -> str:
    return "area under the curve over 0 to 0.5 of " if threshold is None else f"within {threshold:g} of "


def counted_labels(truth: Truth) -> tuple[Array, Array]:
    """(xy [n, C, 2], labelled [n, C]) of the counted people over the compared joints."""
    people = truth.compared_people()
    return people.xy_image[truth.counted], people.labelled[truth.counted]


def _segment(truth: Truth, ends: tuple[str, str]) -> _Reference:
    missing = [joint for joint in ends if joint not in truth.skeleton.joints]
    if missing:
        return _Reference(None, f"the labels have no {' and no '.join(missing)}, so no reference length")
    everything, everywhere = truth.people.xy_image[truth.counted], truth.people.labelled[truth.counted]
    length = pck.segment_px(everything, everywhere, ends, truth.skeleton)
    if not (length > 0).any():
        return _Reference(None, f"nobody with a compared joint has both {ends[0]} and {ends[1]} labelled, apart")
    return _Reference(length, f"{ends[0]} to {ends[1]}")


def _box(truth: Truth) -> _Reference:
    length = pck.box_side_px(truth.people.xy_image[truth.counted], truth.people.labelled[truth.counted])
    return _Reference(length, "the larger side of the tight box around the labelled joints")


def _head(truth: Truth) -> _Reference:
    """MPII's head size where the labels have head boxes, else the head segment."""
    length = truth.head_px[truth.counted]
    if np.isfinite(length).any():
        return _Reference(length, "the head size, 0.6 of the labelled head box's diagonal")
    return _segment(truth, pck.HEAD)


def _errors(truth: Truth, length: Array) -> Callable[[Array], Array]:
    xy, labelled = counted_labels(truth)
    return lambda predicted: pck.relative_errors(predicted, xy, labelled, length)


def _share(truth: Truth, reference: _Reference, threshold: float | None) -> HitMetric | str:
    """PCK, PDJ or PCKh over a reference length; a str says why it cannot be measured."""
    if reference.length is None:
        return reference.note
    errors = _errors(truth, reference.length)

    def measure(predicted: Array) -> Array:
        away = errors(predicted)
        return area_hits(away, FRACTIONS, trapezium(FRACTIONS)) if threshold is None else within(away, threshold)

    counts = in_mean(truth.skeleton.name, truth.joints)
    if np.isnan(measure(counted_labels(truth)[0])[:, counts]).all():
        return "nobody has both the reference length and a joint that the mean counts"
    return HitMetric(parts=truth.joints, hits=measure, in_mean=counts)


def _limbs(truth: Truth, name: str) -> HitMetric | str:
    """PCP over the limbs between compared joints; a str says why it cannot be measured."""
    limbs = pcp.limbs_of(truth.skeleton, truth.joints)
    if not limbs:
        return f"no limb of {truth.skeleton.name} has all its joints among the compared ones"
    observed = name.startswith("pcp_oc")
    if observed and not can_judge(truth.joints):
        return "who shows the back is told from both shoulders and hips, which are not all compared"
    skeleton = truth.skeleton.only(truth.joints)
    xy, labelled = counted_labels(truth)
    if observed:
        xy, labelled = observer_centric(xy, labelled, skeleton)

    def measure(predicted: Array) -> Array:
        if observed:
            predicted, _ = observer_centric(predicted, np.asarray(np.isfinite(predicted).all(axis=-1)), skeleton)
        return pcp.hits(predicted, xy, labelled, truth.joints, limbs, loose=name.startswith("pcp_loose"))

    if np.isnan(measure(xy)).all():
        return "nobody has both ends of a limb labelled"
    counts = np.ones(len(limbs), bool)
    return HitMetric(parts=tuple(limb.name for limb in limbs), hits=measure, in_mean=counts, kind="per_limb")
