"""Objectives: a network's stride is found out, its stages are learnt, its joints are given in the image."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from edgepose.codecs.heatmap import HeatmapCodec  # noqa: E402
from edgepose.datasets.targets import HeatmapTarget  # noqa: E402
from edgepose.errors import UsageError  # noqa: E402
from edgepose.training.losses import stage_mse, stage_ohkm  # noqa: E402
from edgepose.training.objectives import HeatmapObjective, SceneObjective, objective_of  # noqa: E402
from edgepose.training.outputs import outputs_of, stride_of  # noqa: E402
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
    return HeatmapObjective(target=HeatmapTarget(stride=8, sigma=1.5), codec=HeatmapCodec(), name=name)


RECIPE = recipe_from_dict({"model": "any", "loss": "ohkm", "decode": "dark", "sigma": 1.5}, "test")


@pytest.mark.parametrize("stride", [4, 8])
def test_the_network_shows_its_stride_and_is_left_as_it_was(stride: int) -> None:
    network = Staged(stride).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    (maps,) = outputs_of(network, (64, 48), RECIPE)
    assert stride_of(maps, (64, 48)) == stride
    assert network.training and network.modes == [False]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_maps_that_do_not_cover_the_crop_are_refused() -> None:
    with pytest.raises(UsageError, match="crops of 64x50 give heatmaps of 8x6, which do not cover them evenly"):
        objective_of(RECIPE, Staged(8), (64, 50), 1.0)


def test_a_size_that_the_network_cannot_take_is_named() -> None:
    from edgepose.models import create

    with pytest.raises(UsageError, match=r"any cannot process crops of 104x104 \(The size of tensor a .* 32"):
        objective_of(RECIPE, create("hrnet-small", 14), (104, 104), 1.0)


def test_a_network_of_another_codec_is_refused() -> None:
    recipe = replace(RECIPE, codec="paf", loss="mse")
    with pytest.raises(UsageError, match="any returns 1 outputs, but codec = 'paf' has 2 \\(heatmaps, pafs\\)"):
        objective_of(recipe, Staged(8), (64, 48), 1.0)


@pytest.mark.parametrize(("name", "loss"), [("mse", stage_mse), ("ohkm", stage_ohkm)])
def test_all_stages_are_learnt(name: str, loss: Any) -> None:
    network = Staged(8).train()
    crops, target, weight = torch.randn(2, 3, 64, 48), torch.rand(2, 14, 8, 6), torch.ones(2, 14)
    found = objective(name).loss(network, crops, [target, weight])
    assert found == loss(network(crops), target, weight)


def test_joints_are_image_coordinates() -> None:
    """A map with its peak at cell (2, 5) and equal neighbors: the middle of that cell, moved as the crop was."""
    maps = torch.zeros(1, 14, 8, 6)
    maps[:, :, 5, 2] = 1
    network = nn.Identity()
    network.forward = lambda crops: maps  # type: ignore[method-assign]
    moved = np.array([[[2.0, 0, 100], [0, 2, 200]]])
    xy = objective().joints(network, torch.zeros(1, 3, 64, 48), moved)
    assert np.allclose(xy[0], np.tile([2 * 19.5 + 100, 2 * 43.5 + 200], (14, 1)))


def test_the_recipe_decides() -> None:
    found = objective_of(RECIPE, Staged(8), (64, 64), 0.75)
    codec = HeatmapCodec(refine="dark", sigma=1.5)
    assert found == HeatmapObjective(
        target=HeatmapTarget(stride=8, sigma=0.75, decode="dark"), codec=codec, name="ohkm"
    )


class Scenes(nn.Module):
    """Maps and fields at stride 8, as an OpenPose of one stage for lsp14."""

    def __init__(self) -> None:
        super().__init__()
        self.maps, self.fields = nn.Conv2d(3, 15, 8, 8), nn.Conv2d(3, 26, 8, 8)

    def forward(self, images: Tensor) -> Any:
        maps, fields = self.maps(images), self.fields(images)
        return ((maps, fields),) if self.training else (maps[:, :14], fields)


def test_scenes_learn_maps_and_fields_and_find_joints_in_the_maps() -> None:
    recipe = recipe_from_dict({"model": "any", "codec": "paf", "sigma": 0.9, "decode": "argmax"}, "test")
    network = Scenes().train()
    found = objective_of(recipe, network, (64, 48), 0.9)
    assert isinstance(found, SceneObjective)
    assert (found.target.stride, found.target.sigma, len(found.target.limbs)) == (8, 0.9, 13)
    crops, maps, fields = torch.randn(2, 3, 64, 48), torch.rand(2, 15, 8, 6), torch.rand(2, 26, 8, 6)
    loss = found.loss(network, crops, [maps, fields, torch.ones_like(maps), torch.zeros_like(fields)])
    assert loss.item() == pytest.approx((network.maps(crops) - maps).square().mean().item(), rel=1e-5)
    network.eval()
    y, x = divmod(int(network.maps(crops)[1, 3].argmax()), 6)
    still = np.tile(np.eye(2, 3), (2, 1, 1))
    assert found.joints(network, crops, still)[1, 3].tolist() == pytest.approx([8 * x + 3.5, 8 * y + 3.5])
