"""GoogLeNet trunk, which turns images into features at stride 32.

Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, table 1, with batch norm and without the auxiliary
classifiers. The names in the state dict are those of torchvision, so `load_state` reads torchvision checkpoints. As in
torchvision, the third branch of an inception module has a 3x3 convolution where the paper has a 5x5 one. The classifier
is left out.

Run only the tests of this module: `pytest tests/models/test_googlenet.py`.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from edgepose.errors import ModelError
from edgepose.models.resnet import read_state

# name -> the arguments of `Inception`
MODULES: dict[str, tuple[int, int, tuple[int, int], tuple[int, int], int]] = {
    "3a": (192, 64, (96, 128), (16, 32), 32),
    "3b": (256, 128, (128, 192), (32, 96), 64),
    "4a": (480, 192, (96, 208), (16, 48), 64),
    "4b": (512, 160, (112, 224), (24, 64), 64),
    "4c": (512, 128, (128, 256), (24, 64), 64),
    "4d": (512, 112, (144, 288), (32, 64), 64),
    "4e": (528, 256, (160, 320), (32, 128), 128),
    "5a": (832, 256, (160, 320), (32, 128), 128),
    "5b": (832, 384, (192, 384), (48, 128), 128),
}


class Convolution(nn.Module):
    """Convolution, batch norm and ReLU, with the names and the epsilon of torchvision.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        kernel: Kernel size.
        stride: Stride of the convolution.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")

    def forward(
        self,
        x: Tensor,  # [B, C_in, H, W]
    ) -> Tensor:
        """Return [B, C_out, H/stride, W/stride]."""
        return nn.functional.relu(self.bn(self.conv(x)), inplace=True)


class Inception(nn.Module):
    """The inception module of figure 2 (b): four parallel branches, concatenated.

    Args:
        inputs: Input channels.
        one: Channels of the 1x1 branch.
        three: Channels of the 1x1 and the 3x3 convolution of the second branch.
        five: Channels of the 1x1 and the 3x3 convolution of the third branch, which is 5x5 in the paper.
        pooled: Channels of the branch with a pool.
    """

    def __init__(self, inputs: int, one: int, three: tuple[int, int], five: tuple[int, int], pooled: int) -> None:
        super().__init__()
        self.branch1 = Convolution(inputs, one, 1)
        self.branch2 = nn.Sequential(Convolution(inputs, three[0], 1), Convolution(*three, 3))
        self.branch3 = nn.Sequential(Convolution(inputs, five[0], 1), Convolution(*five, 3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), Convolution(inputs, pooled, 1))
        self.out_channels = one + three[1] + five[1] + pooled

    def forward(
        self,
        x: Tensor,  # [B, C_in, H, W]
    ) -> Tensor:
        """Return [B, out_channels, H, W]."""
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], dim=1)


class GoogLeNet(nn.Module):
    """The trunk.

    Args:
        channels: Channels of the image.
    """

    stride = 32
    out_channels = 1024

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.conv1 = Convolution(channels, 64, 7, 2)
        self.conv2 = Convolution(64, 64, 1)
        self.conv3 = Convolution(64, 192, 3)
        for name, row in MODULES.items():
            self.add_module(f"inception{name}", Inception(*row))

    def forward(
        self,
        x: Tensor,  # [B, channels, H, W], H and W multiples of 32
    ) -> Tensor:
        """Return features [B, 1024, H/32, W/32]."""
        x = _halved(self.conv1(x))
        x = _halved(self.conv3(self.conv2(x)))
        for name in MODULES:
            if name in ("4a", "5a"):
                x = _halved(x)
            x = self.get_submodule(f"inception{name}")(x)
        return x

    def load_state(self, path: str | Path) -> None:
        """Load a torchvision checkpoint without its classifiers.

        The weights of additional input channels are set to zero, so that these channels have no influence at the start.

        Raises:
            ModelError: The file is not a readable checkpoint of GoogLeNet.
        """
        state = {name: value for name, value in read_state(path).items() if not name.startswith(("fc.", "aux"))}
        first = state.get("conv1.conv.weight")
        wanted = self.conv1.conv.weight
        if first is not None and first.ndim == 4 and first.shape[1] < wanted.shape[1]:
            more = first.new_zeros(first.shape[0], wanted.shape[1] - first.shape[1], *first.shape[2:])
            state["conv1.conv.weight"] = torch.cat([first, more], dim=1)
        try:
            self.load_state_dict(state)
        except RuntimeError as error:
            raise ModelError(f"{path}: not a torchvision checkpoint of GoogLeNet. {error}") from error


def _halved(x: Tensor) -> Tensor:
    return nn.functional.max_pool2d(x, 3, 2, 1)
