"""The guard's statistics: what a sample of people proves about the accuracy that a quantized network retains.

A sample never proves that nothing is lost. It proves that at least a floor is retained, at 95 % confidence, and only if
it is large enough. Three answers are possible for the candidates of a search, from the one with most float layers to
the one with most int8 layers:

- `KEPT`: the lower bound of every metric is at or above its floor.
- `UNPROVEN`: every estimate is at or above its floor, but a bound is not; more people are needed.
- `CANNOT`: even the candidate with most float layers loses more than the floor allows, beyond what chance explains.

The units are images, because the people of one image are not independent. Each unit has an influence on the retention:
what the loss would change if the unit were left out (the jackknife; Efron, 1982). The lower bound is the one of
Johnson ("Modified t tests", JASA 1978), which corrects Student's for a skewed sample, over the sample and one unit
more: an image on which everything is lost. Without that unit, a sample that shows no loss would have no spread and
prove everything. With it, n images without a loss prove a loss of about 3.2 / n, where the exact bound for whole images
that are lost (the rule of three) is 3.0 / n.

All metrics of one candidate must pass, so no correction for several metrics is needed (intersection-union test;
Berger, 1982). The candidates are tested in a fixed order, and the first failure ends the test, so that none is needed
for several candidates either (Maurer, Hothorn & Lehmacher, 1995).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array, check_array

KEPT, UNPROVEN, CANNOT = "kept", "unproven", "cannot be kept"
CONFIDENCE = 0.95
Z = 1.6448536269514722  # one-sided 95 % quantile of the normal distribution
POWER = 0.8416212335729143  # 80 %: four of five samples of the size that `units_needed` names prove the floor
TOLERANCE = 1e-9  # a retention is a quotient of floating-point numbers


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a sample says about the retention of one metric by one candidate.

    Attributes:
        value: The retention: the metric's value over that of the float network.
        influence: [I] float64, how much of the loss 1 - value comes from each of the I images beyond the mean of all.
            The sum is 0.
        largest: The loss if one average image lost all that it can, 1 / I where images weigh the same.
    """

    value: float
    influence: Array
    largest: float

    @property
    def error(self) -> float:
        """The standard error of the retention."""
        return float(np.sqrt((self.influence**2).sum()))


