"""Accuracy of one or several engines on labelled people, and what each keeps of the first.

`collect` runs an engine on the labelled boxes of a data set; `evaluate` measures what came out, with a
bootstrap interval for every metric and, paired, for every retention.

Joints are matched by name. Every number is over the joints that the data and all engines have (`joints` of
the result), so that engines of different skeletons are comparable; reference lengths come from the labels
alone. What cannot be measured is named in `skipped` with the reason, never filled in.

Who counts: people that are not ignored and have at least one compared joint labelled (`n`). The others get
no prediction, as in the top-down literature's evaluation with ground-truth boxes; OKS knows them as ignored.
A prediction's score, which AP needs, is the mean score of the joints it predicted (its box's score is 1).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgepose._checks import Array, check_array
from edgepose._progress import Track, quiet
from edgepose.datasets.samples import PoseData, Sample, refuse_outside
from edgepose.measure.labels import Plan, Truth, gather, plan_metrics, shared_joints
from edgepose.metrics import oks
from edgepose.metrics.retention import (
    Interval,
    Resampled,
    interval,
    pooled,
    resampled_hits,
    resamples,
    retention,
)
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import Skeleton

# metric -> what is reported, and what its interval and retention come from
_Measured = dict[str, tuple["Metric", Resampled]]
# image [H, W, 3] uint8 BGR, boxes_xyxy [M, 4] float32 -> M people
Run = Callable[[Array, Array], Poses]


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What one engine predicted, one row for each sample of the data set, in its order.

    xy_image: [N, K, 2], K the joints of `skeleton`; NaN where nothing was predicted. scores: [N, K].
    """

    path: str
    precision: str
    backend: str
    onnx_sha256: str
    skeleton: Skeleton
    xy_image: Array  # [N, K, 2] float
    scores: Array  # [N, K] float

    def __post_init__(self) -> None:
        n = check_array("xy_image", self.xy_image, ("N", len(self.skeleton), 2))["N"]
        check_array("scores", self.scores, (n, len(self.skeleton)))


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric with its interval and, for hits, its value by joint or limb (those counted at least once)."""

    interval: Interval
    parts: dict[str, float] = field(default_factory=dict)
    kind: str = "per_joint"  # what parts are: per_joint or per_limb

    def to_json(self) -> dict[str, Any]:
        return _to_json(self.interval) | ({self.kind: dict(self.parts)} if self.parts else {})


@dataclass(frozen=True, kw_only=True)
class EngineAccuracy:
    """One engine's numbers, 0..1. `retention` is against the first engine, empty for that one."""

    path: str
    precision: str
    backend: str
    onnx_sha256: str
    n: int
    joints: tuple[str, ...]
    metrics: dict[str, Metric]
    retention: dict[str, Interval]
    skipped: dict[str, str]  # metric -> why it could not be measured
    notes: dict[str, str]  # metric -> how to read it

    def to_json(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "onnx_sha256": self.onnx_sha256,
            "precision": self.precision,
            "backend": self.backend,
            "n": self.n,
            "joints": list(self.joints),
            "metrics": {name: metric.to_json() for name, metric in self.metrics.items()},
            "retention": {name: _to_json(kept) for name, kept in self.retention.items()},
            "skipped": dict(self.skipped),
            "notes": dict(self.notes),
        }


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All engines on one data set."""

    data: str
    n_boot: int
    seed: int
    engines: tuple[EngineAccuracy, ...]

    def to_json(self) -> dict[str, Any]:
        """The content of `eval --json`."""
        head = {"data": self.data, "n_boot": self.n_boot, "seed": self.seed}
        return head | {"engines": [engine.to_json() for engine in self.engines]}


def _to_json(value: Interval) -> dict[str, Any]:
    return {"value": value.value, "low": value.low, "high": value.high}


def collect(
    run: Run,
    data: PoseData,
    *,
    path: str,
    precision: str,
    backend: str,
    onnx_sha256: str,
    skeleton: Skeleton,
    track: Track = quiet,
) -> Predictions:
    """Run an engine on every labelled person's box, one call an image. DataError for an unreadable image.

    Samples that are ignored or have no label are left out: NaN.
    """
    samples = [data[i] for i in range(len(data))]
    xy = np.full((len(samples), len(skeleton), 2), np.nan)
    scores = np.zeros((len(samples), len(skeleton)))
    groups = list(_by_image(samples))
    for group in track(groups, f"eval {path}", len(groups)):
        boxes = np.stack([samples[i].box_xyxy for i in group]).astype(np.float32)
        image = samples[group[0]].read()
        for i in group:
            refuse_outside(samples[i], (image.shape[0], image.shape[1]))
        poses = run(image, boxes)
        check_array("poses.xy_image", poses.xy_image, (len(group), len(skeleton), 2))
        xy[group], scores[group] = poses.xy_image, poses.scores
    return Predictions(
        path=path,
        precision=precision,
        backend=backend,
        onnx_sha256=onnx_sha256,
        skeleton=skeleton,
        xy_image=xy,
        scores=scores,
    )


def _by_image(samples: Sequence[Sample]) -> Iterator[list[int]]:
    """Indices of neighbouring samples of one image that are to be predicted."""
    wanted = [i for i, sample in enumerate(samples) if not sample.ignore and sample.labelled.any()]
    for _, group in itertools.groupby(wanted, lambda i: (samples[i].image_id, samples[i].name)):
        yield list(group)


def evaluate(
    engines: Sequence[Predictions], data: PoseData, *, n_boot: int = 1000, seed: int = 0, track: Track = quiet
) -> Evaluation:
    """Measure every engine on the same people; retention is against the first.

    DataError when the engines and the data share no joint, or nobody is labelled. ValueError when there is
    no engine, or its predictions are not one row a sample.
    """
    if not engines:
        raise ValueError("engines: expected at least one")
    for engine in engines:
        check_array(f"{engine.path}: xy_image", engine.xy_image, (len(data), len(engine.skeleton), 2))
    truth = gather(data, shared_joints(data, [engine.skeleton for engine in engines]))
    plan = plan_metrics(truth)
    people_draws = resamples(truth.n, n_boot=n_boot, seed=seed)
    image_draws = resamples(truth.images, n_boot=n_boot, seed=seed)
    measured: list[_Measured] = []
    for engine in track(engines, "measure", len(engines)):
        hit_metrics = _hit_metrics(engine, truth, plan, people_draws)
        measured.append(hit_metrics | _oks_metrics(engine, truth, plan, image_draws))
    results = [
        _result(engine, truth, plan, its, None if its is measured[0] else measured[0])
        for engine, its in zip(engines, measured, strict=True)
    ]
    return Evaluation(data=data.name, n_boot=n_boot, seed=seed, engines=tuple(results))


def _result(
    engine: Predictions, truth: Truth, plan: Plan, measured: _Measured, base: _Measured | None
) -> EngineAccuracy:
    kept, unkept = ({}, {}) if base is None else _retention(base, measured)
    return EngineAccuracy(
        path=engine.path,
        onnx_sha256=engine.onnx_sha256,
        precision=engine.precision,
        backend=engine.backend,
        n=truth.n,
        joints=truth.joints,
        metrics={name: metric for name, (metric, _) in measured.items()},
        retention=kept,
        skipped=plan.skipped | unkept,
        notes=plan.notes,
    )


def _hit_metrics(engine: Predictions, truth: Truth, plan: Plan, draws: Array) -> _Measured:
    """PCK, PDJ, PCKh and PCP, as far as planned, resampled over people."""
    columns = [engine.skeleton.index(joint) for joint in truth.joints]
    xy = np.asarray(engine.xy_image, np.float64)[truth.counted][:, columns]
    measured: _Measured = {}
    for name, planned in plan.hits.items():
        hits = planned.hits(xy)
        resampled = resampled_hits(hits, draws)
        values = {part: pooled(hits[:, [i]]) for i, part in enumerate(planned.parts)}
        parts = {part: value for part, value in values.items() if np.isfinite(value)}
        measured[name] = (Metric(interval=interval(resampled), parts=parts, kind=planned.kind), resampled)
    return measured


def _oks_metrics(engine: Predictions, truth: Truth, plan: Plan, draws: Array) -> _Measured:
    """AP, AP50, AP75 and AR over all areas, resampled over images; nothing where they are skipped."""
    if "oks_ap" in plan.skipped:
        return {}
    sigmas = np.array(truth.skeleton.sigmas)[truth.compared]
    matches = oks.match(truth.compared_people(), _found(engine, truth), sigmas, truth.images)
    (ap, ar), (aps, ars) = oks.curves(matches), oks.curves(matches, draws)
    at75 = 5
    resampled = {
        "oks_ap": Resampled(value=float(ap.mean()), values=aps.mean(axis=1)),
        "oks_ap50": Resampled(value=float(ap[0, 0]), values=aps[:, 0]),
        "oks_ap75": Resampled(value=float(ap[0, at75]), values=aps[:, at75]),
        "oks_ar": Resampled(value=float(ar.mean()), values=ars.mean(axis=1)),
    }
    return {name: (Metric(interval=interval(value)), value) for name, value in resampled.items()}


def _found(engine: Predictions, truth: Truth) -> oks.Found:
    """The predictions of the counted people, over the compared joints."""
    columns = [engine.skeleton.index(joint) for joint in truth.joints]
    xy = np.asarray(engine.xy_image, np.float64)[truth.counted]
    compared = xy[:, columns]
    return oks.Found(
        image=truth.people.image[truth.counted],
        xy_image=compared,
        score=oks.person_scores(engine.scores[truth.counted]),
        area=oks.extent_px2(compared),
    )


def _retention(base: _Measured, other: _Measured) -> tuple[dict[str, Interval], dict[str, str]]:
    """What `other` keeps of `base`, and why that cannot be said of some metrics."""
    pairs = {name: (base[name][1], resampled) for name, (_, resampled) in other.items()}
    kept = {name: retention(first, second) for name, (first, second) in pairs.items() if first.value > 0}
    reason = "the first engine scores 0, so there is nothing to keep"
    return kept, {f"retention of {name}": reason for name in pairs if name not in kept}
