"""Stacked Hourglass: down to a few pixels and up again, several times, each time corrected.

Newell, Yang and Deng, "Stacked Hourglass Networks for Human Pose Estimation", ECCV 2016; layers as in the
authors' `src/models/hg.lua`. Every hourglass is supervised and its maps are fed back into the features of the
next (section 3.3, figure 4); exported are the last one's. A convolution that batch norm follows has no bias
(the Torch code has one that batch norm cancels).

The residual modules normalize before they convolve ("pre-activation"), so the first batch norm of each stands
behind an addition and cannot be folded into a convolution: it stays in the graph, in float. So do, by the recipes'
`keep_float`, the additions and what reads their sum unnormalized (`linear`): with them in INT8 the maps of a trained
network stand 7 dB above the error, without 25 dB.

Test alone: `pytest tests/models/test_hourglass.py`.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from edgepose.errors import UsageError


class Residual(nn.Module):
    """1x1, 3x3, 1x1, each after batch norm and ReLU, and a shortcut (figure 4, left; `Residual.lua`)."""

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
    """Figure 3: `depth` times pooled, as often doubled by nearest neighbors, a residual skip at each size."""

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
    """One hourglass, its heatmaps, and what it hands on: features + remapped features + remapped maps."""

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
        """Return (heatmaps [B, K, h, w], features [B, width, h, w] for the next stack)."""
        y = self.linear(self.hourglass(x))
        heatmaps = self.predict(y)
        if self.features_back is None or self.heatmaps_back is None:
            return heatmaps, x
        return heatmaps, x + self.features_back(y) + self.heatmaps_back(heatmaps)


class StackedHourglass(nn.Module):
    """A stem to stride 4 (section 3.1: 7x7 at stride 2, a residual, a pool) and `stacks` hourglasses."""

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
        """Return heatmaps [B, K, H/4, W/4]; in training those of every stack. UsageError for another size."""
        height, width = (int(n) for n in images.shape[2:])
        if height % self.multiple or width % self.multiple:
            raise UsageError(
                f"hourglass: {height}x{width} is no multiple of {self.multiple}; change sizes in the recipe"
            )
        x = self.stem(images)
        found = []
        for stack in self.stacks:
            heatmaps, x = stack(x)
            found.append(heatmaps)
        return tuple(found) if self.training else found[-1]


class Variant(NamedTuple):
    stacks: int
    width: int = 256
    depth: int = 4


VARIANTS: dict[str, Variant] = {
    "hourglass-8": Variant(stacks=8),
    "hourglass-2": Variant(stacks=2),
    "hourglass-small": Variant(stacks=2, width=96, depth=3),
}


def build(name: str, joints: int) -> StackedHourglass:
    """The variant `name` with `joints` heatmaps, randomly initialized."""
    return StackedHourglass(joints, *VARIANTS[name])
