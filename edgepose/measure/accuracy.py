"""Accuracy of one or several engines on labeled people, and how much of the first engine's each other one retains.

`evaluate` measures predictions (`edgepose.measure.predictions`) by every registered metric that the labels allow
(`edgepose.measure.plan`), with a bootstrap interval for every metric, joint and limb and, paired, for every retention.

Joints are matched by name. Every number is over the joints that the data and all engines have (`joints` of the
result), so engines of different skeletons can be compared. Reference lengths come from the labels alone. A metric that
cannot be measured is listed in `skipped` with the reason, and no value stands in for it.

A person is counted (`n`) who is not ignored and has at least one compared joint labeled.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepose._checks import check_array
from edgepose._progress import Track, quiet
from edgepose.datasets.samples import PoseData
from edgepose.errors import DataError
from edgepose.measure.boxes import labels_for
from edgepose.measure.labels import gather, shared_joints
from edgepose.measure.matched import on_labels
from edgepose.measure.plan import Plans, plan_found, plan_metrics
from edgepose.measure.predictions import Detected, Predictions
from edgepose.measure.results import EngineAccuracy, Evaluation, MetricValue, Part, Retained
from edgepose.metrics.labels import Labels
from edgepose.metrics.metric import Declaration, Draws, Metric, Predicted, Sampled, Skip
from edgepose.metrics.retention import Resampled, Retention, interval, resamples, retention

_All = dict[str, Sampled]
MATCHED = "people whom the network found were matched with the labeled ones; a person not found counts as wrong"


def evaluate(
    engines: Sequence[Predictions | Detected],
    data: PoseData,
    *,
    n_boot: int = 1000,
    seed: int = 0,
    flip_test: bool = False,
    track: Track = quiet,
) -> Evaluation:
    """Measure every engine on the same people.

    Args:
        engines: The predictions of each engine. Retention is relative to the first.
        data: The data set that was predicted.
        n_boot: Number of bootstrap draws.
        seed: Seed of the bootstrap.
        flip_test: Whether the predictions are averaged with those of the mirrored crop; recorded in the result.
        track: Progress callback.

    Raises:
        DataError: The engines and the data share no joint, nobody is labeled, or detections cannot be measured.
        ValueError: There is no engine, its predictions are not one row per sample, or their kinds are mixed.
    """
    detected = _check_kinds(engines, data)
    data = labels_for(data, engines[0].engine.skeleton)
    joints = shared_joints(data, [found.engine.skeleton for found in engines])
    labels = gather(data, joints, detected=detected)
    plans = (
        plan_found(labels)
        if all(isinstance(one, Detected) and one.grouped for one in engines)
        else plan_metrics(labels)
    )
    if detected and not plans.plans:
        reasons = {plans.skipped[name] for name, metric in plans.metrics.items() if metric.on_detections}
        raise DataError(f"{data.name}: {'; '.join(sorted(reasons))}; nothing else measures detections")
    images = labels.images + (labels.empty if detected else 0)
    draws = Draws(
        people=resamples(labels.n, n_boot=n_boot, seed=seed), images=resamples(images, n_boot=n_boot, seed=seed)
    )
    first: _All | None = None
    results = []
    for i in track(range(len(engines)), "measure", len(engines)):
        result, sampled = _measure(engines[i], labels, plans, draws, first)
        results.append(result)
        first = first or sampled
    return Evaluation(data=data.name, n_boot=n_boot, seed=seed, engines=tuple(results), flip_test=flip_test)


def _check_kinds(engines: Sequence[Predictions | Detected], data: PoseData) -> bool:
    """Return whether all are detections; ValueError when some are, or a row is missing."""
    kinds = {isinstance(found, Detected) for found in engines}
    if len(kinds) != 1:
        raise ValueError("engines: expected at least one, all on labeled boxes or all on detections")
    for found in engines:
        if isinstance(found, Predictions):
            shape = (len(data), len(found.engine.skeleton), 2)
            check_array(f"{found.engine.path}: xy_image", found.xy_image, shape)
    return kinds.pop()


def _measure(
    found: Predictions | Detected,
    labels: Labels,
    plans: Plans,
    draws: Draws,
    first: _All | None,  # None for the first engine
) -> tuple[EngineAccuracy, _All]:
    """Measure one engine by every plan."""
    predicted = predicted_of(found, labels)
    single = on_labels(predicted, labels) if plans.matched else predicted
    given = {name: single if name in plans.matched else predicted for name in plans.plans}
    answers = {name: plan.measure(given[name], draws) for name, plan in plans.plans.items()}
    sampled = {name: answer for name, answer in answers.items() if not isinstance(answer, Skip)}
    skipped = {name: answer.reason for name, answer in answers.items() if isinstance(answer, Skip)}
    kept, unkept = ({}, {}) if first is None else _retention(first, sampled, plans.metrics)
    result = EngineAccuracy(
        path=found.engine.path,
        onnx_sha256=found.engine.onnx_sha256,
        precision=found.engine.precision,
        backend=found.engine.backend,
        n=labels.n,
        boxes=found.boxes if isinstance(found, Detected) else "labels",
        joints=labels.joints,
        metrics={name: _value(its, plans.metrics[name].declared) for name, its in sampled.items()},
        curves={k: v for name in sampled for k, v in plans.plans[name].curves(given[name]).items()},
        retention=kept,
        skipped=plans.skipped | skipped | unkept,
        notes={name: _note(plans, name) for name in sampled},
    )
    return result, sampled


def _note(plans: Plans, name: str) -> str:
    note = plans.plans[name].note
    return "; ".join([*([note] if note else []), MATCHED]) if name in plans.matched else note


def predicted_of(found: Predictions | Detected, labels: Labels) -> Predicted:
    """Reduce predictions to the counted people and the compared joints; detections keep all people."""
    columns = [found.engine.skeleton.index(joint) for joint in labels.joints]
    xy = np.asarray(found.xy_image, np.float64)
    if isinstance(found, Predictions):
        counted = labels.counted
        image = labels.people.image[counted]
        return Predicted(xy_image=xy[counted][:, columns], scores=found.scores[counted], image=image)
    return Predicted(
        xy_image=xy[:, columns],
        scores=found.scores,
        image=found.image,
        box_scores=found.box_scores,
        area=found.area,
        grouped=found.grouped,
    )


def _value(sampled: Sampled, declared: Declaration) -> MetricValue:
    return MetricValue(
        interval=interval(sampled.whole),
        n=sampled.n,
        parts={name: Part(interval=interval(part), n=n) for name, (part, n) in _parts(sampled, declared).items()},
        row=sampled.row,
        declared=declared,
    )


def _parts(sampled: Sampled, declared: Declaration) -> dict[str, tuple[Resampled, int]]:
    """Return the joints or limbs of a metric; a metric of people or images has none."""
    return sampled.parts if declared.kind in ("per_joint", "per_limb") else {}


def _retention(base: _All, other: _All, metrics: dict[str, Metric]) -> tuple[dict[str, Retained], dict[str, str]]:
    """Return how much of `base` is retained by `other`, and why that is undefined for some metrics."""
    kept: dict[str, Retained] = {}
    reasons: dict[str, str] = {}
    for name, its in other.items():
        if name not in base:
            reasons[f"retention of {name}"] = "the first engine has no value"
        elif _defined(base[name].whole, its.whole, metrics[name]):
            kept[name] = _retained(base[name], its, metrics[name])
        elif metrics[name].declared.direction == "lower":
            reasons[f"retention of {name}"] = "the error of this engine is 0, so its ratio to the first is undefined"
        else:
            reasons[f"retention of {name}"] = "the first engine scores 0, so there is nothing to keep"
    return kept, reasons


def _defined(base: Resampled, other: Resampled, metric: Metric) -> bool:
    """Return whether the denominator of the retention is above zero."""
    return (other if metric.declared.direction == "lower" else base).value > 0


def _retained(base: Sampled, other: Sampled, metric: Metric) -> Retained:
    """Compute the retention of a metric and of its parts; parts whose retention is undefined are left out."""
    lower, bounded = metric.declared.direction == "lower", metric.declared.unit == "fraction"

    def kept(before: Resampled, after: Resampled, n: int) -> Retention:
        return retention(before, after, n, lower_is_better=lower, bounded=bounded)

    parts = {
        name: kept(base.parts[name][0], part, n)
        for name, (part, n) in _parts(other, metric.declared).items()
        if _defined(base.parts[name][0], part, metric)
    }
    return Retained(kept=kept(base.whole, other.whole, other.n), parts=parts, kind=metric.declared.kind)
