"""Iterative Error Feedback: the fixed path by hand, the loop unrolled, the mean pose."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from edgepose.errors import UsageError  # noqa: E402
from edgepose.models import create, ief  # noqa: E402
from edgepose.models.cost import multiply_adds, parameters  # noqa: E402
from edgepose.models.googlenet import GoogLeNet  # noqa: E402


def test_costs_are_googlenets_four_times() -> None:
    """No figure is published: GoogLeNet's (see its test), on 3 + K channels, and 2 K outputs."""
    with torch.device("meta"):
        model, trunk = create("ief", 14), GoogLeNet(17)
    assert parameters(trunk) == parameters(GoogLeNet()) + 14 * 64 * 49
    assert parameters(model) == parameters(trunk) + 1024 * 28 + 28
    per_step = 64 * 17 * 49 * 112 * 112 - 64 * 3 * 49 * 112 * 112 + 1024 * 28
    with torch.device("meta"):
        plain = multiply_adds(GoogLeNet(), (224, 224))
    assert multiply_adds(model, (224, 224)) == 4 * (plain + per_step)


def lessons(truth: Any, progress: float = 1.0, *, fixed: bool = True, size: tuple[int, int] = (64, 64)) -> Any:
    """Found and wanted corrections [B, t, K, 2] of a network that corrects a little, and the network."""
    torch.manual_seed(0)
    model = create("ief-small", truth.shape[1]).train()
    torch.nn.init.normal_(model.correction.weight, std=0.01)
    images = torch.randn(len(truth), 3, *size)
    return *model(images, truth, torch.ones(truth.shape[:2]), progress, fixed), model


def test_a_step_by_hand() -> None:
    """One joint is 2.5 steps away along y, one a tenth of a step, one is there."""
    away = torch.tensor([[0.0, 2.5 * ief.BOUND], [0.1 * ief.BOUND, 0.0], [0.0, 0.0]])
    wanted = torch.tensor([[0.0, ief.BOUND], [0.1 * ief.BOUND, 0.0], [0.0, 0.0]])
    torch.testing.assert_close(ief.bounded(away), wanted)


def test_a_step_is_as_long_on_the_screen_whatever_its_direction() -> None:
    """In a crop half as wide as high, a step along x is twice as large a share of the width."""
    step = ief.bounded(torch.tensor([[9.0, 0.0], [0.0, 9.0], [9.0, 4.5]]), aspect=0.5)
    pixels = step * torch.tensor([50.0, 100.0])
    torch.testing.assert_close(pixels.norm(dim=1), torch.full((3,), 100 * ief.BOUND))
    assert step[0, 0] == 2 * step[1, 1]


def test_it_learns_to_take_each_step_of_the_fixed_path() -> None:
    """From the mean pose; the last of two steps of the first joint is half as long, the second is there at once."""
    truth = torch.rand(2, 14, 2) - 0.5
    mean = truth.mean(dim=0)
    truth[:, 0] = mean[0] + torch.tensor([[0.0, 1.5 * ief.BOUND], [0.0, -1.5 * ief.BOUND]])
    found, wanted, model = lessons(truth)
    assert found.shape == wanted.shape == (2, 4, 14, 2)
    torch.testing.assert_close(model.mean_pose, mean)
    y = torch.tensor([1.0, 0.5, 0.0, 0.0]) * ief.BOUND
    torch.testing.assert_close(wanted[0, :, 0], torch.stack([torch.zeros(4), y], dim=1), atol=1e-6, rtol=0)
    arrived = (truth - mean).norm(dim=-1) < 4 * ief.BOUND
    assert arrived.any()
    torch.testing.assert_close((mean + wanted.sum(dim=1))[arrived], truth[arrived])


@pytest.mark.parametrize("fixed", [True, False])
def test_a_joint_nobody_labeled_has_no_path(fixed: bool) -> None:
    """Its place in the truth is any number; the guess of it must not go there."""
    torch.manual_seed(0)
    model = create("ief-small", 14).train()
    weight = torch.ones(2, 14)
    weight[:, 5] = 0
    _, wanted = model(torch.randn(2, 3, 64, 64), torch.rand(2, 14, 2) - 0.5, weight, 1.0, fixed)
    assert wanted[:, :, 4].any()
    assert not wanted[:, :, 5].any()


def test_on_its_own_path_it_learns_the_step_from_where_its_corrections_led() -> None:
    truth = torch.rand(2, 14, 2) - 0.5
    found, wanted, model = lessons(truth, fixed=False)
    pose = model.mean_pose.expand(2, 14, 2)
    for t in range(4):
        torch.testing.assert_close(wanted[:, t], ief.bounded(truth - pose))
        pose = pose + found[:, t].detach()
    assert not wanted.requires_grad
    assert found[:, 0].abs().max() > 1e-4


@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize(("progress", "steps"), [(0.0, 1), (0.24, 1), (0.25, 2), (0.5, 3), (0.75, 4), (1.0, 4)])
def test_steps_are_learnt_one_after_another(progress: float, steps: int, fixed: bool) -> None:
    """Algorithm 1: each after an equal share of the training, those before go on."""
    truth = torch.rand(2, 14, 2) - 0.5
    found, wanted, _ = lessons(truth, progress, fixed=fixed)
    every = lessons(truth, fixed=fixed)
    assert found.shape == wanted.shape == (2, steps, 14, 2)
    torch.testing.assert_close(found, every[0][:, :steps])
    torch.testing.assert_close(wanted, every[1][:, :steps])


def test_in_use_it_goes_where_its_own_corrections_lead() -> None:
    model = create("ief-small", 14).eval()
    torch.nn.init.normal_(model.correction.weight, std=0.01)
    torch.nn.init.uniform_(model.mean_pose, -0.3, 0.3)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        pose = model.mean_pose.expand(2, 14, 2)
        for _ in range(4):
            pose = pose + model._correct(images, pose)
        torch.testing.assert_close(model(images), pose)


def test_the_guess_is_what_the_network_sees() -> None:
    """Another guess, another correction: the drawn joints reach the trunk."""
    model = create("ief-small", 14).eval()
    torch.nn.init.normal_(model.correction.weight, std=0.1)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        here, there = (model._correct(images, torch.full((1, 14, 2), value)) for value in (0.0, 0.3))
    assert not torch.allclose(here, there)


def test_the_mean_pose_is_the_mean_of_all_batches() -> None:
    """Joint 3 is known in the second batch alone; joint 5 never."""
    model = create("ief-small", 14).train()
    batches = [torch.rand(4, 14, 2) - 0.5 for _ in range(3)]
    weights = [torch.ones(4, 14) for _ in range(3)]
    for weight in weights:
        weight[:, 5] = 0
    for truth, weight in zip(batches, weights, strict=True):
        model._remember(truth, weight)
    wanted = torch.stack(batches).mean(dim=(0, 1))
    known = [k for k in range(14) if k != 5]
    torch.testing.assert_close(model.mean_pose[known], wanted[known])
    assert not model.mean_pose[5].any()
    assert "mean_pose" in model.state_dict()


def test_constructor_rejects_what_it_cannot_build() -> None:
    with pytest.raises(UsageError, match="joints and steps must be at least 1"):
        create("ief-small", 0)
