"""Pyramid: EfficientNet-Lite0 with a top-down pathway, and one heatmap per joint.

Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017, section 3. The features of each stride are
upsampled by two, and the features of the next finer stride are added through a 1x1 convolution. As in the keypoint
head of section 5 of Kirillov et al., "Panoptic Feature Pyramid Networks", CVPR 2019, a 3x3 convolution follows at each
stride, and only the finest map is used. Compared with a head of deconvolutions, the head has no stride-two layer and
sees the fine features of the trunk. Its 3x3 convolutions are dense, with multiples of 32 channels, upsampling repeats
values, and activations are ReLU6, so all of it can be computed in 8 bits.

Run only the tests of this module: `pytest tests/models/test_pyramid.py`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from edgepose.errors import UsageError
from edgepose.models.efficientnet_lite import BLOCKS, ConvBN, EfficientNetLite0

# The last block of EfficientNet-Lite0 at each stride 4, 8, 16 and 32.
TAPS = (2, 4, 10, 15)


class Pyramid(nn.Module):
    """EfficientNet-Lite0 with a top-down pathway.

    Args:
        joints: The number of joints K.
        widths: Channels of the pathway at strides 32, 16, 8 and 4.
    """

    def __init__(self, joints: int, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        if joints < 1:
            raise UsageError(f"Pyramid: joints must be at least 1, got {joints}.")
        self.trunk = EfficientNetLite0()
        inputs = [BLOCKS[tap][4] for tap in reversed(TAPS)]
        self.top = nn.Sequential(ConvBN(inputs[0], widths[0]), ConvBN(widths[0], widths[0], kernel=3))
        self.laterals = nn.ModuleList(
            ConvBN(channels, width, linear=True) for channels, width in zip(inputs[1:], widths, strict=False)
        )
        self.merged = nn.ModuleList(ConvBN(coarse, fine, kernel=3) for coarse, fine in pairwise(widths))
        self.final_layer = nn.Conv2d(widths[-1], joints, 1)
        nn.init.normal_(self.final_layer.weight, std=0.001)
        nn.init.zeros_(self.final_layer.bias)  # type: ignore[arg-type]

    def forward(
        self,
        images: Tensor,  # [B, 3, H, W], H and W multiples of 32
    ) -> Tensor:
        """Return raw heatmaps [B, K, H/4, W/4]."""
        *finer, coarsest = self.trunk.features(images, TAPS)
        x: Tensor = self.top(coarsest)
        for lateral, merged, features in zip(self.laterals, self.merged, reversed(finer), strict=True):
            x = merged(functional.interpolate(x, scale_factor=2.0, mode="nearest") + lateral(features))
        heatmaps: Tensor = self.final_layer(x)
        return heatmaps


class Variant(NamedTuple):
    """The channels of a named network at strides 32, 16, 8 and 4."""

    widths: tuple[int, int, int, int]


VARIANTS: dict[str, Variant] = {
    "pyramid-lite0": Variant((192, 128, 64, 64)),
}


def build(name: str, joints: int) -> Pyramid:
    """Build the variant `name` with `joints` heatmaps and random weights."""
    return Pyramid(joints, VARIANTS[name].widths)
