"""What a network returns for crops of a size, found by running it on a blank crop."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgepose.errors import UsageError, one_line
from edgepose.pose.geometry import Size
from edgepose.training.recipe import Recipe


@torch.no_grad()
def outputs_of(network: nn.Module, size: Size, recipe: Recipe) -> tuple[Tensor, ...]:
    """Run the network on one blank crop and return its outputs, which show the stride of its heatmaps.

    Args:
        network: The network.
        size: Height and width of the crop in pixels.
        recipe: The recipe that trains the network.

    Raises:
        UsageError: The network cannot process crops of this size, or it does not have as many outputs as the codec.
    """
    mode, device = network.training, next(network.parameters()).device
    try:
        found = network.eval()(torch.zeros(1, 3, *size, device=device))
    except RuntimeError as error:  # sizes that do not match after downsampling and upsampling
        raise UsageError(
            f"{recipe.model} cannot process crops of {size[0]}x{size[1]} ({one_line(error, 120)}); "
            "change sizes in the recipe, most networks need multiples of 32"
        ) from error
    network.train(mode)
    outputs = (found,) if isinstance(found, Tensor) else tuple(found)
    wanted = recipe.spec().outputs
    if len(outputs) != len(wanted):
        raise UsageError(
            f"{recipe.model} returns {len(outputs)} outputs, but codec = {recipe.codec!r} has {len(wanted)} "
            f"({', '.join(wanted)}); correct codec in the recipe"
        )
    return outputs


def stride_of(
    maps: Tensor,  # [B, K, h, w]
    size: Size,
) -> int:
    """Return the size of a heatmap cell in pixels of the crop.

    Args:
        maps: Heatmaps [B, K, h, w].
        size: Height and width of the crop in pixels.

    Raises:
        UsageError: The heatmaps do not cover the crop evenly.
    """
    height, width = maps.shape[2:]
    stride = int(size[0] // height)
    if size != (height * stride, width * stride):
        raise UsageError(
            f"crops of {size[0]}x{size[1]} give heatmaps of {height}x{width}, which do not cover them evenly; "
            "change sizes in the recipe"
        )
    return stride
