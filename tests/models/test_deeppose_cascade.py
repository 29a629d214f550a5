"""The cascade: squares as wide as twice the torso, each joint's own answer, what later stages learn from."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from edgepose.errors import UsageError  # noqa: E402
from edgepose.models import create, deeppose, deeppose_cascade  # noqa: E402
from edgepose.models.cost import multiply_adds, parameters  # noqa: E402
from edgepose.models.places import windows  # noqa: E402

TORSO = (9, 2)
NAME = "deeppose-cascade-small"


def cascade() -> deeppose_cascade.DeepPoseCascade:
    model = create(NAME, 14, torso=TORSO)
    for module in (model.first, *model.later):
        torch.nn.init.normal_(module.coordinates.weight, std=0.02)
    return model


def test_costs_are_those_of_its_stages() -> None:
    """Three of the paper's networks, the later two on each of 14 squares of 220."""
    with torch.device("meta"):
        one, whole = create("deeppose", 14), create("deeppose-cascade", 14, torso=TORSO)
    assert parameters(whole) == 3 * parameters(one)
    assert multiply_adds(whole, (440, 440)) == (1 + 2 * 14) * multiply_adds(one, (220, 220))


def test_squares_are_twice_the_torso() -> None:
    """In a crop of 256x192 the torso goes from (0, 0) 48 pixels right and 64 down: 80 pixels, squares of 160."""
    model = cascade()
    pose = torch.zeros(1, 14, 2)
    pose[0, 2] = torch.tensor([48 / 192, 64 / 256])
    aspect = torch.tensor([192 / 256, 1.0])
    extent = model._extent(pose, aspect)[0, 0] * torch.tensor([192.0, 256.0])
    torch.testing.assert_close(extent, torch.tensor([160.0, 160.0]))
    pose[0, 2] = 0  # seen end-on
    assert float(model._extent(pose, aspect)[0, 0, 1]) == pytest.approx(2 * deeppose_cascade.LEAST)


def test_a_stage_answers_each_square_for_its_own_joint() -> None:
    """Square by square, and the displacement is a share of the square."""
    model = cascade().eval()
    images, pose = torch.randn(2, 3, 256, 192), torch.rand(2, 14, 2) - 0.5
    extent = torch.tensor([[[0.4, 0.3]], [[0.2, 0.15]]])
    with torch.no_grad():
        found = model._closer(0, images, pose, extent)
        for b, k in ((0, 0), (0, 13), (1, 5)):
            square = windows(images[b : b + 1], pose[b : b + 1, k : k + 1], extent[b : b + 1], (48, 48))
            wanted = pose[b, k] + model.later[0](square)[0, k] * extent[b, 0]
            torch.testing.assert_close(found[b, k], wanted, atol=1e-5, rtol=1e-4)


def test_in_use_a_stage_begins_where_the_last_one_ended() -> None:
    model = cascade().eval()
    images = torch.randn(1, 3, 256, 192)
    with torch.no_grad():
        first = model.first(torch.nn.functional.avg_pool2d(images, 2))
        extent = model._extent(first, torch.tensor([0.75, 1.0]))
        torch.testing.assert_close(model(images), model._closer(0, images, first, extent))


def test_later_stages_learn_from_the_truth_moved_as_the_first_one_errs() -> None:
    model = cascade().train()
    images, truth = torch.randn(8, 3, 256, 192), 0.4 * (torch.rand(8, 14, 2) - 0.5)
    looked: list[torch.Tensor] = []
    closer = model._closer
    model._closer = lambda stage, images, pose, extent: looked.append(pose) or closer(stage, images, pose, extent)
    with torch.no_grad():
        model.offset.fill_(0.5)
        model.spread.fill_(0.01)
    stages = model(images, truth, torch.ones(8, 14))
    assert len(stages) == 2 and stages[0].shape == stages[1].shape == (8, 14, 2)
    torso = model._extent(truth, torch.tensor([0.75, 1.0])) / deeppose_cascade.REACH
    away = ((truth - looked[0]) / torso).flatten()
    assert float(away.median()) == pytest.approx(0.5, abs=0.05)


def test_displacements_are_remembered_joint_by_joint() -> None:
    """Joint 4 is never known: its statistics stay what they were."""
    model = cascade().train()
    weight = torch.ones(50, 14)
    weight[:, 4] = 0
    away = torch.randn(50, 14, 2) * 0.2 + 0.3
    for _ in range(300):
        model._remember(0, away, weight)
    known = [k for k in range(14) if k != 4]
    torch.testing.assert_close(model.offset[0, known], away.mean(dim=0)[known], atol=0.01, rtol=0)
    torch.testing.assert_close(model.spread[0, known], away.std(dim=0, correction=0)[known], atol=0.01, rtol=0)
    assert not model.offset[0, 4].any() and torch.equal(model.spread[0, 4], torch.full((2,), 0.3))


def test_a_torso_is_needed() -> None:
    with pytest.raises(UsageError, match="use a skeleton that has left_shoulder and right_hip"):
        create(NAME, 14)
    stage = deeppose.DeepPose(14, (8, 8, 8, 8, 8), 8, (2, 2), (7, 2))
    with pytest.raises(UsageError, match="expected later stages of 14 joints and a torso between two of them"):
        deeppose_cascade.DeepPoseCascade(stage, [], TORSO, 48)
    with pytest.raises(UsageError, match="a torso between two of them"):
        deeppose_cascade.DeepPoseCascade(stage, [stage], (0, 14), 48)
