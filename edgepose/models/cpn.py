"""Cascaded Pyramid Network: GlobalNet finds the easy joints, RefineNet the hard ones.

Chen, Wang, Peng, Zhang, Yu and Sun, "Cascaded Pyramid Network for Multi-Person Pose Estimation", CVPR 2018.
GlobalNet (section 3.2.1) merges the four stages of a ResNet from the deepest to the shallowest and predicts heatmaps
from each level. RefineNet (section 3.2.2) applies bottleneck blocks to every level, more of them to the deeper levels,
resizes all levels to one size, concatenates them and predicts heatmaps. It is trained on the hardest joints of each
person (`loss = "ohkm"` in the recipe). In training the network returns the heatmaps of the four levels and then the
refined ones. Only the refined heatmaps are exported.

Two details differ from the authors' code. Upsampling is bilinear by the half-pixel rule of pose/geometry.py; the
authors align corners, which would shift the levels against each other. All levels learn the same target heatmaps; the
authors' code, but not the paper, uses wider Gaussians for deeper levels.

The sums of the pyramid are not normalized, and RefineNet concatenates four of them whose value ranges differ. In INT8
the level with the largest values would determine the scale of all. benchmarks/results/ranges.csv shows the INT8
retention with and without these layers in float; a guarded build finds such layers by itself.

Run only the tests of this module: `pytest tests/models/test_cpn.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgepose.errors import UsageError
from edgepose.models import resnet


class GlobalNet(nn.Module):
    """Lateral convolutions, merged from the deepest level up, and heatmaps from each level (figure 2, left).

    Args:
        inputs: Channels of the levels of the trunk, highest resolution first.
        width: Channels of the merged levels.
        joints: The number of joints K.
    """

    def __init__(self, inputs: tuple[int, ...], width: int, joints: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(_conv(c, width) for c in inputs)
        self.merges = nn.ModuleList(_conv(width, width, relu=False) for _ in inputs[1:])
        self.predict = nn.ModuleList(nn.Sequential(_conv(width, width), _prediction(width, joints)) for _ in inputs)

    def forward(
        self,
        pyramid: tuple[Tensor, ...],  # C2 to C5, [B, C_i, H / 2^i, W / 2^i]
    ) -> list[Tensor]:
        """Return the merged features [B, width, h_i, w_i] of each level, deepest level first."""
        features: list[Tensor] = []
        for i, lateral in reversed(list(enumerate(self.laterals))):
            level = lateral(pyramid[i])
            if features:  # a 1x1 convolution and bilinear upsampling commute; convolving first costs a quarter
                level = level + _resized(self.merges[i](features[-1]), level)
            features.append(level)
        return features

    def heatmaps(self, features: list[Tensor]) -> list[Tensor]:
        """Return the heatmaps [B, K, H/4, W/4] of each level, deepest level first. Only training needs them."""
        maps = [predict(level) for predict, level in zip(reversed(self.predict), features, strict=True)]
        return [_resized(level, features[-1]) for level in maps]


class Bottleneck(nn.Module):
    """A 1x1, a 3x3 and a 1x1 convolution with a shortcut.

    Args:
        inputs: Input channels.
        planes: Channels of the 3x3 convolution. The block has twice as many output channels.
    """

    def __init__(self, inputs: int, planes: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            _conv(inputs, planes), _conv(planes, planes, kernel=3), _conv(planes, 2 * planes, relu=False)
        )
        self.shortcut = nn.Identity() if inputs == 2 * planes else _conv(inputs, 2 * planes, relu=False)
        self.relu = nn.ReLU(inplace=True)

    def forward(
        self,
        x: Tensor,  # [B, C_in, H, W]
    ) -> Tensor:
        """Return [B, 2 * planes, H, W]."""
        out: Tensor = self.relu(self.block(x) + self.shortcut(x))
        return out


class RefineNet(nn.Module):
    """The refinement network (figure 2, right).

    The deepest of four levels passes through three bottleneck blocks, the next through two, then one, then none.

    Args:
        levels: The number of levels of GlobalNet.
        width: Channels of a level.
        joints: The number of joints K.
    """

    def __init__(self, levels: int, width: int, joints: int) -> None:
        super().__init__()
        self.cascade = nn.ModuleList(
            nn.Sequential(*(Bottleneck(width, width // 2) for _ in range(count))) for count in range(levels - 1, -1, -1)
        )
        self.predict = nn.Sequential(Bottleneck(levels * width, width // 2), _prediction(width, joints))

    def forward(
        self,
        features: list[Tensor],  # [B, width, h_i, w_i], deepest first
    ) -> Tensor:
        """Return heatmaps [B, K, H/4, W/4]."""
        levels = [_resized(layers(x), features[-1]) for layers, x in zip(self.cascade, features, strict=True)]
        heatmaps: Tensor = self.predict(torch.cat(levels, dim=1))
        return heatmaps


class CascadedPyramidNetwork(nn.Module):
    """GlobalNet and RefineNet on a ResNet.

    Args:
        trunk: The ResNet, whose `pyramid` method gives the levels.
        joints: The number of joints K.
        width: Channels of a merged level.
    """

    def __init__(self, trunk: resnet.ResNet, joints: int, width: int = 256) -> None:
        super().__init__()
        if joints < 1:
            raise UsageError(f"CPN: joints must be at least 1, got {joints}.")
        self.trunk = trunk
        self.globalnet = GlobalNet(trunk.pyramid_channels, width, joints)
        self.refinenet = RefineNet(len(trunk.pyramid_channels), width, joints)

    def forward(
        self,
        images: Tensor,  # [B, 3, H, W], H and W multiples of 32
    ) -> Tensor | tuple[Tensor, ...]:
        """Return heatmaps [B, K, H/4, W/4].

        In training mode the result is a tuple: the heatmaps of each GlobalNet level, then those of RefineNet.
        """
        features = self.globalnet(self.trunk.pyramid(images))
        refined: Tensor = self.refinenet(features)
        return (*self.globalnet.heatmaps(features), refined) if self.training else refined


class Variant(NamedTuple):
    """The trunk and the width of a named network."""

    trunk: Callable[[], resnet.ResNet]
    width: int = 256


VARIANTS: dict[str, Variant] = {
    "cpn-r50": Variant(resnet.resnet50),
    "cpn-r101": Variant(resnet.resnet101),
    "cpn-small": Variant(resnet.resnet18_half, 64),
}


def build(name: str, joints: int) -> CascadedPyramidNetwork:
    """Build the variant `name` with `joints` heatmaps and random weights."""
    variant = VARIANTS[name]
    return CascadedPyramidNetwork(variant.trunk(), joints, variant.width)


def _conv(inputs: int, outputs: int, *, kernel: int = 1, relu: bool = True) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, 1, kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), *([nn.ReLU(inplace=True)] if relu else []))


def _prediction(inputs: int, joints: int) -> nn.Conv2d:
    conv = nn.Conv2d(inputs, joints, 3, 1, 1)
    nn.init.normal_(conv.weight, std=0.001)  # heatmaps are close to zero at the start
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv


def _resized(x: Tensor, like: Tensor) -> Tensor:
    """Return `x` [B, C, h, w], bilinearly upsampled to the height and width of `like`."""
    if x.shape[2:] == like.shape[2:]:
        return x
    factor = int(like.shape[2]) // int(x.shape[2])  # an int also during a trace, so that the graph holds a constant
    return functional.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
