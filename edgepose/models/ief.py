"""Iterative Error Feedback: look at the image and at the last guess, and say how the guess should move.

Carreira, Agrawal, Fragkiadaki and Malik, "Human Pose Estimation with Iterative Error Feedback", CVPR 2016.
Section 2: y_0 is the mean pose, x_t the image joined with one Gaussian a joint at y_t (g, figure 1), and
y_(t+1) = y_t + f(x_t), four times. The export holds all four, with the weights of one.

Section 3, Fixed Path Consolidation: the path from the mean pose to the truth, in steps of at most L = 20 of the
224 pixels, does not depend on the network; it learns to take each step of that path. The steps are added one after
another (algorithm 1: every three epochs; here each after an equal share of the training). The mean pose is a
statistic of the training data, as batch norm keeps: the running mean of all batches.

A guess on that path tells where the path leads, and a small network that begins with random weights learns to go on
as the guess says, whatever the image shows. So there is a second way: it learns the step to the truth from wherever
its own corrections led it; those guesses tell nothing that the image did not.

The paper's f is GoogLeNet; the `small` variant has a narrow ResNet and trains on two cores.

Test alone: `pytest tests/models/test_ief.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from edgepose.errors import UsageError
from edgepose.models.googlenet import GoogLeNet
from edgepose.models.places import render
from edgepose.models.resnet import BasicBlock, ResNet

STEPS = 4
BOUND = 20 / 224  # a step's largest length, in heights of the crop
SIGMA = 8 / 224  # of the Gaussians that show the guess, in heights of the crop


class IterativeErrorFeedback(nn.Module):
    """`trunk` for images of 3 + K channels, pooled, and 2 K corrections. Coordinates: -0.5 to 0.5 over the crop."""

    mean_pose: Tensor
    batches: Tensor

    def __init__(self, trunk: GoogLeNet | ResNet, joints: int, steps: int = STEPS) -> None:
        super().__init__()
        if joints < 1 or steps < 1:
            raise UsageError(f"IEF: joints and steps must be at least 1, got {joints} and {steps}.")
        self.joints, self.steps = joints, steps
        self.trunk = trunk
        self.correction = nn.Linear(trunk.out_channels, 2 * joints)
        nn.init.normal_(self.correction.weight, std=0.001)
        nn.init.zeros_(self.correction.bias)
        self.register_buffer("mean_pose", torch.zeros(joints, 2))
        self.register_buffer("batches", torch.zeros(()))

    def forward(
        self,
        images: Tensor,  # [B, 3, H, W], H and W multiples of 32
        truth: Tensor | None = None,  # [B, K, 2], in training
        weight: Tensor | None = None,  # [B, K], 1 where a joint is known, in training
        progress: float = 1.0,  # of the training, 0 to 1: how many of the steps are learnt by now
        fixed: bool = True,  # the guesses learnt from: of the fixed path, or the network's own
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Return coordinates [B, K, 2]; with `truth` corrections [B, t, K, 2], found and wanted."""
        if truth is not None and weight is not None:
            self._remember(truth, weight)
            steps = min(1 + int(progress * self.steps), self.steps)
            return self._learn(images, truth, weight, steps, fixed)
        pose = self.mean_pose + images[:, :1, 0, :1] * 0  # [B, K, 2], without asking for the batch
        for _ in range(self.steps):
            pose = pose + self._correct(images, pose)
        return pose

    def _learn(self, images: Tensor, truth: Tensor, weight: Tensor, steps: int, fixed: bool) -> tuple[Tensor, Tensor]:
        height, width = images.shape[2:]
        pose = self.mean_pose.expand_as(truth)
        found, wanted = [], []
        for _ in range(steps):
            found.append(self._correct(images, pose))
            wanted.append(bounded(truth - pose, width / height) * weight[..., None])  # who knows not where, stays
            pose = pose + (wanted[-1] if fixed else found[-1].detach())
        return torch.stack(found, dim=1), torch.stack(wanted, dim=1)

    def _correct(self, images: Tensor, pose: Tensor) -> Tensor:
        """[B, K, 2]: how the guess should move."""
        size = (int(images.shape[2]), int(images.shape[3]))
        shown = torch.cat([images, render(pose, size, SIGMA * size[0]).to(images.dtype)], dim=1)
        corrections: Tensor = self.correction(self.trunk(shown).mean(dim=(2, 3)))
        return corrections.view(-1, self.joints, 2)

    @torch.no_grad()
    def _remember(self, truth: Tensor, weight: Tensor) -> None:
        """The mean pose moves toward the batch's, by its share among all batches so far."""
        count = weight.sum(dim=0)[:, None]
        batch = (truth * weight[..., None]).sum(dim=0) / count.clamp(min=1)
        self.batches += 1
        moved = self.mean_pose + (batch - self.mean_pose) / self.batches
        self.mean_pose.copy_(torch.where(count > 0, moved, self.mean_pose))


def bounded(
    away: Tensor,  # [..., 2], from a guess to the truth
    aspect: float = 1.0,  # of the crop, width / height
) -> Tensor:
    """[..., 2]: the same direction on the screen, no longer than BOUND (equation 5)."""
    scale = away.new_tensor([aspect, 1.0])  # shares of the crop -> heights of the crop
    length = (away * scale).norm(dim=-1, keepdim=True)
    step: Tensor = away * (BOUND / length.clamp(min=BOUND))
    return step


def _narrow_resnet18(channels: int) -> ResNet:
    """A ResNet-18 of 20 planes: the stem sees all the maps at half resolution, and that four times."""
    return ResNet(BasicBlock, (2, 2, 2, 2), planes=20, channels=channels)


class Variant(NamedTuple):
    trunk: Callable[[int], GoogLeNet | ResNet]  # of so many input channels
    steps: int = STEPS


VARIANTS: dict[str, Variant] = {
    "ief": Variant(GoogLeNet),
    "ief-small": Variant(_narrow_resnet18),
}


def build(name: str, joints: int) -> IterativeErrorFeedback:
    """The variant `name` for `joints` joints, randomly initialized."""
    variant = VARIANTS[name]
    return IterativeErrorFeedback(variant.trunk(3 + joints), joints, variant.steps)
