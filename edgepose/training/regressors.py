"""Losses for networks that predict coordinates. Each loss is a `RegressionLoss`, a function of the network and a batch.

l2        the squared error of the coordinates (DeepPose)
cascade   the squared errors of all stages, where later stages start from a displaced ground truth (DeepPose cascade)
path      the corrections along a fixed path to the ground truth; steps are added during training (Iterative Error
          Feedback)
own_path  the corrections along the path that the network's own corrections take
refined   coarse heatmaps, and fine heatmaps around the displaced ground truth (Efficient Object Localization)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgepose.models.eol import FINE, FINE_STRIDE
from edgepose.models.ief import STEPS
from edgepose.models.places import render
from edgepose.training.losses import coordinate_mse, masked_mse

FINE_SHARE = 0.1  # weight of the fine loss relative to the coarse one (lambda in Tompson et al., CVPR 2015)
FINE_SIGMA = 2.0  # standard deviation of the fine target Gaussians, in fine cells


@dataclass(frozen=True, kw_only=True)
class RegressionBatch:
    """A training batch.

    Attributes:
        crops: Images [B, 3, H, W].
        truth: Ground truth coordinates [B, K, 2], -0.5 to 0.5 over the crop.
        weight: Weights [B, K], 1 where a joint is labeled.
        sigma: Standard deviation of the target Gaussians in coarse heatmap cells.
        progress: The completed part of the training, 0 to 1.
    """

    crops: Tensor  # [B, 3, H, W]
    truth: Tensor  # [B, K, 2]
    weight: Tensor  # [B, K]
    sigma: float
    progress: float


RegressionLoss = Callable[[nn.Module, RegressionBatch], Tensor]


def l2(network: nn.Module, batch: RegressionBatch) -> Tensor:
    """Return the squared error of the coordinates."""
    return coordinate_mse(network(batch.crops), batch.truth, batch.weight)


def cascade(network: nn.Module, batch: RegressionBatch) -> Tensor:
    """Return the sum of the squared errors of all stages."""
    stages = network(batch.crops, batch.truth, batch.weight)
    return torch.stack([coordinate_mse(stage, batch.truth, batch.weight) for stage in stages]).sum()


def path(network: nn.Module, batch: RegressionBatch) -> Tensor:
    """Return the squared error of the corrections along the fixed path, summed over the steps trained so far."""
    found, wanted = network(batch.crops, batch.truth, batch.weight, batch.progress)
    return coordinate_mse(found, wanted, batch.weight)


def own_path(network: nn.Module, batch: RegressionBatch) -> Tensor:
    """Return the squared error of the corrections along the network's own path, summed over the trained steps."""
    found, wanted = network(batch.crops, batch.truth, batch.weight, batch.progress, False)
    return coordinate_mse(found, wanted, batch.weight)


def refined(network: nn.Module, batch: RegressionBatch) -> Tensor:
    """Return the squared error of the coarse heatmaps, plus a tenth of that of the fine heatmaps.

    A joint outside the crop does not count for the coarse loss. A joint outside its fine heatmap does not count for the
    fine loss.
    """
    maps, fine, center = network(batch.crops, batch.truth)
    height, width = batch.crops.shape[2:]
    extent = batch.crops.new_tensor([FINE * FINE_STRIDE / width, FINE * FINE_STRIDE / height])
    near = (batch.truth - center) / extent
    size = (int(maps.shape[2]), int(maps.shape[3]))
    inside = batch.weight * _inside(batch.truth)
    coarse = masked_mse(maps, render(batch.truth, size, batch.sigma), inside)
    close = masked_mse(fine, render(near, (FINE, FINE), FINE_SIGMA), inside * _inside(near))
    return coarse + FINE_SHARE * close


def _inside(pose: Tensor) -> Tensor:
    """Return 1 for joints of `pose` [B, K, 2] whose coordinates lie within -0.5 to 0.5; [B, K]."""
    return (pose.abs() <= 0.5).all(dim=-1).to(pose.dtype)


# loss -> the fraction of the training after which the whole network is trained; 0 for losses that are not listed
WHOLE_FROM: dict[str, float] = {"path": (STEPS - 1) / STEPS, "own_path": (STEPS - 1) / STEPS}
REGRESSION_LOSSES: dict[str, RegressionLoss] = {
    "l2": l2,
    "cascade": cascade,
    "path": path,
    "own_path": own_path,
    "refined": refined,
}
