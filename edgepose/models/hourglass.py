"""Stacked Hourglass: networks that pool to a few pixels and upsample again, one after another.

Newell, Yang and Deng, "Stacked Hourglass Networks for Human Pose Estimation", ECCV 2016. The layers follow the
authors' `src/models/hg.lua`. Every hourglass is supervised, and its heatmaps are added to the input features of the
next one (section 3.3, figure 4). Only the heatmaps of the last hourglass are exported. A convolution that is followed
by batch norm has no bias here; the authors' code has one, but the batch norm cancels it.

The residual modules normalize before they convolve ("pre-activation"). The first batch norm of each therefore follows
an addition and cannot be folded into a convolution, so it stays in the graph as a float operation. The sums
are not normalized: with them and the layers that read them (`linear`) in INT8, the heatmaps of a trained network had a
signal-to-noise ratio of 7 dB, and with them in float 25 dB. A guarded build finds such layers by itself.

Run only the tests of this module: `pytest tests/models/test_hourglass.py`.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from edgepose.errors import UsageError


class Residual(nn.Module):
    """A shortcut around 1x1, 3x3 and 1x1 convolutions, each after batch norm and ReLU (figure 4, left; `Residual.lua`).

    Args:
        inputs: Input channels.
        outputs: Output channels.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.block = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(inputs, half, 1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
            nn.Conv2d(half, half, 3, 1, 1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
            nn.Conv2d(half, outputs, 1),
        )
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(
        self,
        x: Tensor,  # [B, C_in, H, W]
    ) -> Tensor:
        """Return [B, C_out, H, W]."""
        out: Tensor = self.shortcut(x) + self.block(x)
        return out


class Hourglass(nn.Module):
    """One hourglass (figure 3), which halves the resolution `depth` times and doubles it again, with skips.

    Args:
        depth: The number of halvings.
        width: Channels of the features.
    """

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        self.skip = Residual(width, width)
        self.down = nn.Sequential(nn.MaxPool2d(2), Residual(width, width))
        self.inner: nn.Module = Hourglass(depth - 1, width) if depth > 1 else Residual(width, width)
        self.up = nn.Sequential(Residual(width, width), nn.Upsample(scale_factor=2, mode="nearest"))

    def forward(
        self,
        x: Tensor,  # [B, C, H, W], H and W multiples of 2 ** depth
    ) -> Tensor:
        """Return [B, C, H, W]."""
        out: Tensor = self.skip(x) + self.up(self.inner(self.down(x)))
        return out


class Stack(nn.Module):
    """One hourglass with its heatmaps and the features that it passes on to the next one.

    Args:
        depth: The number of halvings of the hourglass.
        width: Channels of the features.
        joints: The number of joints K.
        last: Whether no hourglass follows.
    """

    def __init__(self, depth: int, width: int, joints: int, last: bool) -> None:
        super().__init__()
        self.hourglass = Hourglass(depth, width)
        self.linear = nn.Sequential(
            nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        self.predict = nn.Conv2d(width, joints, 1)
        self.features_back = None if last else nn.Conv2d(width, width, 1)
        self.heatmaps_back = None if last else nn.Conv2d(joints, width, 1)

    def forward(
        self,
        x: Tensor,  # [B, width, h, w]
    ) -> tuple[Tensor, Tensor]:
        """Return the heatmaps [B, K, h, w] and the features [B, width, h, w] for the next stack."""
        y = self.linear(self.hourglass(x))
        heatmaps = self.predict(y)
        if self.features_back is None or self.heatmaps_back is None:
            return heatmaps, x
        return heatmaps, x + self.features_back(y) + self.heatmaps_back(heatmaps)


class StackedHourglass(nn.Module):
    """A stem to stride 4 (section 3.1: a 7x7 convolution, residual modules and a pool), followed by the hourglasses.

    Args:
        joints: The number of joints K.
        stacks: The number of hourglasses.
        width: Channels of the features.
        depth: The number of halvings of each hourglass.
    """

    def __init__(self, joints: int, stacks: int = 8, width: int = 256, depth: int = 4) -> None:
        super().__init__()
        if joints < 1 or stacks < 1 or depth < 1 or width % 4:
            raise UsageError(
                "StackedHourglass: joints, stacks and depth must be at least 1 and width a multiple of 4, "
                f"got {joints}, {stacks}, {depth} and {width}."
            )
        self.multiple = 4 * 2**depth
        self.stem = nn.Sequential(
            nn.Conv2d(3, width // 4, 7, 2, 3, bias=False),
            nn.BatchNorm2d(width // 4),
            nn.ReLU(inplace=True),
            Residual(width // 4, width // 2),
            nn.MaxPool2d(2),
            Residual(width // 2, width // 2),
            Residual(width // 2, width),
        )
        self.stacks = nn.ModuleList(Stack(depth, width, joints, last=i == stacks - 1) for i in range(stacks))

    def forward(
        self,
        images: Tensor,  # [B, 3, H, W], H and W multiples of 4 * 2 ** depth
    ) -> Tensor | tuple[Tensor, ...]:
        """Return heatmaps [B, K, H/4, W/4]; in training mode a tuple with those of every stack.

        Raises:
            UsageError: The height or the width is not a multiple of 4 * 2 ** depth.
        """
        height, width = (int(n) for n in images.shape[2:])
        if height % self.multiple or width % self.multiple:
            raise UsageError(
                f"hourglass: {height}x{width} is not a multiple of {self.multiple}; change sizes in the recipe"
            )
        x = self.stem(images)
        found = []
        for stack in self.stacks:
            heatmaps, x = stack(x)
            found.append(heatmaps)
        return tuple(found) if self.training else found[-1]


class Variant(NamedTuple):
    """The dimensions of a named network."""

    stacks: int
    width: int = 256
    depth: int = 4


VARIANTS: dict[str, Variant] = {
    "hourglass-8": Variant(stacks=8),
    "hourglass-2": Variant(stacks=2),
    "hourglass-small": Variant(stacks=2, width=96, depth=3),
}


def build(name: str, joints: int) -> StackedHourglass:
    """Build the variant `name` with `joints` heatmaps and random weights."""
    return StackedHourglass(joints, *VARIANTS[name])
