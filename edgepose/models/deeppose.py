"""DeepPose: a classification network that predicts coordinates directly from the image.

Toshev and Szegedy, "DeepPose: Human Pose Estimation via Deep Neural Networks", CVPR 2014, section 3.1. The network
has five convolutions and two hidden layers after Krizhevsky et al. (NIPS 2012) and 2 K outputs. The coordinates are
relative to the bounding box of the person (-0.5 to 0.5, the "centered" range of `codecs.regression`), and the loss is
the squared error. Batch norm replaces the local response normalization of the paper, which normalizes across channels,
has no integer form and trains worse.

The hidden layers fix the size of the input: `grid` is the height and width of the last features, 6x6 for the 220x220
images of the paper. The cascade of section 3.2 is in `deeppose_cascade.py`.

Run only the tests of this module: `pytest tests/models/test_deeppose.py`.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from edgepose.errors import UsageError
from edgepose.pose.geometry import Size


class Convolutions(nn.Sequential):
    """The five convolutions, with pools after the first, the second and the last.

    Args:
        widths: Output channels of the convolutions; (96, 256, 384, 384, 256) in the paper.
        stem: Kernel size and stride of the first convolution; (11, 4) in the paper.
    """

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
    """The convolutions, two hidden layers with dropout and 2 K outputs.

    Args:
        joints: The number of joints K.
        widths: Output channels of the convolutions.
        hidden: Units of each hidden layer.
        grid: Height and width of the last features.
        stem: Kernel size and stride of the first convolution.
        dropout: Probability of dropping a hidden unit in training.
    """

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
        nn.init.normal_(self.coordinates.weight, std=0.001)  # all joints start in the middle of the box
        nn.init.zeros_(self.coordinates.bias)

    def forward(
        self,
        images: Tensor,  # [B, 3, H, W] of the size that gives `grid`
    ) -> Tensor:
        """Return coordinates [B, K, 2], -0.5 to 0.5 over the crop.

        Raises:
            UsageError: The size of the images does not give features of size `grid`.
        """
        features = self.trunk(images)
        found = (int(features.shape[2]), int(features.shape[3]))
        if found != self.grid:
            raise UsageError(
                f"DeepPose: {int(images.shape[2])}x{int(images.shape[3])} gives features of {found[0]}x{found[1]}, "
                f"its hidden layers need {self.grid[0]}x{self.grid[1]}; change sizes in the recipe"
            )
        coordinates: Tensor = self.coordinates(self.hidden(features.flatten(1)))
        return coordinates.view(-1, self.joints, 2)


class Variant(NamedTuple):
    """The dimensions of a named network."""

    widths: tuple[int, int, int, int, int] = (96, 256, 384, 384, 256)
    hidden: int = 4096
    grid: Size = (6, 6)
    stem: tuple[int, int] = (11, 4)
    dropout: float = 0.6


VARIANTS: dict[str, Variant] = {
    "deeppose": Variant(),
    # For 128x96 images and two CPU cores: a stem with a smaller stride for the smaller image, half the channels, and
    # no dropout, because the training is short.
    "deeppose-small": Variant((48, 96, 192, 192, 128), 512, (7, 5), (7, 2), 0.0),
}


def build(name: str, joints: int) -> DeepPose:
    """Build the variant `name` for `joints` joints, with random weights."""
    return DeepPose(joints, *VARIANTS[name])


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    # The first convolution (11x11) has a padding of 4, which turns 220 pixels into the 55 of the paper.
    padding = kernel // 2 if stride == 1 else (kernel - 3) // 2
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
