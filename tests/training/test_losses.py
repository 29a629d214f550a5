"""`masked_mse` against numbers worked out by hand."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from edgepose.training.losses import masked_mse  # noqa: E402


def test_by_hand() -> None:
    """Joint 0 is off by 1 in each cell, joint 1 by 2, joint 2 by 3 and not labelled: (1 + 4) / 2."""
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


def test_nothing_labelled_is_zero_with_a_zero_gradient() -> None:
    heatmaps = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = masked_mse(heatmaps, torch.zeros(2, 3, 4, 4), torch.zeros(2, 3))
    loss.backward()
    assert loss.item() == 0.0
    assert heatmaps.grad is not None and not heatmaps.grad.any()


def test_an_unlabelled_joint_gets_no_gradient() -> None:
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
