"""DeepPose: coordinates straight from the image, by a classification network with other outputs.

Toshev and Szegedy, "DeepPose: Human Pose Estimation via Deep Neural Networks", CVPR 2014. Section 3.1: five
convolutions and two hidden layers after Krizhevsky et al. (NIPS 2012), 2 K outputs, coordinates relative to the
person's box (-0.5 to 0.5, `codecs.regression`, "centered"), squared error. Batch norm stands where the paper has
local response normalization: that normalizes across channels, has no integer form, and trains worse.

The hidden layers tie a network to one size of input: `grid` is what the convolutions make of it, 6x6 of the
paper's 220x220. The stages of section 3.2 are in `deeppose_cascade.py`.

Test alone: `pytest tests/models/test_deeppose.py`.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from edgepose.errors import UsageError
from edgepose.pose.geometry import Size


class Convolutions(nn.Sequential):
    """C(96, 11x11 / 4) P C(256, 5x5) P C(384) C(384) C(256) P; `widths` in place of these numbers."""

    def __init__(self, widths: tuple[int, int, int, int, int], stem: tuple[int, int]) -> None:
        a, b, c, d, e = widths
        kernel, stride = stem
        super().__init__(
            *_convolution(3, a, kernel, stride),
            nn.MaxPool2d(3, 2),
            *_convolution(a, b, 5),
            nn.MaxPool2d(3, 2),
            *_convolution(b, c, 3),
            *_convolution(c, d, 3),
            *_convolution(d, e, 3),
            nn.MaxPool2d(3, 2),
        )


class DeepPose(nn.Module):
    """Convolutions, two hidden layers with dropout, 2 K outputs. grid: (height, width) of the last features."""

    def __init__(
        self,
        joints: int,
        widths: tuple[int, int, int, int, int] = (96, 256, 384, 384, 256),
        hidden: int = 4096,
        grid: Size = (6, 6),
        stem: tuple[int, int] = (11, 4),
        dropout: float = 0.6,
    ) -> None:
        super().__init__()
        if joints < 1:
            raise UsageError(f"DeepPose: joints must be at least 1, got {joints}.")
        self.joints, self.grid = joints, grid
        self.trunk = Convolutions(widths, stem)
        self.hidden = nn.Sequential(
            nn.Linear(widths[-1] * grid[0] * grid[1], hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
        )
        self.coordinates = nn.Linear(hidden, 2 * joints)
        nn.init.normal_(self.coordinates.weight, std=0.001)  # everybody in the middle of the box
        nn.init.zeros_(self.coordinates.bias)

    def forward(
        self,
        images: Tensor,  # [B, 3, H, W] of the size that gives `grid`
    ) -> Tensor:
        """Return coordinates [B, K, 2], -0.5 to 0.5 over the crop. UsageError for another size."""
        features = self.trunk(images)
        found = (int(features.shape[2]), int(features.shape[3]))
        if found != self.grid:
            raise UsageError(
                f"DeepPose: {int(images.shape[2])}x{int(images.shape[3])} gives features of {found[0]}x{found[1]}, "
                f"its hidden layers want {self.grid[0]}x{self.grid[1]}; change sizes in the recipe"
            )
        coordinates: Tensor = self.coordinates(self.hidden(features.flatten(1)))
        return coordinates.view(-1, self.joints, 2)


class Variant(NamedTuple):
    widths: tuple[int, int, int, int, int] = (96, 256, 384, 384, 256)
    hidden: int = 4096
    grid: Size = (6, 6)
    stem: tuple[int, int] = (11, 4)
    dropout: float = 0.6


VARIANTS: dict[str, Variant] = {
    "deeppose": Variant(),
    # For 128x96 on two cores: a finer stem for the smaller picture, half the width, no dropout for a short training.
    "deeppose-small": Variant((48, 96, 192, 192, 128), 512, (7, 5), (7, 2), 0.0),
}


def build(name: str, joints: int) -> DeepPose:
    """The variant `name` for `joints` joints, randomly initialized."""
    return DeepPose(joints, *VARIANTS[name])


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    # The first convolution pads 4 of its 11: with 220 pixels it gives the paper's 55.
    padding = kernel // 2 if stride == 1 else (kernel - 3) // 2
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
