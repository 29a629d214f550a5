"""The guard's statistics: the bound holds its level, and the answers follow from bounds and estimates."""

from __future__ import annotations

import numpy as np
import pytest

from edgepose.quantize.guard import (
    CANNOT,
    KEPT,
    UNPROVEN,
    Bound,
    Evidence,
    Verdict,
    bound,
    jackknife,
    lower_bound,
    mean_loss,
    student,
    units_needed,
    verdict,
)


def evidence(losses: np.ndarray) -> Evidence:
    return mean_loss(losses, np.arange(len(losses)))


def test_people_without_a_loss_prove_about_the_rule_of_three() -> None:
    """The exact bound is 1 - 0.05 ** (1 / n)."""
    for people in (50, 300, 1000):
        proven = 1 - lower_bound(evidence(np.zeros(people)))
        assert 1 - 0.05 ** (1 / people) < proven < 3.6 / people


@pytest.mark.parametrize("freedom, exact", [(5, 2.0150), (10, 1.8125), (30, 1.6973), (1000, 1.6464)])
def test_student_quantiles(freedom: int, exact: float) -> None:
    assert student(freedom) == pytest.approx(exact, rel=1e-3)


def draws(kind: str, people: int, random: np.random.Generator) -> tuple[np.ndarray, float]:
    """The losses of people, and their true mean: lost people, lost joints, noise around nothing, and mixtures."""
    if kind.startswith("lost people"):
        share = float(kind.split()[-1])
        return (random.random(people) < share).astype(float), share
    if kind == "lost joints":
        return random.binomial(14, 0.01, people) / 14, 0.01
    if kind == "noise":
        return random.choice([-1, 0, 1], people, p=[0.02, 0.95, 0.03]) / 14, 0.01 / 14
    noise = random.choice([-1, 0, 1], people, p=[0.1, 0.8, 0.1]) / 14
    lost = random.random(people) < 2.8 / people
    return np.where(lost, 1.0, noise), 2.8 / people


@pytest.mark.parametrize(
    "kind", ["lost people 0.003", "lost people 0.01", "lost people 0.03", "lost joints", "noise", "mixture"]
)
@pytest.mark.parametrize("people", [100, 400])
def test_the_bound_is_violated_in_at_most_five_percent_of_samples(kind: str, people: int) -> None:
    random = np.random.default_rng(sum(map(ord, kind)) + people)
    runs = 1000
    wrong = 0
    for _ in range(runs):
        losses, mean = draws(kind, people, random)
        wrong += lower_bound(evidence(losses)) > 1 - mean
    assert wrong / runs <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / runs)


def test_people_of_one_image_are_one_unit() -> None:
    losses = np.repeat(np.random.default_rng(0).binomial(14, 0.02, 50) / 14, 4)
    together, alone = mean_loss(losses, np.repeat(np.arange(50), 4)), evidence(losses)
    assert together.value == alone.value
    assert lower_bound(together) < lower_bound(alone)
    assert together.largest == pytest.approx(1 / 50)


def test_jackknife_of_a_ratio_of_means_is_its_linear_influence() -> None:
    random = np.random.default_rng(0)
    before = random.binomial(14, 0.8, 200).astype(float)
    after = before - random.binomial(1, 0.1, 200)
    value = after.sum() / before.sum()
    without = (after.sum() - after) / (before.sum() - before)
    found = jackknife(value, without, np.ones(200))
    assert np.allclose(found.influence, (value * before - after) / before.sum(), atol=1e-5)
    assert abs(found.influence.sum()) < 1e-12


def test_the_number_of_images_that_would_prove_a_floor() -> None:
    nothing = evidence(np.zeros(100))
    needed = units_needed(nothing, 0.995)
    assert needed is not None and 600 < needed < 700
    assert lower_bound(evidence(np.zeros(needed + 10))) >= 0.995 > lower_bound(evidence(np.zeros(needed - 20)))
    assert units_needed(evidence(np.full(100, 0.01)), 0.99) is None
    noisy = units_needed(evidence(np.random.default_rng(0).choice([-1, 0, 1], 100) / 14), 0.995)
    assert noisy is not None and noisy > needed


def item(value: float, low: float, floor: float = 0.995) -> dict[str, Bound]:
    return {"pck@0.2": Bound(value=value, low=low, floor=floor, needed=None)}


def test_the_last_candidate_before_the_first_failure_is_chosen() -> None:
    assert verdict([item(1.0, 0.999), item(0.999, 0.996), item(0.998, 0.99), item(1.0, 1.0)]) == Verdict(
        answer=KEPT, chosen=1
    )


def test_unproven_takes_the_estimates() -> None:
    path = [item(1.0, 0.99), item(0.996, 0.98), item(0.99, 0.98), item(1.0, 1.0)]
    assert verdict(path) == Verdict(answer=UNPROVEN, chosen=1)
    assert verdict([{}]) == Verdict(answer=UNPROVEN, chosen=0)


def test_a_first_candidate_below_its_floor_cannot_be_kept() -> None:
    assert verdict([item(0.99, 0.98), item(1.0, 1.0)]) == Verdict(answer=CANNOT, chosen=None)


def test_every_metric_must_pass() -> None:
    both = {**item(1.0, 0.999), "oks_ap": bound(evidence(np.full(100, 0.02)), 0.995)}
    assert verdict([both]) == Verdict(answer=CANNOT, chosen=None)


def test_the_most_that_a_person_can_lose_limits_what_unseen_images_can():
    loss, image = np.zeros(100), np.arange(100)
    whole, part = (lower_bound(mean_loss(loss, image, most)) for most in (1.0, 0.3))
    assert 1 - part == pytest.approx(0.3 * (1 - whole))


def test_a_conservative_prediction_alone_does_not_say_that_the_accuracy_cannot_be_kept():
    low = Bound(value=0.99, low=0.98, floor=0.995, needed=None, possible=0.996)
    assert verdict([{"pck@0.2": low}, {"pck@0.2": low}]) == Verdict(answer=UNPROVEN, chosen=0)
    worse = Bound(value=0.99, low=0.98, floor=0.995, needed=None, possible=0.994)
    assert verdict([{"pck@0.2": low, "pck@0.1": worse}]) == Verdict(answer=CANNOT, chosen=None)
