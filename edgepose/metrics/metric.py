"""What a metric declares, and how its value is planned from the labels and measured from predictions.

A metric is one object: a frozen subclass of `Metric`. `Metric.plan` looks at the labels once and returns a plan, or a
`Skip` with the reason why the labels do not allow the metric. The plan then measures every engine. Two kinds of plan
exist: `MeanPlan` here, for metrics that are the mean of one value per person and joint (or limb), and the plan of
`edgepose.metrics.oks_ap`, whose value belongs to a list of images. A new metric usually returns a `MeanPlan`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Protocol, TypeVar

import numpy as np

from edgepose._checks import Array
from edgepose.metrics.curves import Curve, curve
from edgepose.metrics.labels import Labels
from edgepose.metrics.retention import Resampled, resampled_mean, resampled_means
from edgepose.metrics.rows import LAYOUTS, in_mean, row

Kind = Literal["per_joint", "per_limb", "per_person", "per_image"]
Direction = Literal["higher", "lower"]
T = TypeVar("T")

ONE_PER_PERSON = "it is defined for one prediction of each labeled person; leave --detector out to measure it"


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """What a reader of a value must know about its metric.

    Attributes:
        kind: What is counted: joints, limbs, people or images.
        unit: The unit of the value: "fraction", "pixels", "mm", ...
        direction: "higher" where a higher value is better, "lower" where a lower value is better.
        percent: Whether the value is printed times 100, as percent.
        decimals: Number of digits after the decimal point in print.
    """

    kind: Kind = "per_joint"
    unit: str = "fraction"
    direction: Direction = "higher"
    percent: bool = True
    decimals: int = 2

    def text(self, value: float) -> str:
        """Format a value for tables, without its unit."""
        return f"{100 * value if self.percent else value:.{self.decimals}f}"

    @property
    def printed_unit(self) -> str:
        """The unit of the printed value: "percent", "pixels", ..."""
        return "percent" if self.percent else self.unit


FRACTION_OF_JOINTS = Declaration()
FRACTION_OF_LIMBS = Declaration(kind="per_limb")
FRACTION_OF_PEOPLE = Declaration(kind="per_person")
ERROR_IN_PIXELS = Declaration(unit="pixels", direction="lower", percent=False)


@dataclass(frozen=True, kw_only=True)
class Skip:
    """The metric cannot be measured, for this reason. The reason is shown to the user."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Bootstrap weights: how often each person, or each image, is in each of B draws.

    Attributes:
        people: [B, n] float64, for the n counted people.
        images: [B, I] float64, for all I images.
    """

    people: Array
    images: Array


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """The predictions of one engine: one per counted person, or D detected people.

    Attributes:
        xy_image: [n, C, 2] or [D, C, 2] float64, the compared joints in image pixels; NaN where not predicted.
        scores: [n, K] or [D, K] float, the scores of all joints of the engine's skeleton.
        image: [n] or [D] int64, the number of each person's image.
        box_scores: [D] float, the scores of detected people; None for one prediction per labeled person.
        area: [D] float, square pixels of the image that the network saw; None as `box_scores`.
        grouped: Whether the network found the people itself, so that `box_scores` are the scores of whole people.
        shared: Results that several metrics need and that are computed once (see `once`).
    """

    xy_image: Array
    scores: Array
    image: Array
    box_scores: Array | None = None
    area: Array | None = None
    grouped: bool = False
    shared: dict[str, Any] = field(default_factory=dict)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Return the shared result `name`, computed by `make` at the first call."""
        if name not in self.shared:
            self.shared[name] = make()
        found: T = self.shared[name]
        return found


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """A measured metric with its bootstrap draws.

    Attributes:
        whole: The value over everybody and over each draw.
        n: How many joints, limbs or people are counted.
        parts: Joint or limb -> (its value and draws, how often it is counted); only those counted at least once.
        row: Column -> value, as papers on this skeleton print it.
    """

    whole: Resampled
    n: int
    parts: dict[str, tuple[Resampled, int]] = field(default_factory=dict)
    row: dict[str, float] = field(default_factory=dict)


