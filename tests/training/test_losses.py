"""The losses against numbers worked out by hand, and hard mining against a loop over people."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from edgepose.training.losses import (  # noqa: E402
    STAGE_LOSSES,
    coordinate_mse,
    hardest_mse,
    masked_mse,
    scene_mse,
    stage_mse,
    stage_ohkm,
)
from edgepose.training.recipe import LOSSES  # noqa: E402
from edgepose.training.regressors import REGRESSION_LOSSES  # noqa: E402


def test_by_hand() -> None:
    """Joint 0 is off by 1 in each cell, joint 1 by 2, joint 2 by 3 and not labeled: (1 + 4) / 2."""
    target = torch.zeros(1, 3, 2, 2)
    heatmaps = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert masked_mse(heatmaps, target, torch.tensor([[1.0, 1.0, 0.0]])).item() == 2.5


def test_one_cell_is_averaged_over_the_map() -> None:
    heatmaps = torch.zeros(1, 1, 2, 2)
    heatmaps[0, 0, 1, 0] = 4.0
    assert masked_mse(heatmaps, torch.zeros(1, 1, 2, 2), torch.ones(1, 1)).item() == 4.0


def test_the_mean_is_over_joints_of_the_batch_not_of_each_person() -> None:
    """Person 0 counts three joints with error 1, person 1 one joint with error 9: (3 * 1 + 9) / 4."""
    heatmaps = torch.tensor([1.0, 3.0]).view(2, 1, 1, 1).expand(2, 3, 2, 2)
    weight = torch.tensor([[1.0, 1.0, 1.0], [0.0, 1.0, 0.0]])
    assert masked_mse(heatmaps, torch.zeros(2, 3, 2, 2), weight).item() == 3.0


def test_a_weight_below_1_counts_less() -> None:
    """Errors 1 and 4 with weights 1 and 0.5, and one without weight: (1 * 1 + 0.5 * 4) / 1.5."""
    heatmaps = torch.tensor([1.0, 2.0, 9.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    weight = torch.tensor([[1.0, 0.5, 0.0]])
    assert masked_mse(heatmaps, torch.zeros(1, 3, 2, 2), weight).item() == pytest.approx(2.0)


def test_nothing_labeled_is_zero_with_a_zero_gradient() -> None:
    heatmaps = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = masked_mse(heatmaps, torch.zeros(2, 3, 4, 4), torch.zeros(2, 3))
    loss.backward()
    assert loss.item() == 0.0
    assert heatmaps.grad is not None and not heatmaps.grad.any()


def test_an_unlabeled_joint_gets_no_gradient() -> None:
    heatmaps = torch.randn(1, 2, 4, 4, requires_grad=True)
    masked_mse(heatmaps, torch.zeros(1, 2, 4, 4), torch.tensor([[1.0, 0.0]])).backward()
    assert heatmaps.grad is not None
    assert heatmaps.grad[0, 0].any() and not heatmaps.grad[0, 1].any()


def test_half_precision_maps_are_compared_in_float() -> None:
    heatmaps = torch.full((1, 1, 2, 2), 300.0, dtype=torch.float16)  # its square overflows half
    loss = masked_mse(heatmaps, torch.zeros(1, 1, 2, 2), torch.ones(1, 1))
    assert loss.dtype == torch.float32 and loss.item() == 90000.0


def test_maps_of_another_stride_are_refused() -> None:
    with pytest.raises(ValueError, match=r"heatmaps: expected shape \[1, 2, 4, 4\], got \[1, 2, 1, 1\]"):
        masked_mse(torch.zeros(1, 2, 1, 1), torch.zeros(1, 2, 4, 4), torch.ones(1, 2))


def constant(*values: float) -> torch.Tensor:
    """[1, K, 2, 2]: a map of one value a joint; against a zero target its error is the value squared."""
    return torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1).expand(1, len(values), 2, 2)


def test_stages_are_summed() -> None:
    target, weight = torch.zeros(1, 2, 2, 2), torch.tensor([[1.0, 0.0]])
    assert stage_mse([constant(1, 9), constant(2, 9), constant(3, 9)], target, weight).item() == 1 + 4 + 9


def test_every_stage_gets_a_gradient() -> None:
    stages = [torch.randn(2, 3, 4, 4, requires_grad=True) for _ in range(3)]
    stage_ohkm(stages, torch.zeros(2, 3, 4, 4), torch.ones(2, 3), count=1).backward()
    assert all(stage.grad is not None and stage.grad.any() for stage in stages)


def test_a_map_more_is_the_background() -> None:
    """Where the joints' maps are 0.25 and 0.5, the background shall be 0.5; the stage says 0: (9 + 1 + 0.25) / 3."""
    target = torch.tensor([0.25, 0.5]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    stage = torch.tensor([3.25, 1.5, 0.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert stage_mse([stage], target, torch.ones(1, 2)).item() == pytest.approx((9 + 1 + 0.25) / 3)
    perfect = torch.tensor([0.25, 0.5, 0.5]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert stage_mse([perfect], target, torch.ones(1, 2)).item() == 0.0


def test_the_background_of_a_person_with_an_unlabeled_joint_does_not_count() -> None:
    stage = torch.cat([constant(0, 0), torch.full((1, 1, 2, 2), 7.0)], 1)
    assert stage_mse([stage], torch.zeros(1, 2, 2, 2), torch.tensor([[1.0, 0.0]])).item() == 0.0


def test_the_hardest_joints_by_hand() -> None:
    """Joint 3 has the largest error but does not count; of the others the two hardest are 3 and 2: (9 + 4) / 2."""
    target, weight = torch.zeros(1, 4, 2, 2), torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    assert hardest_mse(constant(1, 3, 2, 8), target, weight, 2).item() == 6.5


def test_mining_is_for_each_person() -> None:
    """Against a loop: the mean over people of the mean over their `count` hardest, all labeled."""
    heatmaps, target = torch.randn(5, 6, 3, 3), torch.randn(5, 6, 3, 3)
    errors = (heatmaps - target).square().mean(dim=(2, 3))
    wanted = sum(sum(sorted(person.tolist())[-4:]) / 4 for person in errors) / 5
    assert hardest_mse(heatmaps, target, torch.ones(5, 6), 4).item() == pytest.approx(wanted, rel=1e-6)
    everyone = masked_mse(heatmaps, target, torch.ones(5, 6)).item()
    assert hardest_mse(heatmaps, target, torch.ones(5, 6), 6).item() == pytest.approx(everyone, rel=1e-6)


def test_a_person_with_few_labels_counts_with_those() -> None:
    target, weight = torch.zeros(1, 3, 2, 2), torch.tensor([[0.0, 1.0, 0.0]])
    assert hardest_mse(constant(9, 2, 9), target, weight, 2).item() == 4.0


def test_easy_joints_get_no_gradient() -> None:
    heatmaps = constant(1, 2, 3).clone().requires_grad_()
    hardest_mse(heatmaps, torch.zeros(1, 3, 2, 2), torch.ones(1, 3), 2).backward()
    assert heatmaps.grad is not None
    assert [bool(part.any()) for part in heatmaps.grad[0]] == [False, True, True]


def test_only_the_last_stage_is_mined() -> None:
    target, weight = torch.zeros(1, 2, 2, 2), torch.ones(1, 2)
    assert stage_ohkm([constant(1, 3), constant(1, 2)], target, weight, count=1).item() == (1 + 9) / 2 + 4


def test_a_recipe_may_name_every_loss() -> None:
    assert set(LOSSES["heatmap"]) == set(STAGE_LOSSES)
    assert set(LOSSES["regression"]) == set(REGRESSION_LOSSES)


def test_coordinates_by_hand() -> None:
    """Joint 0 is off by (3, 4), joint 1 by (1, 0), joint 2 does not count; two steps are summed."""
    truth, weight = torch.zeros(1, 3, 2), torch.tensor([[1.0, 1.0, 0.0]])
    found = torch.tensor([[[3.0, 4.0], [1.0, 0.0], [9.0, 9.0]]])
    assert coordinate_mse(found, truth, weight).item() == (25 + 1) / 2
    steps = torch.stack([found, 2 * found], dim=1)
    assert coordinate_mse(steps, torch.zeros(1, 2, 3, 2), weight).item() == (25 + 1) / 2 * 5
    assert coordinate_mse(found, truth, torch.zeros(1, 3)).item() == 0.0
    with pytest.raises(ValueError, match=r"coordinates: expected shape \[1, 3, 2\], got \[1, 2, 3, 2\]"):
        coordinate_mse(steps, truth, weight)


def test_scenes_by_hand() -> None:
    """Two stages; maps are off by 1 and 2, fields by 3, half of the field's cells do not count."""
    maps, fields = torch.zeros(1, 2, 2, 2), torch.zeros(1, 4, 2, 2)
    half = torch.ones(1, 4, 2, 2)
    half[..., 0] = 0
    stages = [(maps + 1, fields), (maps + 2, fields + 3)]
    found = scene_mse(stages, maps, fields, torch.ones_like(maps), half)
    assert found.item() == (8 * 1 + 8 * 4 + 8 * 9) / 8
    with pytest.raises(ValueError, match=r"maps or fields: expected shape \[1, 4, 2, 2\], got \[1, 2, 2, 2\]"):
        scene_mse([(maps, maps)], maps, fields, maps, half)
