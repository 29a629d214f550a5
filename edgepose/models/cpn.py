"""Cascaded Pyramid Network: a feature pyramid finds the easy joints, a second network the hard ones.

Chen, Wang, Peng, Zhang, Yu and Sun, "Cascaded Pyramid Network for Multi-Person Pose Estimation", CVPR 2018.
GlobalNet (section 3.2.1): a ResNet's four stages, merged top-down, maps from each level. RefineNet (section
3.2.2): bottlenecks on every level, more on the deeper ones, brought to one size, joined, and maps from all; it
learns from each person's hardest joints (`loss = "ohkm"` in the recipe). In training all five stacks of maps
come out, the refined ones last; those alone are exported.

Upsampling is bilinear by the half-pixel rule of pose/geometry.py, where the authors' code aligns corners, which
would shift features against each other. The authors blur the targets of deeper levels more (a detail of their
code, not of the paper); here all levels learn the same maps.

The sums of the pyramid are never normalized, and RefineNet joins four of them of different range: in INT8 the largest
takes the range from the others. The recipes' `keep_float` names the sums and what reads them joined, and their
`calibration` leaves the rarest values out of the ranges; benchmarks/results/ranges.csv has what INT8 keeps with either.

Test alone: `pytest tests/models/test_cpn.py`.
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
    """Laterals of 256 channels, merged from the deepest down, and maps from each (figure 2, left)."""

    def __init__(self, inputs: tuple[int, ...], width: int, joints: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(_conv(c, width) for c in inputs)
        self.merges = nn.ModuleList(_conv(width, width, relu=False) for _ in inputs[1:])
        self.predict = nn.ModuleList(nn.Sequential(_conv(width, width), _prediction(width, joints)) for _ in inputs)

    def forward(
        self,
        pyramid: tuple[Tensor, ...],  # C2 to C5, [B, C_i, H / 2^i, W / 2^i]
    ) -> list[Tensor]:
        """Return features [B, width, h_i, w_i], deepest first."""
        features: list[Tensor] = []
        for i, lateral in reversed(list(enumerate(self.laterals))):
            level = lateral(pyramid[i])
            if features:  # 1x1 and bilinear commute: convolved first, it costs a quarter
                level = level + _resized(self.merges[i](features[-1]), level)
            features.append(level)
        return features

    def heatmaps(self, features: list[Tensor]) -> list[Tensor]:
        """Maps [B, K, H/4, W/4] of each level, deepest first; only training needs them."""
        maps = [predict(level) for predict, level in zip(reversed(self.predict), features, strict=True)]
        return [_resized(level, features[-1]) for level in maps]


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 and a shortcut, projected where the width changes: twice `planes` out."""

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
    """Figure 2, right: three, two, one and no bottlenecks from the deepest level on, joined, and one more."""

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
    """`trunk` gives the pyramid: its `pyramid` method and `pyramid_channels`."""

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
        """Return heatmaps [B, K, H/4, W/4]; in training a tuple: each level's of GlobalNet, then RefineNet's."""
        features = self.globalnet(self.trunk.pyramid(images))
        refined: Tensor = self.refinenet(features)
        return (*self.globalnet.heatmaps(features), refined) if self.training else refined


class Variant(NamedTuple):
    trunk: Callable[[], resnet.ResNet]
    width: int = 256


VARIANTS: dict[str, Variant] = {
    "cpn-r50": Variant(resnet.resnet50),
    "cpn-r101": Variant(resnet.resnet101),
    "cpn-small": Variant(resnet.resnet18_half, 64),
}


def build(name: str, joints: int) -> CascadedPyramidNetwork:
    """The variant `name` with `joints` heatmaps, randomly initialized."""
    variant = VARIANTS[name]
    return CascadedPyramidNetwork(variant.trunk(), joints, variant.width)


def _conv(inputs: int, outputs: int, *, kernel: int = 1, relu: bool = True) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, 1, kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), *([nn.ReLU(inplace=True)] if relu else []))


def _prediction(inputs: int, joints: int) -> nn.Conv2d:
    conv = nn.Conv2d(inputs, joints, 3, 1, 1)
    nn.init.normal_(conv.weight, std=0.001)  # maps begin near zero
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv


def _resized(x: Tensor, like: Tensor) -> Tensor:
    """[B, C, h, w] at the height and width of `like`; itself where it has them."""
    if x.shape[2:] == like.shape[2:]:
        return x
    factor = int(like.shape[2]) // int(x.shape[2])  # a number also while an export traces
    return functional.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
