"""Losses: how far maps or coordinates are from what they shall be.

`masked_mse`: mean squared error over the joints that are labeled (Xiao et al., ECCV 2018).
`stage_mse`: its sum over the stages of a network that is supervised between its stages (Wei et al., CVPR 2016,
equation 5; Newell et al., ECCV 2016, section 3.1).
`stage_ohkm`: as `stage_mse`, but the last stage learns from each person's hardest joints only, "online hard
keypoint mining" (Chen et al., CVPR 2018, section 3.2.2; of their counts in table 6, eight is the best).
`scene_mse`: over maps and fields of all stages, each cell with a weight (Cao et al., CVPR 2017, equation 5).
`coordinate_mse`: squared distance of coordinates (Toshev and Szegedy, CVPR 2014, equation 4).
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
    """The squared error, averaged over cells and counted joints. Scalar; 0 when nothing counts.

    ValueError where the shapes differ: a network that does not have the stride of the targets.
    """
    return _mean(_errors(heatmaps, target), weight)


def hardest_mse(
    heatmaps: Tensor,  # [B, K, h, w]
    target: Tensor,  # [B, K, h, w]
    weight: Tensor,  # [B, K], 1 where the joint counts
    count: int,
) -> Tensor:
    """As `masked_mse`, over the `count` joints of each person with the largest error (fewer where fewer count)."""
    errors = _errors(heatmaps, target)
    order = (errors.detach() * weight).argsort(dim=1, descending=True)[:, :count]
    return _mean(errors.gather(1, order), weight.gather(1, order))


def stage_mse(
    stages: Sequence[Tensor],  # [B, K or K + 1, h, w] each
    target: Tensor,  # [B, K, h, w]
    weight: Tensor,  # [B, K]
) -> Tensor:
    """The sum of `masked_mse` over the stages. A stage of K + 1 maps ends in the background's."""
    return torch.stack([masked_mse(stage, *_with_background(stage, target, weight)) for stage in stages]).sum()


def stage_ohkm(
    stages: Sequence[Tensor],  # [B, K, h, w] each
    target: Tensor,  # [B, K, h, w]
    weight: Tensor,  # [B, K]
    count: int = 8,
) -> Tensor:
    """`masked_mse` of every stage but the last, plus `hardest_mse` of the last."""
    early = [masked_mse(stage, target, weight) for stage in stages[:-1]]
    return torch.stack([*early, hardest_mse(stages[-1], target, weight, count)]).sum()


def scene_mse(
    stages: Sequence[tuple[Tensor, Tensor]],  # (maps [B, K + 1, h, w], fields [B, 2 L, h, w]) each
    maps: Tensor,  # [B, K + 1, h, w]
    fields: Tensor,  # [B, 2 L, h, w]
    of_maps: Tensor,  # weights, [B, K + 1, h, w]
    of_fields: Tensor,  # weights, [B, 2 L, h, w]
) -> Tensor:
    """The weighted squared errors of maps and fields, summed over stages, averaged over cells and maps."""
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
    """The squared distance, averaged over counted joints, summed over what lies between batch and joints."""
    if found.shape != truth.shape:
        raise ValueError(f"coordinates: expected shape {list(truth.shape)}, got {list(found.shape)}")
    errors = (found.float() - truth).square().sum(dim=-1)
    return _mean(errors.flatten(1, -2).sum(dim=1) if errors.ndim > 2 else errors, weight)


StageLoss = Callable[[Sequence[Tensor], Tensor, Tensor], Tensor]
STAGE_LOSSES: dict[str, StageLoss] = {"mse": stage_mse, "ohkm": stage_ohkm}


def _errors(heatmaps: Tensor, target: Tensor) -> Tensor:
    """[B, K]: the squared error of each map, averaged over its cells."""
    if heatmaps.shape != target.shape:
        raise ValueError(f"heatmaps: expected shape {list(target.shape)}, got {list(heatmaps.shape)}")
    return (heatmaps.float() - target).square().mean(dim=(2, 3))


def _mean(errors: Tensor, weight: Tensor) -> Tensor:
    return (errors * weight).sum() / weight.sum().clamp(min=1)


def _with_background(stage: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The target and weight with one map more, where the stage has one: 1 minus the highest of the joints'.

    It counts for people of whom every joint counts: elsewhere a joint that nobody labeled would be taught as
    background.
    """
    if stage.shape[1] != target.shape[1] + 1:
        return target, weight
    background = 1 - target.amax(dim=1, keepdim=True)
    return torch.cat([target, background], 1), torch.cat([weight, weight.amin(dim=1, keepdim=True)], 1)