class Plan(Protocol):
    """How a metric is measured on given labels. `note` says how to read the value."""

    @property
    def note(self) -> str:
        """How to read the value, for example what its reference length is."""
        ...

    def measure(self, predicted: Predicted, draws: Draws) -> Sampled | Skip:
        """Measure one engine, or say why its predictions have no value."""
        ...

    def curves(self, predicted: Predicted) -> dict[str, Curve]:
        """Return the curves that are reported with the metric, by name."""
        ...


@dataclass(frozen=True, kw_only=True)
class Metric(ABC):
    """One accuracy metric.

    Attributes:
        name: The name in results, for example "pck@0.2". Unique among the registered metrics.
        declared: Kind, unit, direction and print format.
        needs: The parts of the labels that the metric needs, in words: "torso", "head size", "sigmas", "limbs", ...
        references: The papers, or the code, that define the metric.
        best: The value of perfect predictions.
    """

    name: str
    declared: Declaration
    needs: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    best: float = 1.0

    on_detections: ClassVar[bool] = False  # whether the metric is defined for detected people
    of_boxes: ClassVar[bool] = False  # whether it measures boxes without joints, and not joints

    def plan(self, labels: Labels) -> Plan | Skip:
        """Decide how the metric is measured on `labels`, or why it cannot be measured."""
        if labels.detected and not self.on_detections:
            return Skip(reason=ONE_PER_PERSON)
        return self.plan_on(labels)

    @abstractmethod
    def plan_on(self, labels: Labels) -> Plan | Skip:
        """Return the plan for labels whose predictions have the form that the metric is defined for."""


@dataclass(frozen=True, kw_only=True)
class MeanPlan:
    """A metric that is the mean of values per person and part. People are what the bootstrap draws.

    Attributes:
        note: How to read the value.
        parts: Names of the P parts: the compared joints, or limbs.
        values: Turns predictions [n, C, 2] into values [n, P]: NaN where not counted, infinite where the value is
            undefined because the joint was not predicted.
        in_mean: [P] bool, the parts that the value counts; all are reported by part.
        skeleton: Name of the labels' skeleton if the parts are joints, to report the row that papers print.
        curve: Name of a curve that is reported with the metric, or "" for none.
        errors: Turns predictions [n, C, 2] into errors [n, C] in units of the curve's thresholds.
    """

    note: str
    parts: Sequence[str]
    values: Callable[[Array], Array]
    in_mean: Array
    skeleton: str = ""
    curve: str = ""
    errors: Callable[[Array], Array] | None = None

    def measure(self, predicted: Predicted, draws: Draws) -> Sampled | Skip:
        """Compute the mean, its draws and its parts; `Skip` where a counted value is infinite."""
        values = self.values(predicted.xy_image)  # [n, P]
        missing = int(np.isinf(values).sum())
        if missing:
            return Skip(reason=f"{missing} labeled joints were not predicted, so their error is undefined")
        counted = np.isfinite(values).sum(axis=0)  # [P]
        parts = zip(self.parts, resampled_means(values, draws.people), counted.tolist(), strict=True)
        return Sampled(
            whole=resampled_mean(values[:, self.in_mean], draws.people),
            n=int(counted[self.in_mean].sum()),
            parts={name: (part, n) for name, part, n in parts if n},
            row=self._row(values),
        )

    def _row(self, values: Array) -> dict[str, float]:
        if self.skeleton not in LAYOUTS:
            return {}
        columns = row(values, self.parts, self.skeleton)
        return {name: value for name, value in columns.items() if np.isfinite(value)}

    def curves(self, predicted: Predicted) -> dict[str, Curve]:
        """Return the curve over thresholds; as the value, `pooled` is over the joints that the mean counts."""
        if self.errors is None:
            return {}
        errors = self.errors(predicted.xy_image)
        return {self.curve: replace(curve(errors), pooled=curve(errors[:, self.in_mean]).pooled)}


def joints_in_mean(labels: Labels) -> Array:
    """[C] bool: the compared joints that the mean of the skeleton's literature counts (see `rows`)."""
    return in_mean(labels.skeleton.name, labels.joints)
