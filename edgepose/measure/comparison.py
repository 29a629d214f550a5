"""Compare a contract's preprocessing with the usual alternatives on people of a data set.

A wrong color order or a wrong scale of pixels costs accuracy without an error. Every alternative is a change of
`input.color`, `input.mean`, `input.std` and `input.scale` in the contract; the network stays as it is. All are run on
the same people through the pipeline of `eval`.

The best alternative is chosen on one half of the people: all are run on a few, and those that are far behind are
dropped. It is confirmed on the other half, which knows nothing of the choice. What counts is the lower end of the
paired bootstrap interval of the improvement there.

Labeled people are compared by PCK. Others are compared by the mean score of the joints, which is weaker evidence: a
network may be sure of what is wrong. A network that finds people by itself is compared by the score of the best person
that it finds in each image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgepose._checks import Array
from edgepose._progress import Track, quiet
from edgepose.artifacts.spec import ModelSpec
from edgepose.backends.session import Session
from edgepose.datasets.samples import PoseData, Sample, SampleList, counted, refuse_outside
from edgepose.errors import DataError, ModelError
from edgepose.measure.alternatives import Alternative, alternatives
from edgepose.measure.labels import gather, shared_joints
from edgepose.measure.plan import plan_metrics
from edgepose.metrics.metric import MeanPlan
from edgepose.metrics.retention import Interval, pooled, resampled_mean, resamples
from edgepose.runtime.pipeline import Pipeline, open_pipeline

PEOPLE = 200
FEWEST = 40
FIRST = 16  # people on whom all alternatives are run
BEHIND = 0.1  # of the metric; alternatives that are further behind the best are dropped
METRICS = ("pck@0.2", "pckh@0.5", "pck_box@0.2")  # the first that the labels allow
SCORE, BEST = "score", "best score"
SCORES = {
    SCORE: "mean score of the joints (no labels)",
    BEST: "mean score of the best person of each image",
}
PERCENTILES = (0.5, 99.5)
MARGIN = 0.005  # that the lower end of the improvement must exceed
SCORE_MARGIN = 0.05  # likewise for scores
SURE = 1.05  # a score above it is no confidence, and counts as 0


@dataclass(frozen=True, kw_only=True)
class Tried:
    """How one preprocessing did.

    Attributes:
        alternative: The preprocessing.
        value: The metric over the people that it was run on.
        people: How many they are; fewer for what was far behind.
    """

    alternative: Alternative
    value: float
    people: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A contract and its alternatives, measured on the same people.

    Attributes:
        metric: Name of the metric, "score" for the mean score of the joints, or "best score" for that of the best
            person of each image.
        people: Number of people, half of whom confirm the choice.
        given: The contract as it is.
        others: The alternatives, the best first.
        improvement: The metric of the best alternative minus that of the contract, with its 99 % interval, over the
            people who did not choose; None where the contract itself was best.
        proposed: The alternative that is better by a clear margin, or None.
    """

    metric: str
    people: int
    given: Tried
    others: tuple[Tried, ...]
    improvement: Interval | None = None
    proposed: Alternative | None = None

    def lines(self) -> list[str]:
        """Return the result for a person."""
        what = SCORES.get(self.metric, self.metric)
        made = [f"{what}: {self.given.value:.3f} with the contract as it is, on {self.given.people} people"]
        made += [f"  {one.value:.3f} with {one.alternative.name}, on {one.people} people" for one in self.others[:4]]
        if self.proposed is None or self.improvement is None:
            return [*made, "none of the usual alternatives of color, mean and std is clearly better"]
        weak = "" if self.metric not in SCORES else "; scores are weak evidence, so confirm it on labeled people"
        gain = (
            f"{self.improvement.value:+.3f} (99 % interval {self.improvement.low:+.3f} to {self.improvement.high:+.3f})"
        )
        return [
            *made,
            f"{self.proposed.name} is better: {gain} on {self.people - self.people // 2} other people{weak}",
            f"change the spec to: {self.proposed.toml()}",
        ]


Values = Callable[[Array, Array, slice], Array]  # joints [n, K, 2], scores [n, K], the people -> values [n, P]


