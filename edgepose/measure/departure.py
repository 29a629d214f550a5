"""Find the layer at which two runs of one network part.

The float case: rounding makes every tensor differ by 1e-7 to 1e-5, and errors grow on their way down. The layer to
blame is therefore not the first one above a limit but, among that one and the layers above it, the one at which the
error grows most.

The case of a reduced precision: every layer adds noise, and none is wrong by itself. The layers are ranked by the
signal-to-noise ratio that they lose.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgepose.measure.agreement import Agreement

LIMIT = 1e-4  # relative error: ten times what the order of sums makes in deep networks
NOISE = 1e-7  # relative error of one rounding in float32
CERTAIN = 1e-5  # relative error that rounding of one layer does not make, where what it reads is equal
BEST_DB = 80.0  # differences above this ratio are no loss
USUAL_DB = {
    "fp16": 60.0,
    "int8": 40.0,
    "int8-fp16": 40.0,
    "fp8": 30.0,
}  # that the first layer of a reduced precision has anyway


@dataclass(frozen=True, kw_only=True)
class Step:
    """A tensor that was compared.

    Attributes:
        tensor: Its name in the first network.
        node: The node of the first network that computes it.
        op: The operator of that node.
        agreement: The agreement of the second network with the first.
        reads: The nearest compared tensors that it was computed from.
    """

    tensor: str
    node: str
    op: str
    agreement: Agreement
    reads: tuple[str, ...] = ()


def departs(step: Step, by_name: Mapping[str, Step], limit: float = LIMIT) -> bool:
    """Tell whether a tensor differs by more than rounding: above the limit, or suddenly.

    Args:
        step: The tensor.
        by_name: All tensors that were compared.
        limit: The relative error above which two tensors differ whatever was before them.
    """
    error = step.agreement.relative_error
    return not error <= limit or (error > CERTAIN and growth(step, by_name) > CERTAIN / NOISE)


def growth(step: Step, by_name: Mapping[str, Step]) -> float:
    """Return the error of a tensor as a multiple of the largest error of what it was computed from."""
    before = max((by_name[name].agreement.relative_error for name in step.reads), default=0.0)
    error = step.agreement.relative_error
    if math.isinf(before):
        return 1.0
    return error / max(before, NOISE)


def first_departure(steps: Sequence[Step], limit: float = LIMIT) -> Step | None:
    """Return the tensor at which two float networks part, or None where they agree.

    Args:
        steps: The compared tensors in the order of computation.
        limit: As in `departs`.
    """
    by_name = {step.tensor: step for step in steps}
    first = next((step for step in steps if departs(step, by_name, limit)), None)
    if first is None:
        return None
    above = [step for step in _above(first, by_name) if step.agreement.relative_error > CERTAIN]
    return max([first, *above], key=lambda step: growth(step, by_name))


def last_agreement(steps: Sequence[Step], first: Step | None, limit: float = LIMIT) -> Step | None:
    """Return the last tensor that still agrees before `first`: what it reads, or else the tensor before it."""
    by_name = {step.tensor: step for step in steps}
    before = steps if first is None else steps[: steps.index(first)]
    agreeing = [step for step in before if not departs(step, by_name, limit)]
    read = [step for step in agreeing if first is not None and step.tensor in first.reads]
    return (read or agreeing or [None])[-1]  # type: ignore[list-item]


def losses(steps: Sequence[Step], precision: str = "") -> list[tuple[Step, float]]:
    """Return each tensor with the signal-to-noise ratio in decibels that it loses, the largest loss first.

    Quantization may move a scale from one layer to the next, so that a tensor in between differs and what is computed
    from it does not: a tensor counts as no worse than the worst of its readers.

    The step from float to the first rounded tensor is large in decibels and does little harm. What is above the ratio
    that the precision has anyway is therefore no loss.

    Args:
        steps: The compared tensors in the order of computation.
        precision: The lower precision of the two networks.
    """
    best = USUAL_DB.get(precision, BEST_DB)
    ratios = {step.tensor: min(_ratio(step), best) for step in steps}
    below: dict[str, float] = {}  # tensor -> the lowest ratio of its readers
    for step in reversed(steps):
        ratios[step.tensor] = max(ratios[step.tensor], below.get(step.tensor, -BEST_DB))
        for name in step.reads:
            below[name] = min(below.get(name, best), ratios[step.tensor])
    found = [(step, min((ratios[name] for name in step.reads), default=best) - ratios[step.tensor]) for step in steps]
    return sorted(found, key=lambda pair: -pair[1])


def _ratio(step: Step) -> float:
    ratio = step.agreement.snr_db
    return BEST_DB if math.isnan(ratio) else max(min(ratio, BEST_DB), -BEST_DB)


def _above(step: Step, by_name: Mapping[str, Step]) -> list[Step]:
    """Return the compared tensors that a tensor depends on."""
    waiting, seen = list(step.reads), set[str]()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(by_name[name].reads)
    return [by_name[name] for name in seen]
