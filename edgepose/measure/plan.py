"""Which metrics the labels allow, and how each is measured.

A metric that the labels cannot carry (no neck, no torso, no OKS sigmas) is skipped with the reason; one that can
is planned once and then measured for every engine. What each metric is: `edgepose/metrics/`.

A metric of hits is measured at one threshold or as the area under its curve (`_auc`); its value is pooled over
the labeled joints that its literature counts (`metrics/rows.py`: MPII's leaves pelvis and thorax out).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from edgepose._checks import Array
from edgepose.measure.labels import Truth
from edgepose.metrics import pck, pcp
from edgepose.metrics.curves import FRACTIONS, area_hits, trapezium, within
from edgepose.metrics.observer import can_judge, observer_centric
from edgepose.metrics.rows import in_mean
from edgepose.pose.skeletons import sigma_origin

OBSERVED = "; observer-centric: left and right of whoever shows the back are exchanged"
# metric -> reference length, threshold; None: the area under the curve over 0 ... 0.5
SHARES: dict[str, tuple[str, float | None]] = {
    "pck@0.2": ("torso", 0.2),
    "pck@0.1": ("torso", 0.1),
    "pck_oc@0.2": ("observed torso", 0.2),
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
    "pcp_oc@0.5": "strict: both ends within half the limb's length" + OBSERVED,
}
# metric -> field of oks.Summary
OKS = {
    "oks_ap": "ap", "oks_ap50": "ap50", "oks_ap75": "ap75", "oks_ap_medium": "ap_medium", "oks_ap_large": "ap_large",
    "oks_ar": "ar", "oks_ar50": "ar50", "oks_ar75": "ar75", "oks_ar_medium": "ar_medium", "oks_ar_large": "ar_large",
}  # fmt: skip
LABELED_BOXES = (
    "boxes from the labels; the area is the labeled segment's, or the box's where labels have none, "
    "which makes OKS milder than COCO's"
)
DETECTED_BOXES = "boxes and their scores from the detections given, duplicates above an OKS of 0.9 suppressed"
BOX = "the larger side of the tight box around the labeled joints"
UNTOLD = "who shows the back is told from both shoulders and hips, which are not all compared"
NOT_DETECTED = "it is defined for one prediction of each labeled person; leave --detector out to measure it"


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
class _Labels:
    """The counted people over the compared joints, and what predictions [n, C, 2] go through to be like them."""

    xy: Array  # [n, C, 2]
    labeled: Array  # [n, C] bool
    prepare: Callable[[Array], Array] = lambda predicted: predicted


@dataclass(frozen=True)
class _Reference:
    """A reference length of the counted people, [n] float, and what it is; or why there is none."""

    length: Array | None
    note: str


def plan_metrics(truth: Truth, *, detected: bool = False) -> Plan:
    """Which metrics the labels allow, and why the others are skipped.

    detected: predictions are of a detector's people, not one for each labeled person; only OKS knows them.
    """
    references = {} if detected else _references(truth)
    made: dict[str, HitMetric | str] = dict.fromkeys([*SHARES, *LIMBS], NOT_DETECTED)
    if not detected:
        made |= {name: _share(truth, name, references) for name in SHARES}
        made |= {name: _limbs(truth, name) for name in LIMBS}
    skipped = {name: metric for name, metric in made.items() if isinstance(metric, str)}
    if not truth.skeleton.sigmas:
        reason = f"skeleton {truth.skeleton.name} has no OKS sigmas; give it one for each joint"
        skipped |= dict.fromkeys(OKS, reason)
    hits = {name: metric for name, metric in made.items() if isinstance(metric, HitMetric)}
    lengths = {name: references[which].length for name, which in CURVES.items() if f"{name}_auc" in hits}
    return Plan(
        hits=hits,
        errors={name: _errors(_labels(truth), length) for name, length in lengths.items() if length is not None},
        oks="oks_ap" not in skipped,
        skipped=skipped,
        notes={name: note for name, note in _notes(truth, references).items() if name not in skipped},
    )


def _notes(truth: Truth, references: dict[str, _Reference]) -> dict[str, str]:
    """How to read each metric; no references: the boxes were detected."""
    shares = {name: _how(at) + references[which].note for name, (which, at) in SHARES.items() if which in references}
    boxes = LABELED_BOXES if references else DETECTED_BOXES
    return shares | LIMBS | dict.fromkeys(OKS, f"{boxes}; {sigma_origin(truth.skeleton)}")


def _how(threshold: float | None) -> str:
    return "area under the curve over 0 to 0.5 of " if threshold is None else f"within {threshold:g} of "


def _labels(truth: Truth, *, observed: bool = False) -> _Labels:
    people = truth.compared_people()
    xy, labeled = people.xy_image[truth.counted], people.labeled[truth.counted]
    if not observed:
        return _Labels(xy, labeled)
    skeleton = truth.skeleton.only(truth.joints)

    def prepare(predicted: Array) -> Array:
        known = np.asarray(np.isfinite(predicted).all(axis=-1))
        return observer_centric(predicted, known, skeleton)[0]

    return _Labels(*observer_centric(xy, labeled, skeleton), prepare)


def _references(truth: Truth) -> dict[str, _Reference]:
    everything, everywhere = truth.people.xy_image[truth.counted], truth.people.labeled[truth.counted]
    found = {
        "torso": _segment(truth, pck.TORSO, everything, everywhere),
        "box": _Reference(pck.box_side_px(everything, everywhere), BOX),
        "head": _head(truth, everything, everywhere),
        "observed torso": _Reference(None, UNTOLD),
    }
    if can_judge(truth.joints):
        torso = _segment(truth, pck.TORSO, *observer_centric(everything, everywhere, truth.skeleton))
        found["observed torso"] = replace(torso, note=torso.note + (OBSERVED if torso.length is not None else ""))
    return found


def _segment(truth: Truth, ends: tuple[str, str], xy: Array, labeled: Array) -> _Reference:
    """The distance of two joints of everybody who counts: xy [n, K, 2], labeled [n, K], all joints of the labels."""
    missing = [joint for joint in ends if joint not in truth.skeleton.joints]
    if missing:
        return _Reference(None, f"the labels have no {' and no '.join(missing)}, so no reference length")
    length = pck.segment_px(xy, labeled, ends, truth.skeleton)
    if not (length > 0).any():
        return _Reference(None, f"nobody with a compared joint has both {ends[0]} and {ends[1]} labeled, apart")
    return _Reference(length, f"{ends[0]} to {ends[1]}")


def _head(truth: Truth, xy: Array, labeled: Array) -> _Reference:
    """MPII's head size where the labels have head boxes, else the head segment."""
    length = truth.head_px[truth.counted]
    if np.isfinite(length).any():
        return _Reference(length, "the head size, 0.6 of the labeled head box's diagonal")
    return _segment(truth, pck.HEAD, xy, labeled)


