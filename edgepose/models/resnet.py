"""ResNet trunks of 18 to 152 layers, which turn images into features at stride 32.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, table 1. The stride of a bottleneck block is in
its 3x3 convolution, as in torchvision ("v1.5"), and not in its first 1x1 convolution as in the paper. The names in the
state dict are those of torchvision, so `load_state` reads torchvision checkpoints; torchvision itself is not needed.
The classifier is left out.

Run only the tests of this module: `pytest tests/models/test_resnet.py`.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from edgepose.errors import ModelError


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut (figure 5, left).

    Args:
        inputs: Input channels.
        planes: Output channels.
        stride: Stride of the first convolution.
    """

    expansion: ClassVar[int] = 1

    def __init__(self, inputs: int, planes: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = _projection(inputs, planes * self.expansion, stride)

    def forward(
        self,
        x: Tensor,  # [B, C_in, H, W]
    ) -> Tensor:
        """Return [B, planes, H/stride, W/stride]."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y = y + (x if self.downsample is None else self.downsample(x))
        out: Tensor = self.relu(y)
        return out


class Bottleneck(nn.Module):
    """A 1x1, a 3x3 and a 1x1 convolution with a shortcut (figure 5, right).

    Args:
        inputs: Input channels.
        planes: Channels of the 3x3 convolution. The block has four times as many output channels.
        stride: Stride of the 3x3 convolution.
    """

    expansion: ClassVar[int] = 4

    def __init__(self, inputs: int, planes: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, planes * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _projection(inputs, planes * self.expansion, stride)

    def forward(
        self,
        x: Tensor,  # [B, C_in, H, W]
    ) -> Tensor:
        """Return [B, 4 * planes, H/stride, W/stride]."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y = y + (x if self.downsample is None else self.downsample(x))
        out: Tensor = self.relu(y)
        return out


class ResNet(nn.Module):
    """The trunk: a stem at stride 4, followed by four stages.

    Args:
        block: The kind of residual block.
        depths: The number of blocks of each stage.
        planes: Channels of the stem; 64 in the paper.
        channels: Channels of the image.
    """

    stride = 32

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: tuple[int, int, int, int],
        planes: int = 64,
        channels: int = 3,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, planes, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        widths = [planes * block.expansion * 2**i for i in range(4)]
        self.layer1 = _stage(block, planes, planes, depths[0], stride=1)
        self.layer2 = _stage(block, widths[0], 2 * planes, depths[1], stride=2)
        self.layer3 = _stage(block, widths[1], 4 * planes, depths[2], stride=2)
        self.layer4 = _stage(block, widths[2], 8 * planes, depths[3], stride=2)
        self.out_channels = widths[3]
        self.pyramid_channels = tuple(widths)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(
        self,
        x: Tensor,  # [B, channels, H, W], H and W multiples of 32
    ) -> Tensor:
        """Return features [B, out_channels, H/32, W/32]."""
        return self.pyramid(x)[-1]

    def pyramid(
        self,
        x: Tensor,  # [B, 3, H, W], H and W multiples of 32
    ) -> tuple[Tensor, ...]:
        """Return the features of the four stages, each [B, pyramid_channels[i], H / 2^(i+2), W / 2^(i+2)]."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        levels = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            levels.append(x)
        return tuple(levels)

    def load_state(self, path: str | Path) -> None:
        """Load a torchvision checkpoint of the same depth, without its classifier (`fc.*`).

        Raises:
            ModelError: The file is not a readable checkpoint of this network.
        """
        state = read_state(path)
        try:
            self.load_state_dict({name: value for name, value in state.items() if not name.startswith("fc.")})
        except RuntimeError as error:
            raise ModelError(f"{path}: not a torchvision checkpoint of this depth. {error}") from error


def resnet18() -> ResNet:
    """Create a ResNet-18 with random weights."""
    return ResNet(BasicBlock, (2, 2, 2, 2))


def resnet18_half() -> ResNet:
    """Create a ResNet-18 with half the channels, for training on a CPU. The paper does not have it."""
    return ResNet(BasicBlock, (2, 2, 2, 2), planes=32)


def resnet34() -> ResNet:
    """Create a ResNet-34 with random weights."""
    return ResNet(BasicBlock, (3, 4, 6, 3))


def resnet50() -> ResNet:
    """Create a ResNet-50 with random weights."""
    return ResNet(Bottleneck, (3, 4, 6, 3))


def resnet101() -> ResNet:
    """Create a ResNet-101 with random weights."""
    return ResNet(Bottleneck, (3, 4, 23, 3))


def resnet152() -> ResNet:
    """Create a ResNet-152 with random weights."""
    return ResNet(Bottleneck, (3, 8, 36, 3))


VARIANTS = {
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "resnet101": resnet101,
    "resnet152": resnet152,
}


def read_state(path: str | Path) -> dict[str, Tensor]:
    """Read a state dict from a file.

    Raises:
        ModelError: The file cannot be read, or it does not hold a state dict of tensors.
    """
    advice = "save one with torch.save(model.state_dict(), path)"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise ModelError(f"{path} is not a readable state dict ({type(error).__name__}); {advice}.") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f"{path}: expected a state dict of tensors, got {type(state).__name__}; {advice}.")
    return state


def _stage(
    block: type[BasicBlock] | type[Bottleneck], inputs: int, planes: int, depth: int, stride: int
) -> nn.Sequential:
    first = block(inputs, planes, stride)
    return nn.Sequential(first, *(block(planes * block.expansion, planes) for _ in range(depth - 1)))


def _projection(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    """Return a 1x1 convolution where the shape changes, None where it stays (option B of section 3.3)."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
