"""Objectives: a network's stride is found out, its stages are learnt, its joints are given in crop pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from edgepose.artifacts.spec import CodecSpec  # noqa: E402
from edgepose.datasets.targets import HeatmapTarget  # noqa: E402
from edgepose.errors import UsageError  # noqa: E402
from edgepose.training.losses import stage_mse, stage_ohkm  # noqa: E402
from edgepose.training.objectives import HeatmapObjective, objective_of, stride_of  # noqa: E402
from edgepose.training.recipe import recipe_from_dict  # noqa: E402


class Staged(nn.Module):
    """Two stages of 14 maps at `stride`, in evaluation the last; remembers the modes it was run in."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 14, stride, stride)
        self.norm = nn.BatchNorm2d(14)
        self.modes: list[bool] = []

    def forward(self, images: Tensor) -> Any:
        self.modes.append(self.training)
        first = self.conv(images)
        last = self.norm(first)
        return (first, last) if self.training else last


def objective(name: str = "mse") -> HeatmapObjective:
    return HeatmapObjective(target=HeatmapTarget(stride=8, sigma=1.5), codec=CodecSpec(), name=name)


@pytest.mark.parametrize("stride", [4, 8])
def test_the_stride_is_found_out_and_the_network_left_as_it_was(stride: int) -> None:
    network = Staged(stride).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert stride_of(network, (64, 48)) == stride
    assert network.training and network.modes == [False]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_maps_that_do_not_cover_the_crop_are_refused() -> None:
    with pytest.raises(UsageError, match="crops of 64x50 give maps of 8x6, which do not cover them evenly"):
        stride_of(Staged(8), (64, 50))


@pytest.mark.parametrize(("name", "loss"), [("mse", stage_mse), ("ohkm", stage_ohkm)])
def test_all_stages_are_learnt(name: str, loss: Any) -> None:
    network = Staged(8).train()
    crops, target, weight = torch.randn(2, 3, 64, 48), torch.rand(2, 14, 8, 6), torch.ones(2, 14)
    found = objective(name).loss(network, crops, [target, weight])
    assert found == loss(network(crops), target, weight)


def test_joints_are_crop_pixels() -> None:
    """A map with its peak at cell (2, 5) and equal neighbours: the middle of that cell."""
    maps = torch.zeros(1, 14, 8, 6)
    maps[:, :, 5, 2] = 1
    network = nn.Identity()
    network.forward = lambda crops: maps  # type: ignore[method-assign]
    xy = objective().joints(network, torch.zeros(1, 3, 64, 48))
    assert np.array_equal(xy[0], np.tile([2 * 8 + 3.5, 5 * 8 + 3.5], (14, 1)))


def test_the_recipe_decides() -> None:
    recipe = recipe_from_dict({"model": "any", "loss": "ohkm", "decode": "dark", "sigma": 1.5}, "test")
    found = objective_of(recipe, Staged(8), (64, 64), 0.75)
    codec = CodecSpec(decode="dark", sigma=1.5)
    assert found == HeatmapObjective(target=HeatmapTarget(stride=8, sigma=0.75), codec=codec, name="ohkm")
