"""How one of COCO's numbers is read off the summaries of all images, for joints (`oks_ap`) and for boxes (`box_ap`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgepose._checks import Array
from edgepose.metrics.curves import Curve
from edgepose.metrics.labels import Labels
from edgepose.metrics.metric import Draws, Predicted, Sampled
from edgepose.metrics.precision import Summary
from edgepose.metrics.retention import Resampled


@dataclass(frozen=True, kw_only=True)
class SummaryPlan:
    """How one of COCO's numbers is measured. Images are what the bootstrap draws.

    Attributes:
        note: How to read the value.
        summary: The field of `precision.Summary`.
        people: The number of counted people of the metric's size.
        labels: The labels that predictions are matched with.
        summaries: Labels, predictions and weights of the images in each draw -> the summaries over all images, and over
            each draw. It runs once for all numbers of one evaluation.
    """

    note: str
    summary: str
    people: int
    labels: Labels
    summaries: Callable[[Labels, Predicted, Array], tuple[Summary, Summary]]

    def measure(self, predicted: Predicted, draws: Draws) -> Sampled:
        """Read the number off the summaries of all images and of each draw."""
        key = f"summaries of {self.summaries.__module__}"
        whole, drawn = predicted.once(key, lambda: self.summaries(self.labels, predicted, draws.images))
        value = float(getattr(whole, self.summary)[0])
        return Sampled(whole=Resampled(value=value, values=getattr(drawn, self.summary)), n=self.people)

    def curves(self, predicted: Predicted) -> dict[str, Curve]:
        """Return no curve."""
        return {}