def _errors(labels: _Labels, length: Array) -> Callable[[Array], Array]:
    return lambda predicted: pck.relative_errors(labels.prepare(predicted), labels.xy, labels.labeled, length)


def _share(truth: Truth, name: str, references: dict[str, _Reference]) -> HitMetric | str:
    """PCK, PDJ or PCKh over a reference length; a str says why it cannot be measured."""
    which, threshold = SHARES[name]
    reference = references[which]
    if reference.length is None:
        return reference.note
    labels = _labels(truth, observed=which.startswith("observed"))
    errors = _errors(labels, reference.length)

    def measure(predicted: Array) -> Array:
        away = errors(predicted)
        return area_hits(away, FRACTIONS, trapezium(FRACTIONS)) if threshold is None else within(away, threshold)

    counts = in_mean(truth.skeleton.name, truth.joints)
    if not (labels.labeled & (reference.length > 0)[:, None])[:, counts].any():
        return "nobody has both the reference length and a joint that the mean counts"
    return HitMetric(parts=truth.joints, hits=measure, in_mean=counts)


def _limbs(truth: Truth, name: str) -> HitMetric | str:
    """PCP over the limbs between compared joints; a str says why it cannot be measured."""
    limbs = pcp.limbs_of(truth.skeleton, truth.joints)
    if not limbs:
        return f"no limb of {truth.skeleton.name} has all its joints among the compared ones"
    observed, loose = name.startswith("pcp_oc"), name.startswith("pcp_loose")
    if observed and not can_judge(truth.joints):
        return UNTOLD
    labels = _labels(truth, observed=observed)

    def measure(predicted: Array) -> Array:
        found = labels.prepare(predicted)
        return pcp.hits(found, labels.xy, labels.labeled, truth.joints, limbs, loose=loose)

    if np.isnan(measure(labels.xy)).all():
        return "nobody has both ends of a limb labeled"
    counts = np.ones(len(limbs), bool)
    return HitMetric(parts=tuple(limb.name for limb in limbs), hits=measure, in_mean=counts, kind="per_limb")
