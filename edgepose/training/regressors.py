"""How networks that give coordinates learn: one function a kind, `RegressionLoss`.

l2        coordinates, all at once (DeepPose)
cascade   those of every stage, each looking from where training put it (DeepPose's cascade)
path      the steps of a fixed path to the truth, one more with each share of the training (Iterative Error Feedback)
own_path  the same, of the path that the network's own corrections take
refined   coarse maps, and fine maps around the truth moved a little (Efficient Object Localization)
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

FINE_SHARE = 0.1  # what fine maps count beside coarse ones (Tompson et al., CVPR 2015, lambda)
FINE_SIGMA = 2.0  # of their Gaussians, in fine cells


@dataclass(frozen=True, kw_only=True)
class RegressionBatch:
    """A batch to learn from.

    sigma: of maps, in coarse cells. progress: of the training, 0 to 1.
    """

    crops: Tensor  # [B, 3, H, W]
    truth: Tensor  # [B, K, 2], -0.5 to 0.5 over the crop
    weight: Tensor  # [B, K], 1 where a joint is known
    sigma: float
    progress: float


RegressionLoss = Callable[[nn.Module, RegressionBatch], Tensor]


def l2(network: nn.Module, batch: RegressionBatch) -> Tensor:
    """The squared distance of the coordinates."""
    return coordinate_mse(network(batch.crops), batch.truth, batch.weight)


def cascade(network: nn.Module, batch: RegressionBatch) -> Tensor:
    """The squared distances of every stage's coordinates, summed."""
    stages = network(batch.crops, batch.truth, batch.weight)
    return torch.stack([coordinate_mse(stage, batch.truth, batch.weight) for stage in stages]).sum()


def path(network: nn.Module, batch: RegressionBatch) -> Tensor:
    """The squared distances of the corrections from those of the fixed path, summed over the steps so far."""
    found, wanted = network(batch.crops, batch.truth, batch.weight, batch.progress)
    return coordinate_mse(found, wanted, batch.weight)


def own_path(network: nn.Module, batch: RegressionBatch) -> Tensor:
    """The squared distances of the corrections from the steps to the truth, summed over the steps so far."""
    found, wanted = network(batch.crops, batch.truth, batch.weight, batch.progress, False)
    return coordinate_mse(found, wanted, batch.weight)


def refined(network: nn.Module, batch: RegressionBatch) -> Tensor:
    """The squared error of the coarse maps, and a tenth of that of the fine ones.

    A joint outside the crop has no coarse map, one outside its fine map no fine one.
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
    """[B, K]: 1 for joints [B, K, 2] within -0.5 to 0.5."""
    return (pose.abs() <= 0.5).all(dim=-1).to(pose.dtype)


# loss -> the share of the training from which on everything is learnt; 0 for those that are not here
WHOLE_FROM: dict[str, float] = {"path": (STEPS - 1) / STEPS, "own_path": (STEPS - 1) / STEPS}
REGRESSION_LOSSES: dict[str, RegressionLoss] = {
    "l2": l2,
    "cascade": cascade,
    "path": path,
    "own_path": own_path,
    "refined": refined,
}
