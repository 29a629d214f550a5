"""Accuracy of one or several engines on labeled people, and what each keeps of the first.

`evaluate` measures predictions (`predictions.py`) by every metric that the labels allow (`plan.py`), with a
bootstrap interval for every metric, joint and limb and, paired, for every retention.

Joints are matched by name. Every number is over the joints that the data and all engines have (`joints` of
the result), so that engines of different skeletons are comparable; reference lengths come from the labels
alone. What cannot be measured is named in `skipped` with the reason, never filled in.

Who counts: people that are not ignored and have at least one compared joint labeled (`n`). A prediction's score,
which AP needs, is the mean score of the joints it predicted, times its box's where that was detected; a network that
finds people itself says how sure it is of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from edgepose._checks import Array, check_array
from edgepose._progress import Track, quiet
from edgepose.datasets.samples import PoseData
from edgepose.errors import DataError
from edgepose.measure.labels import Truth, gather, shared_joints
from edgepose.measure.plan import OKS, HitMetric, Plan, plan_metrics
from edgepose.measure.predictions import Detected, Predictions
from edgepose.measure.results import EngineAccuracy, Evaluation, Metric, Part, Retained
from edgepose.metrics import oks
from edgepose.metrics.curves import Curve, curve
from edgepose.metrics.retention import (
    Resampled,
    interval,
    resampled_hits,
    resampled_parts,
    resamples,
    retention,
)
from edgepose.metrics.rows import LAYOUTS, in_mean, row
from edgepose.metrics.suppress import suppress


@dataclass(frozen=True)
class _Measured:
    """A metric as reported, and the draws that intervals and retention come from, also joint by joint."""

    metric: Metric
    draws: Resampled
    parts: dict[str, Resampled] = field(default_factory=dict)


_All = dict[str, _Measured]


def evaluate(
    engines: Sequence[Predictions | Detected],
    data: PoseData,
    *,
    n_boot: int = 1000,
    seed: int = 0,
    track: Track = quiet,
) -> Evaluation:
    """Measure every engine on the same people; retention is against the first.

    DataError when the engines and the data share no joint, nobody is labeled, or detections cannot be measured.
    ValueError when there is no engine, its predictions are not one row a sample, or their kinds are mixed.
    """
    detected = _check_kinds(engines, data)
    truth = gather(data, shared_joints(data, [found.engine.skeleton for found in engines]))
    plan = plan_metrics(truth, detected=detected)
    if detected and not plan.oks:
        raise DataError(f"{data.name}: {plan.skipped['oks_ap']}; nothing else measures detections")
    people_draws = resamples(truth.n, n_boot=n_boot, seed=seed)
    image_draws = resamples(truth.images + (truth.empty if detected else 0), n_boot=n_boot, seed=seed)
    first: _All | None = None
    results = []
    for i in track(range(len(engines)), "measure", len(engines)):
        measured = {name: _measure(engines[i], truth, hit, people_draws) for name, hit in plan.hits.items()}
        similar, skipped = _oks_metrics(engines[i], truth, image_draws) if plan.oks else ({}, {})
        results.append(_result(engines[i], truth, plan, measured | similar, skipped, first))
        first = first or measured | similar
    return Evaluation(data=data.name, n_boot=n_boot, seed=seed, engines=tuple(results))


def _check_kinds(engines: Sequence[Predictions | Detected], data: PoseData) -> bool:
    """Whether all are detections; ValueError when some are, or a row is missing."""
    kinds = {isinstance(found, Detected) for found in engines}
    if len(kinds) != 1:
        raise ValueError("engines: expected at least one, all on labeled boxes or all on detections")
    for found in engines:
        if isinstance(found, Predictions):
            shape = (len(data), len(found.engine.skeleton), 2)
            check_array(f"{found.engine.path}: xy_image", found.xy_image, shape)
    return kinds.pop()


def _result(
    found: Predictions | Detected,
    truth: Truth,
    plan: Plan,
    measured: _All,
    skipped: dict[str, str],
    base: _All | None,  # None for the first engine
) -> EngineAccuracy:
    kept, unkept = ({}, {}) if base is None else _retention(base, measured)
    return EngineAccuracy(
        path=found.engine.path,
        onnx_sha256=found.engine.onnx_sha256,
        precision=found.engine.precision,
        backend=found.engine.backend,
        n=truth.n,
        boxes=found.boxes if isinstance(found, Detected) else "labels",
        joints=truth.joints,
        metrics={name: its.metric for name, its in measured.items()},
        curves={name: _curve(errors(_counted_xy(found, truth)), truth) for name, errors in plan.errors.items()},
        retention=kept,
        skipped=plan.skipped | skipped | unkept,
        notes={name: note for name, note in plan.notes.items() if name not in skipped},
    )


def _curve(errors: Array, truth: Truth) -> Curve:
    """The curve of relative errors [n, C]; as the metrics, pooled over the joints that the mean counts."""
    counts = in_mean(truth.skeleton.name, truth.joints)
    return replace(curve(errors), pooled=curve(errors[:, counts]).pooled)


def _counted_xy(found: Predictions | Detected, truth: Truth) -> Array:
    """[n, C, 2] float64: the predictions of the counted people over the compared joints."""
    columns = [found.engine.skeleton.index(joint) for joint in truth.joints]
    return np.asarray(found.xy_image, np.float64)[truth.counted][:, columns]


def _measure(found: Predictions | Detected, truth: Truth, planned: HitMetric, draws: Array) -> _Measured:
    """PCK, PDJ, PCKh or PCP, resampled over people."""
    hits = planned.hits(_counted_xy(found, truth))
    counted = np.isfinite(hits).sum(axis=0)  # [parts]
    resampled = resampled_hits(hits[:, planned.in_mean], draws)
    columns = dict(zip(planned.parts, zip(resampled_parts(hits, draws), counted, strict=True), strict=True))
    parts = {name: draw for name, (draw, n) in columns.items() if n}
    rows = row(hits, planned.parts, truth.skeleton.name) if _has_row(planned, truth) else {}
    metric = Metric(
        interval=interval(resampled),
        n=int(counted[planned.in_mean].sum()),
        parts={name: Part(interval=interval(draw), n=int(columns[name][1])) for name, draw in parts.items()},
        row={name: value for name, value in rows.items() if np.isfinite(value)},
        kind=planned.kind,
    )
    return _Measured(metric, resampled, parts)


def _has_row(planned: HitMetric, truth: Truth) -> bool:
    return planned.kind == "per_joint" and truth.skeleton.name in LAYOUTS


def _oks_metrics(found: Predictions | Detected, truth: Truth, draws: Array) -> tuple[_All, dict[str, str]]:
    """COCO's ten numbers, resampled over images, and why some of them could not be had."""
    sigmas = np.array(truth.skeleton.sigmas)[truth.compared]
    predicted = _detections(found, truth, sigmas) if isinstance(found, Detected) else _found(found, truth)
    matches = oks.match(truth.compared_people(), predicted, sigmas, draws.shape[1])
    whole, drawn = oks.summary(matches), oks.summary(matches, draws)
    made: _All = {}
    skipped = {}
    for name, attribute in OKS.items():
        value = float(getattr(whole, attribute)[0])
        if np.isnan(value):
            skipped[name] = "no labeled person is of that size"
            continue
        resampled = Resampled(value=value, values=getattr(drawn, attribute))
        people = int(matches.people[oks.area_row(attribute)].sum())
        made[name] = _Measured(Metric(interval=interval(resampled), n=people), resampled)
    return made, skipped


