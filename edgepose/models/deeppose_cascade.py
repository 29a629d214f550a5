"""The DeepPose cascade: each later stage looks at a square around every joint and predicts how far the joint is off.

Toshev and Szegedy, "DeepPose", CVPR 2014, section 3.2. Stage 1 is the network of `deeppose.py` on the whole person.
Stage s cuts a square around the last estimate of each joint, `REACH` times as wide as the torso is long (equation 5;
the paper's sigma is 2 on LSP), and regresses the displacement in that square (equation 6). Each stage has one network,
which sees the squares of all joints and has one output per joint. In training, a later stage starts from the ground
truth plus a random displacement. The displacements follow a normal distribution with the mean and variance of the
errors of the stage before (equations 7 and 8). Running statistics estimate both, so all stages train together.

The whole cascade is one graph. The input crop has `scale` times the resolution that stage 1 needs: stage 1 sees a
downscaled copy, and the squares are cut from the full crop. The paper cuts them from the original photograph, which
may show more detail.

Run only the tests of this module: `pytest tests/models/test_deeppose_cascade.py`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgepose.errors import UsageError
from edgepose.models import deeppose
from edgepose.models.places import windows

REACH = 2.0
LEAST = 0.05  # minimum torso length in crop heights; a torso seen end-on has almost none
MOMENTUM = 0.02  # of the running statistics of the displacements


class DeepPoseCascade(nn.Module):
    """The first network on the downscaled crop, then the later networks on squares around the joints.

    Args:
        first: The network of stage 1.
        later: The networks of the later stages.
        torso: The indices of the two joints at the ends of the torso.
        size: Side of a square in pixels.
        scale: Resolution of the crop relative to what `first` needs.
    """

    offset: Tensor
    spread: Tensor

    def __init__(
        self,
        first: deeppose.DeepPose,
        later: list[deeppose.DeepPose],
        torso: tuple[int, int],
        size: int,
        scale: int = 2,
    ) -> None:
        super().__init__()
        joints = first.joints
        if not later or any(stage.joints != joints for stage in later) or not all(0 <= j < joints for j in torso):
            raise UsageError(
                f"DeepPoseCascade: expected later stages of {joints} joints and a torso between two of them, "
                f"got {[stage.joints for stage in later]} and {list(torso)}."
            )
        self.first, self.later = first, nn.ModuleList(later)
        self.torso, self.size, self.scale = torso, size, scale
        self.joints = joints
        # Running mean and deviation of the displacements that each stage receives, in torso lengths.
        self.register_buffer("offset", torch.zeros(len(later), joints, 2))
        self.register_buffer("spread", torch.full((len(later), joints, 2), 0.3))

    def forward(
        self,
        images: Tensor,  # [B, 3, H, W]
        truth: Tensor | None = None,  # [B, K, 2]
        weight: Tensor | None = None,  # [B, K]
    ) -> Tensor | tuple[Tensor, ...]:
        """Return coordinates, -0.5 to 0.5 over the crop.

        Args:
            images: Crops [B, 3, H, W], `scale` times as large as `first` needs.
            truth: The ground truth [B, K, 2], in training.
            weight: Weights [B, K], 1 where a joint is labeled, in training.

        Returns:
            Coordinates [B, K, 2]. With `truth`, a tuple of the coordinates of every stage. Each later stage then starts
            from the displaced ground truth; the target of all stages is the ground truth.
        """
        aspect = images.new_tensor([images.shape[3] / images.shape[2], 1.0])
        pose: Tensor = self.first(functional.avg_pool2d(images, self.scale))
        if truth is not None and weight is not None:
            return self._learn(images, pose, truth, weight, aspect)
        for stage in range(len(self.later)):
            pose = self._closer(stage, images, pose, self._extent(pose, aspect))
        return pose

    def _learn(self, images: Tensor, pose: Tensor, truth: Tensor, weight: Tensor, aspect: Tensor) -> tuple[Tensor, ...]:
        torso = self._extent(truth, aspect) / REACH
        found = [pose]
        for stage in range(len(self.later)):
            self._remember(stage, ((truth - found[-1]) / torso).detach(), weight)
            moved = self.offset[stage] + self.spread[stage] * torch.randn_like(truth)
            found.append(self._closer(stage, images, truth - moved * torso, torso * REACH))
        return tuple(found)

    def _extent(self, pose: Tensor, aspect: Tensor) -> Tensor:
        """Return the width and height [B, 1, 2] of the squares around a pose's joints, as fractions of the crop."""
        a, b = self.torso
        length = ((pose[:, a] - pose[:, b]) * aspect).square().sum(dim=1).sqrt().clamp(min=LEAST)
        return REACH * length[:, None, None] / aspect

    def _closer(self, stage: int, images: Tensor, pose: Tensor, extent: Tensor) -> Tensor:
        """Return the coordinates [B, K, 2] that a stage predicts when it starts from `pose`."""
        seen = windows(images, pose, extent, (self.size, self.size))
        answers: Tensor = self.later[stage](seen).reshape(-1, self.joints**2, 2)  # per square and joint
        own = torch.arange(self.joints, device=images.device) * (self.joints + 1)
        return pose + answers.index_select(1, own) * extent

    @torch.no_grad()
    def _remember(self, stage: int, away: Tensor, weight: Tensor) -> None:
        """Update the running mean and deviation of the displacements `away` [B, K, 2] that a stage receives."""
        count = weight.sum(dim=0)[:, None].clamp(min=1)
        mean = (away * weight[..., None]).sum(dim=0) / count
        deviation = ((away - mean).square() * weight[..., None]).sum(dim=0).div(count).sqrt()
        known = weight.sum(dim=0)[:, None] > 1
        for kept, now in ((self.offset, mean), (self.spread, deviation)):
            kept[stage] = torch.where(known, kept[stage].lerp(now, MOMENTUM), kept[stage])


class Variant(NamedTuple):
    """The stages of a named network.

    Attributes:
        first: The network of stage 1.
        later: The network of each later stage.
        size: Side of a square in pixels.
        stages: The number of stages, including the first.
    """

    first: deeppose.Variant
    later: deeppose.Variant
    size: int
    stages: int = 3


VARIANTS: dict[str, Variant] = {
    "deeppose-cascade": Variant(deeppose.Variant(), deeppose.Variant(), 220),
    "deeppose-cascade-small": Variant(
        deeppose.VARIANTS["deeppose-small"], deeppose.Variant((24, 48, 96, 96, 64), 128, (2, 2), (7, 2), 0.0), 48, 2
    ),
}


def build(name: str, joints: int, torso: tuple[int, int]) -> DeepPoseCascade:
    """Build the variant `name` for `joints` joints, with random weights.

    Args:
        name: A key of `VARIANTS`.
        joints: The number of joints K.
        torso: The indices of the two joints at the ends of the torso.
    """
    variant = VARIANTS[name]
    first = deeppose.DeepPose(joints, *variant.first)
    later = [deeppose.DeepPose(joints, *variant.later) for _ in range(variant.stages - 1)]
    return DeepPoseCascade(first, later, torso, variant.size)
