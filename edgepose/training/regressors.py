"""How networks that give coordinates learn: one function a kind, `(network, crops, truth, weight, sigma) -> loss`.

l2        coordinates, all at once (DeepPose)
cascade   those of every stage, each looking from where training put it (DeepPose's cascade)
path      the steps of a fixed path to the truth (Iterative Error Feedback)
refined   coarse maps, and fine maps around the truth moved a little (Efficient Object Localization)
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from edgepose.models.eol import FINE, FINE_STRIDE
from edgepose.models.places import render
from edgepose.training.losses import coordinate_mse, masked_mse

FINE_SHARE = 0.1  # what fine maps count beside coarse ones (Tompson et al., CVPR 2015, lambda)
FINE_SIGMA = 2.0  # of their Gaussians, in fine cells

# network, crops [B, 3, H, W], truth [B, K, 2] (-0.5 to 0.5 over the crop), weight [B, K], sigma in coarse cells
RegressionLoss = Callable[[nn.Module, Tensor, Tensor, Tensor, float], Tensor]


def l2(network: nn.Module, crops: Tensor, truth: Tensor, weight: Tensor, sigma: float) -> Tensor:
    """The squared distance of the coordinates."""
    return coordinate_mse(network(crops), truth, weight)


def cascade(network: nn.Module, crops: Tensor, truth: Tensor, weight: Tensor, sigma: float) -> Tensor:
    """The squared distances of every stage's coordinates, summed."""
    stages = network(crops, truth, weight)
    return torch.stack([coordinate_mse(stage, truth, weight) for stage in stages]).sum()


def path(network: nn.Module, crops: Tensor, truth: Tensor, weight: Tensor, sigma: float) -> Tensor:
    """The squared distances of the corrections from those of the fixed path, summed over its steps."""
    found, wanted = network(crops, truth, weight)
    return coordinate_mse(found, wanted, weight)


def refined(network: nn.Module, crops: Tensor, truth: Tensor, weight: Tensor, sigma: float) -> Tensor:
    """The squared error of the coarse maps, and a tenth of that of the fine ones.

    A joint outside the crop has no coarse map, one outside its fine map no fine one.
    """
    maps, fine, centre = network(crops, truth)
    height, width = crops.shape[2:]
    extent = crops.new_tensor([FINE * FINE_STRIDE / width, FINE * FINE_STRIDE / height])
    near = (truth - centre) / extent
    size = (int(maps.shape[2]), int(maps.shape[3]))
    coarse = masked_mse(maps, render(truth, size, sigma), weight * _inside(truth))
    close = masked_mse(fine, render(near, (FINE, FINE), FINE_SIGMA), weight * _inside(truth) * _inside(near))
    return coarse + FINE_SHARE * close


def _inside(pose: Tensor) -> Tensor:
    """[B, K]: 1 for joints [B, K, 2] within -0.5 to 0.5."""
    return (pose.abs() <= 0.5).all(dim=-1).to(pose.dtype)


REGRESSION_LOSSES: dict[str, RegressionLoss] = {"l2": l2, "cascade": cascade, "path": path, "refined": refined}
