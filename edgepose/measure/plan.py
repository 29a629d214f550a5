"""Which metrics the labels allow, and why the others are skipped.

Every registered metric (`edgepose.metrics.MODULES`) of joints is asked once, or every one of boxes for a person
detector. A metric that the labels do not allow (no neck, no
torso, no OKS sigmas) is skipped with the reason; the plan of any other then measures every engine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgepose.measure.boxes import CORNERS
from edgepose.metrics import registered_metrics
from edgepose.metrics.labels import Labels
from edgepose.metrics.metric import Metric, Plan, Skip


@dataclass(frozen=True, kw_only=True)
class Plans:
    """What to measure.

    Attributes:
        metrics: All registered metrics by name.
        plans: Metric -> its plan, for those that the labels allow.
        skipped: Metric -> the reason why the labels do not allow it.
        matched: The metrics that need one prediction for each labeled person, and are measured on people that the
            network found by itself and that were matched with the labeled ones.
    """

    metrics: dict[str, Metric]
    plans: dict[str, Plan]
    skipped: dict[str, str]
    matched: frozenset[str] = frozenset()


def plan_metrics(labels: Labels) -> Plans:
    """Ask every registered metric of joints, or of boxes where they are labels of boxes, how it is measured."""
    boxes = labels.skeleton.name == CORNERS.name
    metrics = {name: metric for name, metric in registered_metrics().items() if metric.of_boxes == boxes}
    answers = {name: metric.plan(labels) for name, metric in metrics.items()}
    return Plans(
        metrics=metrics,
        plans={name: answer for name, answer in answers.items() if not isinstance(answer, Skip)},
        skipped={name: answer.reason for name, answer in answers.items() if isinstance(answer, Skip)},
    )


def plan_found(labels: Labels) -> Plans:
    """Ask every registered metric how it is measured on `labels` for people that networks found by themselves.

    Metrics of one prediction per labeled person are measured too, after the people were matched (`measure.matched`).
    """
    lists, single = plan_metrics(labels), plan_metrics(replace(labels, detected=False))
    matched = frozenset(name for name, metric in lists.metrics.items() if not metric.on_detections)

    def chosen(name: str) -> Plans:
        return single if name in matched else lists

    return Plans(
        metrics=lists.metrics,
        plans={name: chosen(name).plans[name] for name in lists.metrics if name in chosen(name).plans},
        skipped={name: chosen(name).skipped[name] for name in lists.metrics if name in chosen(name).skipped},
        matched=matched,
    )
