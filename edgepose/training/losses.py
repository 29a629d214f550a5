"""Losses. `masked_mse`: mean squared error over the joints that are labelled (Xiao et al., ECCV 2018)."""

from __future__ import annotations

from torch import Tensor


def masked_mse(
    heatmaps: Tensor,  # [B, K, h, w]
    target: Tensor,  # [B, K, h, w]
    weight: Tensor,  # [B, K], 1 where the joint counts
) -> Tensor:
    """The squared error, averaged over cells and counted joints. Scalar; 0 when nothing counts.

    ValueError where the shapes differ: a network that does not have the stride of the targets.
    """
    if heatmaps.shape != target.shape:
        raise ValueError(f"heatmaps: expected shape {list(target.shape)}, got {list(heatmaps.shape)}")
    error = (heatmaps.float() - target).square().mean(dim=(2, 3))
    return (error * weight).sum() / weight.sum().clamp(min=1)
