"""Iterative Error Feedback: the network sees the image and the current pose, and predicts a correction of the pose.

Carreira, Agrawal, Fragkiadaki and Malik, "Human Pose Estimation with Iterative Error Feedback", CVPR 2016.
Section 2: y_0 is the mean pose. The input x_t is the image, concatenated with one Gaussian per joint at y_t (g in
figure 1). The pose is updated four times by y_(t+1) = y_t + f(x_t). The exported graph contains all four iterations
and one copy of the weights.

There are two ways to train it. The first is Fixed Path Consolidation (section 3): the path from the mean pose to the
ground truth, in steps of at most L = 20 of the 224 pixels, does not depend on the network, which learns each step of
this path. The steps are added one after another: every three epochs in algorithm 1, here each after an equal part of
the training. The mean pose is a running mean over the batches of the training data.

A pose on the fixed path reveals the direction of the path. A small network that starts from random weights learns to
continue in that direction, whatever the image shows. The second way avoids this: the network learns the step to the
ground truth from the pose that its own corrections reached.

The f of the paper is GoogLeNet. The `small` variant has a narrow ResNet and can be trained on two CPU cores.

Run only the tests of this module: `pytest tests/models/test_ief.py`.
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
BOUND = 20 / 224  # maximum length of a step, in crop heights
SIGMA = 8 / 224  # of the Gaussians that represent the pose, in crop heights


class IterativeErrorFeedback(nn.Module):
    """A trunk for images and pose maps, global average pooling, and 2 K corrections.

    Args:
        trunk: A trunk with 3 + K input channels.
        joints: The number of joints K.
        steps: The number of iterations.
    """

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
        truth: Tensor | None = None,  # [B, K, 2]
        weight: Tensor | None = None,  # [B, K]
        progress: float = 1.0,
        fixed: bool = True,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Return coordinates, -0.5 to 0.5 over the crop, or in training the corrections.

        Args:
            images: Crops [B, 3, H, W].
            truth: The ground truth [B, K, 2], in training.
            weight: Weights [B, K], 1 where a joint is labeled, in training.
            progress: The completed part of the training, 0 to 1. It sets how many of the steps are trained.
            fixed: Whether training follows the fixed path (True) or the network's own corrections (False).

        Returns:
            Coordinates [B, K, 2]. With `truth`, the predicted and the target corrections, each [B, t, K, 2].
        """
        if truth is not None and weight is not None:
            self._remember(truth, weight)
            steps = min(1 + int(progress * self.steps), self.steps)
            return self._learn(images, truth, weight, steps, fixed)
        pose = self.mean_pose + images[:, :1, 0, :1] * 0  # [B, K, 2]; `expand` would export a Shape operation
        for _ in range(self.steps):
            pose = pose + self._correct(images, pose)
        return pose

    def _learn(self, images: Tensor, truth: Tensor, weight: Tensor, steps: int, fixed: bool) -> tuple[Tensor, Tensor]:
        height, width = images.shape[2:]
        pose = self.mean_pose.expand_as(truth)
        found, wanted = [], []
        for _ in range(steps):
            found.append(self._correct(images, pose))
            wanted.append(bounded(truth - pose, width / height) * weight[..., None])  # unlabeled joints stay
            pose = pose + (wanted[-1] if fixed else found[-1].detach())
        return torch.stack(found, dim=1), torch.stack(wanted, dim=1)

    def _correct(self, images: Tensor, pose: Tensor) -> Tensor:
        """Return the predicted correction [B, K, 2] of the pose."""
        size = (int(images.shape[2]), int(images.shape[3]))
        shown = torch.cat([images, render(pose, size, SIGMA * size[0]).to(images.dtype)], dim=1)
        corrections: Tensor = self.correction(self.trunk(shown).mean(dim=(2, 3)))
        return corrections.view(-1, self.joints, 2)

    @torch.no_grad()
    def _remember(self, truth: Tensor, weight: Tensor) -> None:
        """Update the mean pose: the running mean over all batches so far."""
        count = weight.sum(dim=0)[:, None]
        batch = (truth * weight[..., None]).sum(dim=0) / count.clamp(min=1)
        self.batches += 1
        moved = self.mean_pose + (batch - self.mean_pose) / self.batches
        self.mean_pose.copy_(torch.where(count > 0, moved, self.mean_pose))


def bounded(
    away: Tensor,  # [..., 2]
    aspect: float = 1.0,
) -> Tensor:
    """Limit a displacement to the length `BOUND` without changing its direction in the image (equation 5).

    Args:
        away: Displacements [..., 2] from a pose to the ground truth, as fractions of the crop.
        aspect: Width / height of the crop.

    Returns:
        The limited displacements [..., 2].
    """
    scale = away.new_tensor([aspect, 1.0])  # fractions of the crop -> crop heights
    length = (away * scale).norm(dim=-1, keepdim=True)
    step: Tensor = away * (BOUND / length.clamp(min=BOUND))
    return step


def _narrow_resnet18(channels: int) -> ResNet:
    """Return a ResNet-18 with 20 planes: it runs four times, and its stem reads all maps at half resolution."""
    return ResNet(BasicBlock, (2, 2, 2, 2), planes=20, channels=channels)


class Variant(NamedTuple):
    """The trunk of a named network and its number of iterations.

    Attributes:
        trunk: Creates the trunk for a number of input channels.
        steps: The number of iterations.
    """

    trunk: Callable[[int], GoogLeNet | ResNet]
    steps: int = STEPS


VARIANTS: dict[str, Variant] = {
    "ief": Variant(GoogLeNet),
    "ief-small": Variant(_narrow_resnet18),
}


def build(name: str, joints: int) -> IterativeErrorFeedback:
    """Build the variant `name` for `joints` joints, with random weights."""
    variant = VARIANTS[name]
    return IterativeErrorFeedback(variant.trunk(3 + joints), joints, variant.steps)