@dataclass(frozen=True, kw_only=True)
class Bound:
    """What a sample proves about one metric.

    Attributes:
        value: The retention in the sample.
        low: The retention that is proven: the one-sided 95 % lower bound.
        floor: The retention that was asked for.
        needed: About how many images would prove the floor; None where no number would, because the estimate is at or
            below the floor.
        possible: The retention that is possible by what the sample says, where an estimate below the floor may be
            chance or is a conservative prediction; else None.
    """

    value: float
    low: float
    floor: float
    needed: int | None
    possible: float | None = None

    @property
    def may_pass(self) -> bool:
        """Whether the floor may be kept, although the estimate may be below it."""
        return self.passes or (self.possible is not None and self.possible >= self.floor - TOLERANCE)

    @property
    def passes(self) -> bool:
        """Whether the estimate is at or above the floor."""
        return self.value >= self.floor - TOLERANCE

    @property
    def proven(self) -> bool:
        """Whether the bound is at or above the floor."""
        return self.low >= self.floor - TOLERANCE


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer to a path of candidates.

    Attributes:
        answer: `KEPT`, `UNPROVEN` or `CANNOT`.
        chosen: Position of the candidate to use; None for `CANNOT`.
    """

    answer: str
    chosen: int | None


def jackknife(value: float, without: Array, sizes: Array) -> Evidence:
    """Return the evidence of a retention that was computed without each image in turn.

    Args:
        value: The retention over all images.
        without: [I] float64, the retention without each image.
        sizes: [I] float, the number of people in each image.
    """
    count = check_array("without", without, ("I",))["I"]
    check_array("sizes", sizes, (count,))
    influence = (count - 1) / count * (without - value)  # a unit with a loss raises the rest when it is left out
    return Evidence(value=value, influence=influence - influence.mean(), largest=_largest(sizes))


def mean_loss(loss: Array, image: Array, most: float = 1.0) -> Evidence:
    """Return the evidence of a loss that is a mean over people.

    Args:
        loss: [N] float, the loss of each person.
        image: [N] int, the image of each person.
        most: The largest loss that a person can have.
    """
    count = check_array("loss", loss, ("N",))["N"]
    check_array("image", image, (count,))
    _, of = np.unique(image, return_inverse=True)
    influence = np.bincount(of, weights=loss - loss.mean()) / count
    return Evidence(value=1.0 - float(loss.mean()), influence=influence, largest=most * _largest(np.bincount(of)))


def predicted(evidence: Evidence, factor: float) -> Evidence:
    """Return the evidence of a loss that is predicted to be a multiple of another one.

    A gain is taken for chance and not multiplied.

    Args:
        evidence: What a sample says about the other loss.
        factor: The multiple.
    """
    return Evidence(
        value=1.0 - factor * max(0.0, 1.0 - evidence.value),
        influence=factor * evidence.influence,
        largest=evidence.largest,
    )


def _largest(sizes: Array) -> float:
    """The share of the people in one image, as it is on average for a person."""
    return float((sizes**2).sum() / sizes.sum() ** 2)


def lower_bound(evidence: Evidence) -> float:
    """Return the retention that the sample proves with `CONFIDENCE`; at most the estimate, at least 0."""
    count = len(evidence.influence)
    if count < 2:
        return 0.0
    correction = count / (count - 1)
    variance = float((evidence.influence**2).sum()) * correction + evidence.largest**2
    skew = max(0.0, float((evidence.influence**3).sum())) + evidence.largest**3
    loss = 1 - evidence.value + student(count - 1) * math.sqrt(variance) + SKEW * skew / variance
    return max(0.0, 1.0 - loss)


SKEW = (2 * Z**2 + 1) / 6 + 0.5  # Johnson's term, and half a unit because losses of whole images are counts


def student(freedom: int) -> float:
    """Return the one-sided 95 % quantile of Student's distribution, exact to 0.1 % (Cornish-Fisher expansion)."""
    first = (Z**3 + Z) / 4
    second = (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96
    third = (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384
    return Z + first / freedom + second / freedom**2 + third / freedom**3


def bound(evidence: Evidence, floor: float, possible: float | None = None) -> Bound:
    """Return what a sample proves about a floor.

    Args:
        evidence: What the sample says.
        floor: The retention that was asked for.
        possible: The retention that is possible, where the estimate may be below it by chance.
    """
    return Bound(
        value=evidence.value,
        low=lower_bound(evidence),
        floor=floor,
        needed=units_needed(evidence, floor),
        possible=possible,
    )


def units_needed(evidence: Evidence, floor: float) -> int | None:
    """Return about how many images prove the floor in four of five cases, if the retention is as estimated.

    Returns:
        A number; None where the estimate is not above the floor.
    """
    count, room = len(evidence.influence), evidence.value - floor
    if room <= TOLERANCE or count < 2:
        return None
    # in units of one image: variance of an image, and the one that loses everything
    spread = float((evidence.influence**2).sum()) * count
    lost = evidence.largest * count
    low, high = 2.0, 1e9
    while high / low > 1.001:
        middle = math.sqrt(low * high)
        variance = spread * middle + lost**2
        margin = Z * math.sqrt(variance) + POWER * math.sqrt(spread * middle) + SKEW * lost**3 / variance
        low, high = (middle, high) if margin > room * middle else (low, middle)
    return math.ceil(high)


def verdict(path: Sequence[Mapping[str, Bound]]) -> Verdict:
    """Test candidates in a fixed order and stop at the first that fails.

    Args:
        path: For each candidate, from most float layers to most int8 layers, the bound of each metric.

    Returns:
        The candidate with most int8 layers up to which everything is proven; where not even the first is proven, the
        one up to which every estimate is at or above its floor, or the first if it may keep it.
    """
    proven = _prefix([all(item.proven for item in candidate.values()) and bool(candidate) for candidate in path])
    if proven:
        return Verdict(answer=KEPT, chosen=proven - 1)
    passing = _prefix([all(item.passes for item in candidate.values()) for candidate in path])
    if not passing and path and all(item.may_pass for item in path[0].values()):
        passing = 1
    return Verdict(answer=UNPROVEN, chosen=passing - 1) if passing else Verdict(answer=CANNOT, chosen=None)


def _prefix(flags: Sequence[bool]) -> int:
    return next((i for i, flag in enumerate(flags) if not flag), len(flags))
