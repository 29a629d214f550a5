"""The learning rate and the EMA at the steps where their formulas can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from edgepose.training.recipe import Recipe  # noqa: E402
from edgepose.training.schedule import Schedule, update_average  # noqa: E402

RECIPE = Recipe(model="tiny", lr=2e-3, warmup=0.1, lr_end=0.2, ema=0.99)


@pytest.mark.parametrize(
    ("step", "factor"),
    [
        (0, 0.1),  # the first of ten steps of warm-up is not lost at 0
        (4, 0.5),
        (9, 1.0),
        (10, 1.0),  # the cosine begins at its top
        (55, 0.6),  # half way: the middle of 1 and lr_end
        (100, 0.2),
        (1000, 0.2),  # and stays there
    ],
)
def test_the_learning_rate_at_key_steps(step: int, factor: float) -> None:
    schedule = Schedule(RECIPE, 100)
    assert schedule.factor(step) == pytest.approx(factor)
    assert schedule.lr(step) == pytest.approx(2e-3 * factor)


def test_progress_is_the_share_of_all_steps() -> None:
    assert [Schedule(RECIPE, 100).progress(step) for step in (0, 25, 100, 1000)] == [0, 0.25, 1, 1]


def test_without_warm_up_the_first_step_is_full() -> None:
    assert Schedule(replace(RECIPE, warmup=0.0), 100).factor(0) == 1.0


def test_apply_keeps_the_ratio_of_trunk_and_head() -> None:
    head, trunk = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([{"params": [head], "full_lr": 1.0}, {"params": [trunk], "full_lr": 0.25}], lr=9.0)
    Schedule(RECIPE, 100).apply(optimizer, 4)
    assert [group["lr"] for group in optimizer.param_groups] == [pytest.approx(0.5), pytest.approx(0.125)]


@pytest.mark.parametrize(("step", "decay"), [(0, 0.1), (8, 0.5), (80, 0.9), (10**6, 0.99)])
def test_the_decay_is_short_at_first(step: int, decay: float) -> None:
    assert Schedule(RECIPE, 100).decay(step) == pytest.approx(decay)


def test_the_average_moves_by_its_formula() -> None:
    average, model = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    for module, value in ((average, 1.0), (model, 3.0)):
        for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
            nn.init.constant_(tensor, value)
    model.num_batches_tracked.fill_(7)
    update_average(average, model, 0.75)
    for tensor in (average.weight, average.bias, average.running_mean, average.running_var):
        assert tensor.tolist() == [1.5, 1.5]  # 0.75 * 1 + 0.25 * 3
    assert average.num_batches_tracked == 7
    assert model.weight.tolist() == [3.0, 3.0]
