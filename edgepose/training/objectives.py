"""What a network learns, and where it then says the joints are: one objective a kind of output.

The training loop and validation know nothing of heatmaps or coordinates; they ask the objective, which is made
anew for each stage of a recipe, as the size of the crops decides how large the targets are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from edgepose._checks import Array
from edgepose.artifacts.spec import CodecSpec
from edgepose.codecs import heatmap
from edgepose.datasets.targets import HeatmapTarget, Target
from edgepose.errors import UsageError
from edgepose.pose.geometry import Size, apply_affine, grid_affine
from edgepose.training.losses import STAGE_LOSSES
from edgepose.training.recipe import Recipe


class Objective(Protocol):
    """target: what training items carry beside the crop."""

    @property
    def target(self) -> Target: ...

    def loss(
        self,
        network: nn.Module,  # in training mode
        crops: Tensor,  # [B, 3, H, W]
        target: Sequence[Tensor],  # a batch of what `target` gives
    ) -> Tensor:
        """The scalar to minimise; this is what runs the network forward."""
        ...

    def joints(
        self,
        network: nn.Module,  # in evaluation mode
        crops: Tensor,  # [B, 3, H, W]
    ) -> Array:
        """[B, K, 2] float32: where the network says the joints are, in crop pixels."""
        ...


@dataclass(frozen=True, kw_only=True)
class HeatmapObjective:
    """For networks that give maps [B, K, h, w], in training a tuple of one such a stage.

    name: a key of STAGE_LOSSES.
    """

    target: HeatmapTarget
    codec: CodecSpec
    name: str = "mse"

    def loss(self, network: nn.Module, crops: Tensor, target: Sequence[Tensor]) -> Tensor:
        found = network(crops)
        heatmaps, weight = target
        return STAGE_LOSSES[self.name]((found,) if isinstance(found, Tensor) else found, heatmaps, weight)

    def joints(self, network: nn.Module, crops: Tensor) -> Array:
        maps = network(crops).float().cpu().numpy()
        xy_cells, _ = heatmap.decode(maps, self.codec.decode, sigma=self.codec.sigma)
        return apply_affine(grid_affine(maps.shape[2:], (crops.shape[2], crops.shape[3])), xy_cells)


def objective_of(recipe: Recipe, network: nn.Module, size: Size, sigma: float) -> Objective:
    """What the recipe's network learns from crops of `size`; sigma: of this stage, in heatmap cells.

    UsageError for a network whose maps do not cover such crops evenly.
    """
    target = HeatmapTarget(stride=stride_of(network, size), sigma=sigma)
    return HeatmapObjective(target=target, codec=recipe.spec().codec, name=recipe.loss)


@torch.no_grad()
def stride_of(network: nn.Module, size: Size) -> int:
    """How many pixels of a crop a heatmap cell is wide: found out on a blank crop, so a network need not say."""
    mode, device = network.training, next(network.parameters()).device
    network.eval()
    found = network(torch.zeros(1, 3, *size, device=device))
    network.train(mode)
    height, width = found.shape[2:]
    stride = int(size[0] // height)
    if size != (height * stride, width * stride):
        raise UsageError(f"crops of {size[0]}x{size[1]} give maps of {height}x{width}, which do not cover them evenly")
    return stride
