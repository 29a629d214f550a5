"""Losses for heatmaps, part affinity fields and coordinates.

`masked_mse`: the mean squared error over the labeled joints (Xiao et al., ECCV 2018).
`stage_mse`: its sum over the stages of a network with intermediate supervision (Wei et al., CVPR 2016, equation 5;
Newell et al., ECCV 2016, section 3.1).
`stage_ohkm`: like `stage_mse`, but the last stage learns only from the hardest joints of each person, "online hard
keypoint mining" (Chen et al., CVPR 2018, section 3.2.2). Eight joints are best in their table 6.
`scene_mse`: the squared error of heatmaps and fields of all stages, with a weight per cell (Cao et al., CVPR 2017,
equation 5).
`coordinate_mse`: the squared distance of coordinates (Toshev and Szegedy, CVPR 2014, equation 4).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def masked_mse(
    heatmaps: Tensor,  # [B, K, h, w]
    target: Tensor,  # [B, K, h, w]
    weight: Tensor,  # [B, K], 1 where the joint counts
) -> Tensor:
    """Return the squared error, averaged over the cells and the weighted joints; 0 if no joint counts.

    Args:
        heatmaps: Predicted heatmaps [B, K, h, w].
        target: Target heatmaps [B, K, h, w].
        weight: Weights [B, K], 1 where a joint counts.

    Raises:
        ValueError: The shapes differ, for example because the stride of the network is not that of the targets.
    """
    return _mean(_errors(heatmaps, target), weight)


def hardest_mse(
    heatmaps: Tensor,  # [B, K, h, w]
    target: Tensor,  # [B, K, h, w]
    weight: Tensor,  # [B, K], 1 where the joint counts
    count: int,
) -> Tensor:
    """Return `masked_mse` over the `count` joints of each person with the largest errors.

    Args:
        heatmaps: Predicted heatmaps [B, K, h, w].
        target: Target heatmaps [B, K, h, w].
        weight: Weights [B, K], 1 where a joint counts.
        count: The number of joints per person; fewer are used if fewer count.
    """
    errors = _errors(heatmaps, target)
    order = (errors.detach() * weight).argsort(dim=1, descending=True)[:, :count]
    return _mean(errors.gather(1, order), weight.gather(1, order))


def stage_mse(
    stages: Sequence[Tensor],  # [B, K or K + 1, h, w] each
    target: Tensor,  # [B, K, h, w]
    weight: Tensor,  # [B, K]
) -> Tensor:
    """Return the sum of `masked_mse` over the stages.

    Args:
        stages: Predicted heatmaps [B, K or K + 1, h, w] of each stage. The last of K + 1 heatmaps is the background.
        target: Target heatmaps [B, K, h, w].
        weight: Weights [B, K], 1 where a joint counts.
    """
    return torch.stack([masked_mse(stage, *_with_background(stage, target, weight)) for stage in stages]).sum()


def stage_ohkm(
    stages: Sequence[Tensor],  # [B, K, h, w] each
    target: Tensor,  # [B, K, h, w]
    weight: Tensor,  # [B, K]
    count: int = 8,
) -> Tensor:
    """Return the sum of `masked_mse` over all stages but the last, plus `hardest_mse` of the last.

    Args:
        stages: Predicted heatmaps [B, K, h, w] of each stage.
        target: Target heatmaps [B, K, h, w].
        weight: Weights [B, K], 1 where a joint counts.
        count: The number of joints per person that count in the last stage.
    """
    early = [masked_mse(stage, target, weight) for stage in stages[:-1]]
    return torch.stack([*early, hardest_mse(stages[-1], target, weight, count)]).sum()


def scene_mse(
    stages: Sequence[tuple[Tensor, Tensor]],  # (maps [B, K + 1, h, w], fields [B, 2 L, h, w]) each
    maps: Tensor,  # [B, K + 1, h, w]
    fields: Tensor,  # [B, 2 L, h, w]
    of_maps: Tensor,  # weights, [B, K + 1, h, w]
    of_fields: Tensor,  # weights, [B, 2 L, h, w]
) -> Tensor:
    """Return the weighted squared errors, summed over the stages and averaged over the cells of the heatmaps.

    Args:
        stages: Predicted heatmaps [B, K + 1, h, w] and fields [B, 2 L, h, w] of each stage.
        maps: Target heatmaps [B, K + 1, h, w].
        fields: Target fields [B, 2 L, h, w].
        of_maps: Weights of the heatmaps [B, K + 1, h, w].
        of_fields: Weights of the fields [B, 2 L, h, w].
    """
    errors = [
        _weighted(found, target, weight)
        for stage in stages
        for found, target, weight in zip(stage, (maps, fields), (of_maps, of_fields), strict=True)
    ]
    return torch.stack(errors).sum() / maps.numel()


def _weighted(found: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    if found.shape != target.shape:
        raise ValueError(f"maps or fields: expected shape {list(target.shape)}, got {list(found.shape)}")
    return ((found.float() - target).square() * weight).sum()


def coordinate_mse(
    found: Tensor,  # [B, ..., K, 2]
    truth: Tensor,  # the same
    weight: Tensor,  # [B, K], 1 where the joint counts
) -> Tensor:
    """Return the squared distance, averaged over the weighted joints and summed over axes between batch and joints.

    Args:
        found: Predicted coordinates [B, ..., K, 2].
        truth: Target coordinates of the same shape.
        weight: Weights [B, K], 1 where a joint counts.
    """
    if found.shape != truth.shape:
        raise ValueError(f"coordinates: expected shape {list(truth.shape)}, got {list(found.shape)}")
    errors = (found.float() - truth).square().sum(dim=-1)
    return _mean(errors.flatten(1, -2).sum(dim=1) if errors.ndim > 2 else errors, weight)


StageLoss = Callable[[Sequence[Tensor], Tensor, Tensor], Tensor]
STAGE_LOSSES: dict[str, StageLoss] = {"mse": stage_mse, "ohkm": stage_ohkm}


def _errors(heatmaps: Tensor, target: Tensor) -> Tensor:
    """Return the squared error [B, K] of each heatmap, averaged over its cells."""
    if heatmaps.shape != target.shape:
        raise ValueError(f"heatmaps: expected shape {list(target.shape)}, got {list(heatmaps.shape)}")
    return (heatmaps.float() - target).square().mean(dim=(2, 3))


def _mean(errors: Tensor, weight: Tensor) -> Tensor:
    return (errors * weight).sum() / weight.sum().clamp(min=1)


def _with_background(stage: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Append the heatmap of the background to the target and its weight if the stage predicts one.

    The background is 1 minus the highest value of all joints. It counts only for people of whom every joint counts,
    because unlabeled joints would otherwise be learned as background.
    """
    if stage.shape[1] != target.shape[1] + 1:
        return target, weight
    background = 1 - target.amax(dim=1, keepdim=True)
    return torch.cat([target, background], 1), torch.cat([weight, weight.amin(dim=1, keepdim=True)], 1)
