"""The DeepPose cascade: each later stage looks closely around every joint, and says how far it is off.

Toshev and Szegedy, "DeepPose", CVPR 2014, section 3.2. Stage 1 is `deeppose.py` on the whole person. Stage s cuts a
square around each joint's estimate, `reach` times as wide as the torso is long (equation 5; the paper's sigma is 2 on
LSP), and regresses the displacement in that square (equation 6); one network a stage sees the squares of all joints
and has an output for each. Later stages learn from the truth moved at random: normal displacements with the mean and
variance of the stage before (equations 7 and 8), kept here as a running statistic, so all stages train together.

All of it is one graph: the crop comes in finer than stage 1 needs (`scale` times), stage 1 sees it shrunk, and the
squares are cut from it. The paper cuts them from the photograph; here no detail beyond the input's is seen.

Test alone: `pytest tests/models/test_deeppose_cascade.py`.
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
LEAST = 0.05  # the shortest torso, in heights of the crop: one seen end-on has no length
MOMENTUM = 0.02  # of the statistics of displacements


class DeepPoseCascade(nn.Module):
    """`first` on the crop shrunk by `scale`, then `later` on squares. torso: the two joints it lies between."""

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
        # of the displacements that the stages before leave, in torso lengths
        self.register_buffer("offset", torch.zeros(len(later), joints, 2))
        self.register_buffer("spread", torch.full((len(later), joints, 2), 0.3))

    def forward(
        self,
        images: Tensor,  # [B, 3, H, W], `scale` times what `first` wants
        truth: Tensor | None = None,  # [B, K, 2], in training
        weight: Tensor | None = None,  # [B, K], 1 where a joint is known, in training
    ) -> Tensor | tuple[Tensor, ...]:
        """Return coordinates [B, K, 2], -0.5 to 0.5 over the crop.

        With `truth` every stage's, each from where training put it: all of them shall be the truth.
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
        """[B, 1, 2]: width and height of the squares around a pose's joints, as shares of the crop."""
        a, b = self.torso
        length = ((pose[:, a] - pose[:, b]) * aspect).square().sum(dim=1).sqrt().clamp(min=LEAST)
        return REACH * length[:, None, None] / aspect

    def _closer(self, stage: int, images: Tensor, pose: Tensor, extent: Tensor) -> Tensor:
        """[B, K, 2]: where a stage, looking from `pose`, says the joints are."""
        seen = windows(images, pose, extent, (self.size, self.size))
        answers: Tensor = self.later[stage](seen).reshape(-1, self.joints**2, 2)  # every square, every joint
        own = torch.arange(self.joints, device=images.device) * (self.joints + 1)
        return pose + answers.index_select(1, own) * extent

    @torch.no_grad()
    def _remember(self, stage: int, away: Tensor, weight: Tensor) -> None:
        """The mean and deviation of the displacements `away` [B, K, 2] that a stage will see."""
        count = weight.sum(dim=0)[:, None].clamp(min=1)
        mean = (away * weight[..., None]).sum(dim=0) / count
        deviation = ((away - mean).square() * weight[..., None]).sum(dim=0).div(count).sqrt()
        known = weight.sum(dim=0)[:, None] > 1
        for kept, now in ((self.offset, mean), (self.spread, deviation)):
            kept[stage] = torch.where(known, kept[stage].lerp(now, MOMENTUM), kept[stage])


class Variant(NamedTuple):
    """first, later: as `deeppose.VARIANTS`. stages: with the first. size: of a square in pixels."""

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
    """The variant `name` for `joints` joints with the torso between two of them, randomly initialized."""
    variant = VARIANTS[name]
    first = deeppose.DeepPose(joints, *variant.first)
    later = [deeppose.DeepPose(joints, *variant.later) for _ in range(variant.stages - 1)]
    return DeepPoseCascade(first, later, torso, variant.size)
