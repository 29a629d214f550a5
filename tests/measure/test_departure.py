"""Which of several tensors that differ is to blame."""

from __future__ import annotations

import math

from edgepose.measure.agreement import Agreement
from edgepose.measure.departure import Step, first_departure, last_agreement, losses


def step(name: str, error: float, *reads: str, snr_db: float = 0.0) -> Step:
    agreement = Agreement(relative_error=error, snr_db=snr_db)
    return Step(tensor=name, node=f"/{name}", op="Conv", agreement=agreement, reads=reads)


def test_rounding_is_no_departure() -> None:
    steps = [step("a", 3e-7), step("b", 4e-6, "a"), step("c", 6e-5, "b")]
    assert first_departure(steps) is None
    assert last_agreement(steps, None) == steps[-1]


def test_the_layer_whose_error_grows_most_is_to_blame_not_the_first_above_the_limit() -> None:
    steps = [step("a", 2e-7), step("b", 8e-5, "a"), step("c", 3e-4, "b"), step("d", 0.2, "c")]
    assert first_departure(steps) == steps[1]
    assert last_agreement(steps, steps[1]) == steps[0]


def test_a_small_error_behind_equal_tensors_is_a_departure() -> None:
    steps = [step("a", 0.0), step("b", 2e-5, "a"), step("c", 1e-5, "b")]
    assert first_departure(steps) == steps[1]


def test_another_branch_is_not_blamed() -> None:
    steps = [step("a", 1e-7), step("left", 9e-6, "a"), step("right", 0.5, "a"), step("sum", 0.3, "left", "right")]
    assert first_departure(steps) == steps[2]
    assert last_agreement(steps, steps[2]) == steps[0]


def test_nan_departs() -> None:
    steps = [step("a", 1e-7), step("b", math.inf, "a", snr_db=-math.inf), step("c", math.inf, "b", snr_db=-math.inf)]
    assert first_departure(steps) == steps[1]
    assert first_departure([steps[0], step("b", math.nan, "a")]) is not None


def test_losses_are_ranked_and_a_scale_that_was_moved_is_none() -> None:
    steps = [
        step("a", 0.1, snr_db=40),
        step("scaled", 9.0, "a", snr_db=2),
        step("b", 0.1, "scaled", snr_db=38),
        step("c", 0.3, "b", snr_db=20),
    ]
    ranked = losses(steps)
    assert [(item.tensor, round(loss)) for item, loss in ranked] == [("a", 40), ("c", 18), ("scaled", 2), ("b", 0)]


def test_the_first_rounding_is_not_the_largest_loss() -> None:
    """80 dB to 39 dB is what int8 costs anyway; 38 dB to 20 dB is the layer to keep in float."""
    ratios = {"first": 39.0, "second": 38.0, "wrong": 20.0}
    steps, above = [], ()
    for name, ratio in ratios.items():
        found = Agreement(relative_error=10 ** (-ratio / 20), snr_db=ratio)
        steps.append(Step(tensor=name, node=name, op="Conv", agreement=found, reads=above))
        above = (name,)
    step, loss = losses(steps, "int8")[0]
    assert (step.tensor, loss) == ("wrong", 18.0)