def _found(found: Predictions, truth: Truth) -> oks.Found:
    """The predictions of the counted people, over the compared joints."""
    compared = _counted_xy(found, truth)
    return oks.Found(
        image=truth.people.image[truth.counted],
        xy_image=compared,
        score=oks.person_scores(found.scores[truth.counted]),
        area=oks.extent_px2(compared),
    )


def _detections(found: Detected, truth: Truth, sigmas: Array) -> oks.Found:
    """The detected people over the compared joints; those of a detector rescored, without duplicates."""
    columns = [found.engine.skeleton.index(joint) for joint in truth.joints]
    compared, score = found.xy_image[:, columns], found.box_scores
    kept = np.arange(len(score))
    if not found.grouped:
        score = score * oks.person_scores(found.scores)
        kept = suppress(found.image, compared, score, found.area, sigmas)
    return oks.Found(
        image=found.image[kept],
        xy_image=compared[kept],
        score=score[kept],
        area=oks.extent_px2(compared[kept]),
    )


def _retention(base: _All, other: _All) -> tuple[dict[str, Retained], dict[str, str]]:
    """What `other` keeps of `base`, and why that cannot be said of some metrics."""
    kept = {name: _retained(base[name], its) for name, its in other.items() if base[name].draws.value > 0}
    reason = "the first engine scores 0, so there is nothing to keep"
    return kept, {f"retention of {name}": reason for name in other if name not in kept}


def _retained(base: _Measured, other: _Measured) -> Retained:
    """Joints that the first engine never finds have nothing to keep, and are left out."""
    parts = {
        name: retention(base.parts[name], draws, other.metric.parts[name].n)
        for name, draws in other.parts.items()
        if base.parts[name].value > 0
    }
    return Retained(kept=retention(base.draws, other.draws, other.metric.n), parts=parts, kind=other.metric.kind)
