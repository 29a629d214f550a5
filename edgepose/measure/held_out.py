"""Retention on people who were held out, with each image left out in turn: what a guard's bounds are computed from."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array
from edgepose.datasets.samples import PoseData
from edgepose.errors import DataError
from edgepose.measure.accuracy import predicted_of
from edgepose.measure.boxes import labels_for
from edgepose.measure.labels import gather, shared_joints
from edgepose.measure.matched import on_labels
from edgepose.measure.plan import plan_found, plan_metrics
from edgepose.measure.predictions import Detected, Predictions
from edgepose.metrics.labels import Labels
from edgepose.metrics.metric import Draws, Plan, Sampled


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """What is retained of one metric.

    Attributes:
        value: The retention over all images.
        without: [I] float64, the retention without each of the I images.
        sizes: [I] float64, the number of people in each image.
    """

    value: float
    without: Array
    sizes: Array


@dataclass(frozen=True, kw_only=True)
class LabeledPeople:
    """Labels that predictions are compared with, metric by metric.

    Attributes:
        labels: The labels.
        plans: Metric -> how it is measured.
        draws: A draw for each image, which leaves it out.
        sizes: [I] float64, the number of people in each image.
        matched: The metrics that are measured on matched people, see `plan.Plans`.
    """

    labels: Labels
    plans: dict[str, Plan]
    draws: Draws
    sizes: Array
    matched: frozenset[str] = frozenset()

    def measure(self, found: Predictions | Detected) -> dict[str, Sampled]:
        """Measure one engine by every metric; those that its predictions do not allow are left out."""
        predicted = predicted_of(found, self.labels)
        single = on_labels(predicted, self.labels) if self.matched else predicted
        answers = {
            name: plan.measure(single if name in self.matched else predicted, self.draws)
            for name, plan in self.plans.items()
        }
        return {name: answer for name, answer in answers.items() if isinstance(answer, Sampled)}


def labeled_people(data: PoseData, first: Predictions | Detected, metrics: Collection[str]) -> LabeledPeople:
    """Read the labels for some metrics.

    Args:
        data: The data set.
        first: The predictions of any engine, for its joints and for the kind of its predictions.
        metrics: Names of the metrics; those that the labels do not allow are left out.

    Raises:
        DataError: The labels allow none of the metrics.
    """
    detected = isinstance(first, Detected)
    data = labels_for(data, first.engine.skeleton)
    labels = gather(data, shared_joints(data, [first.engine.skeleton]), detected=detected)
    plans = plan_found(labels) if isinstance(first, Detected) and first.grouped else plan_metrics(labels)
    kept = {name: plan for name, plan in plans.plans.items() if name in metrics}
    if not kept:
        reasons = "; ".join(f"{name}: {plans.skipped.get(name, 'no such metric')}" for name in metrics)
        raise DataError(f"{data.name}: nothing can be tested on these labels ({reasons})")
    images = labels.images + (labels.empty if detected else 0)
    image = labels.people.image[labels.counted]
    of_person = (image[None, :] != np.arange(images)[:, None]).astype(np.float64)  # [I, n]
    counted = np.bincount(image, minlength=images)
    rows = np.flatnonzero(counted > 0) if not detected else np.arange(images)
    of_image = 1.0 - np.eye(images)
    return LabeledPeople(
        labels=labels,
        plans=kept,
        draws=Draws(people=of_person[rows], images=of_image[rows]),
        sizes=np.maximum(counted[rows], 1).astype(np.float64),
        matched=plans.matched & frozenset(kept),
    )


def retained(people: LabeledPeople, first: dict[str, Sampled], found: dict[str, Sampled]) -> dict[str, LeftOut]:
    """Return what is retained of each metric that the float network has above zero."""
    kept = {}
    for name in people.plans:
        if name not in first or name not in found or not first[name].whole.value > 0:
            continue
        before, after = first[name].whole, found[name].whole
        value = after.value / before.value
        ratio = np.divide(after.values, before.values, out=np.full(len(after.values), value), where=before.values > 0)
        kept[name] = LeftOut(value=value, without=ratio, sizes=people.sizes)
    return kept