def compare(
    session: Session, spec: ModelSpec, data: PoseData, *, people: int = PEOPLE, seed: int = 0, track: Track = quiet
) -> Comparison:
    """Compare a contract with its alternatives.

    Args:
        session: The opened network.
        spec: Its contract.
        data: People with or without labels.
        people: The largest number of people to run.
        seed: The seed of the bootstrap.
        track: Shows the progress.

    Raises:
        DataError: There are too few people, the labels share no joint with the network, or an image cannot be read.
    """
    chosen = _subset(data, people)
    metric, values = _metric(spec, chosen)
    measure = _Measure(session, spec, chosen, values)
    half = len(chosen) // 2
    choices = (Alternative(name="the contract as it is", input=spec.input), *alternatives(spec.input))
    first = [measure(choice, slice(0, FIRST)) for choice in track(choices, "compare contracts", len(choices))]
    best = max(pooled(value) for value in first)
    near = [i for i, value in enumerate(first) if i == 0 or pooled(value) >= best - BEHIND]
    seen = {
        i: np.concatenate([first[i], measure(choices[i], slice(FIRST, half))])
        for i in track(near, "compare the best contracts", len(near))
    }
    tried = [
        Tried(alternative=choice, value=pooled(seen.get(i, first[i])), people=len(seen.get(i, first[i])))
        for i, choice in enumerate(choices)
    ]
    winner = max(seen, key=lambda i: (pooled(seen[i]), -i))
    improvement = _improvement(measure, choices, winner, slice(half, len(chosen)), seed) if winner else None
    clear = improvement is not None and improvement.low > (SCORE_MARGIN if metric in SCORES else MARGIN)
    return Comparison(
        metric=metric,
        people=len(chosen),
        given=tried[0],
        others=tuple(sorted(tried[1:], key=lambda one: (-one.people, -one.value))),
        improvement=improvement,
        proposed=choices[winner] if clear else None,
    )


def _improvement(
    measure: _Measure, choices: Sequence[Alternative], winner: int, confirming: slice, seed: int
) -> Interval:
    gain = measure(choices[winner], confirming) - measure(choices[0], confirming)
    made = resampled_mean(gain, resamples(len(gain), seed=seed))
    low, high = np.nanpercentile(made.values, PERCENTILES)
    return Interval(value=made.value, low=float(low), high=float(high))


def _subset(data: PoseData, people: int) -> SampleList:
    """Return evenly spread people, labeled ones where there are any, in an order that mixes the data set."""
    every = [data[i] for i in counted(data)]
    labeled = [sample for sample in every if sample.labeled.any()] or every
    if len(labeled) < FEWEST:
        raise DataError(
            f"{data.name}: {len(labeled)} people are too few to compare contracts on; give {FEWEST} or more"
        )
    count = min(people, len(labeled))
    picked: list[Sample] = [labeled[i * len(labeled) // count] for i in range(count)]
    mixed = np.random.default_rng(0).permutation(count)
    return SampleList(
        name=data.name,
        skeleton=data.skeleton,
        samples=tuple(picked[i] for i in mixed),
        image_ids=tuple(data.image_ids),
    )


@dataclass(frozen=True)
class _Measure:
    """Measures one preprocessing on some of the people."""

    session: Session
    spec: ModelSpec
    data: SampleList
    values: Values

    def __call__(self, choice: Alternative, part: slice) -> Array:
        """Return the values [n, P] of the people in `part`."""
        samples = self.data.samples[part]
        xy = np.full((len(samples), len(self.spec.skeleton), 2), np.nan)
        scores = np.zeros(xy.shape[:2])
        with open_pipeline(self.session, replace(self.spec, input=choice.input)) as pipeline:
            for i, sample in enumerate(samples):
                _run(pipeline, sample, xy[i], scores[i])
        return self.values(xy, scores, part)


def _run(pipeline: Pipeline, sample: Sample, xy: Array, scores: Array) -> None:
    """Write the joints and scores of one person; they stay where the wrong pixels make the network overflow."""
    image = sample.read()
    refuse_outside(sample, (image.shape[0], image.shape[1]))
    try:
        if pipeline.finds_people:
            scores[:] = pipeline(image).box_scores.max(initial=0.0)
            return
        poses = pipeline(image, sample.box_xyxy[None].astype(np.float32))
    except ModelError:
        return
    xy[:], scores[:] = poses.xy_image[0], poses.scores[0]


def _metric(spec: ModelSpec, data: SampleList) -> tuple[str, Values]:
    """Return the name of the metric and the function that computes its values."""
    if spec.codec.finds_people:
        return BEST, lambda xy, scores, part: np.where((scores >= 0) & (scores <= SURE), scores, 0.0)[:, :1]
    if not any(sample.labeled.any() for sample in data.samples):
        return SCORE, lambda xy, scores, part: np.where((scores >= 0) & (scores <= SURE), scores, 0.0)
    joints = shared_joints(data, [spec.skeleton])
    labels = gather(data, joints)
    plans = plan_metrics(labels)
    name = next((name for name in METRICS if name in plans.plans), None)
    if name is None:
        reasons = "; ".join(plans.skipped.get(name, "it is not registered") for name in METRICS)
        raise DataError(f"{data.name}: none of {', '.join(METRICS)} can be measured: {reasons}")
    plan = plans.plans[name]
    assert isinstance(plan, MeanPlan)
    columns, counts = [spec.skeleton.index(joint) for joint in joints], labels.counted

    def values(xy: Array, scores: Array, part: slice) -> Array:
        """Put the people of `part` among the others, who are missed and left out again."""
        every = np.full((len(data), *xy.shape[1:]), np.nan)
        every[part] = xy
        made = np.full((len(data), len(joints)), np.nan)
        made[counts] = plan.values(every[counts][:, columns])
        return np.asarray(made[part][:, plan.in_mean])

    return name, values
