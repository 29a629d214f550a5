"""Convolutional Pose Machines: each stage reads the image again beside what the stage before believed.

Wei, Ramakrishna, Kanade and Sheikh, "Convolutional Pose Machines", CVPR 2016; layers as in figure 2 and the
authors' `training/genProto.py`. Every stage gives K + 1 maps at stride 8, the last one the background's
(section 3.1), and each is supervised (section 3.3, "learning"); exported are the K joints of the last.

The center map (section 3.2.2) tells the network which person is meant. Here it is a constant of the graph: the
crop is centered on the person in training, calibration and use alike, so it would be the same for every image.
(The authors' training crops were centered too: `center_perterb_max=0`.)

The `small` variant trains on two cores: narrower, smaller kernels, fewer stages, and batch norm, which the
paper does not have.

Test alone: `pytest tests/models/test_cpm.py`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from edgepose.errors import UsageError

# Of the map's height: the authors' Gaussian has 21 pixels in a crop of 368 (`testing/config.m`).
CENTER_SIGMA = 21 / 368


class Convolution(nn.Sequential):
    """Convolution of the same size, batch norm where `norm` says so, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, norm: bool) -> None:
        conv = nn.Conv2d(inputs, outputs, kernel, 1, kernel // 2, bias=not norm)
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        if conv.bias is not None:
            nn.init.zeros_(conv.bias)
        super().__init__(conv, *([nn.BatchNorm2d(outputs)] if norm else []), nn.ReLU(inplace=True))


class Features(nn.Sequential):
    """What a stage sees of the image (figure 2, layers 1 to 6): three convolutions, each pooled, to stride 8."""

    def __init__(self, width: int, kernel: int, norm: bool) -> None:
        layers: list[nn.Module] = []
        for inputs in (3, width, width):
            layers += [Convolution(inputs, width, kernel, norm), nn.MaxPool2d(3, 2, 1)]
        super().__init__(*layers)


class FirstStage(nn.Module):
    """Local evidence only: layers 7 to 10 of figure 2 (c)."""

    def __init__(self, maps: int, width: int, wide: int, kernel: int, norm: bool) -> None:
        super().__init__()
        self.features = Features(width, kernel, norm)
        self.convolutions = nn.Sequential(
            Convolution(width, width // 4, 5, norm),
            Convolution(width // 4, wide, kernel, norm),
            Convolution(wide, wide, 1, norm),
        )
        self.predict = _prediction(wide, maps)

    def forward(
        self,
        images: Tensor,  # [B, 3, H, W]
    ) -> Tensor:
        """Return beliefs [B, K + 1, H/8, W/8]."""
        beliefs: Tensor = self.predict(self.convolutions(self.features(images)))
        return beliefs


class LaterStage(nn.Module):
    """Image features, the last beliefs and the center map, through large kernels (figure 2 (d))."""

    def __init__(self, maps: int, width: int, kernel: int, norm: bool) -> None:
        super().__init__()
        self.look = Convolution(width, width // 4, 5, norm)
        self.convolutions = nn.Sequential(
            Convolution(width // 4 + maps + 1, width, kernel, norm),
            Convolution(width, width, kernel, norm),
            Convolution(width, width, kernel, norm),
            Convolution(width, width, 1, norm),
        )
        self.predict = _prediction(width, maps)

    def forward(
        self,
        features: Tensor,  # [B, width, h, w]
        beliefs: Tensor,  # [B, K + 1, h, w]
        center: Tensor,  # [B, 1, h, w]
    ) -> Tensor:
        """Return better beliefs [B, K + 1, h, w]."""
        x = torch.cat([self.look(features), beliefs, center], dim=1)
        better: Tensor = self.predict(self.convolutions(x))
        return better


class ConvolutionalPoseMachine(nn.Module):
    """`stages` stages; the image features of the second are shared by all that follow."""

    def __init__(
        self,
        joints: int,
        stages: int = 6,
        width: int = 128,
        wide: int = 512,
        kernel: int = 9,
        late_kernel: int = 11,
        norm: bool = False,
    ) -> None:
        super().__init__()
        if joints < 1 or stages < 2:
            raise UsageError(f"CPM: joints must be at least 1 and stages at least 2, got {joints} and {stages}.")
        self.joints = joints
        maps = joints + 1
        self.first = FirstStage(maps, width, wide, kernel, norm)
        self.features = Features(width, kernel, norm)
        self.later = nn.ModuleList(LaterStage(maps, width, late_kernel, norm) for _ in range(stages - 1))

    def forward(
        self,
        images: Tensor,  # [B, 3, H, W], H and W multiples of 8
    ) -> Tensor | tuple[Tensor, ...]:
        """Return heatmaps [B, K, H/8, W/8]; in training every stage's beliefs [B, K + 1, H/8, W/8]."""
        beliefs = [self.first(images)]
        features = self.features(images)
        # Nothing times a feature: a map an image, where expanding would make the graph ask for its batch.
        center = features[:, :1] * 0 + center_map(features)
        for stage in self.later:
            beliefs.append(stage(features, beliefs[-1], center))
        return tuple(beliefs) if self.training else beliefs[-1][:, : self.joints]


def center_map(
    like: Tensor,  # [B, C, h, w]
) -> Tensor:
    """[1, 1, h, w] of the same type and place: a Gaussian of peak 1 at the middle of the crop."""
    height, width = (int(n) for n in like.shape[2:])
    sigma = CENTER_SIGMA * height
    down, across = (
        torch.exp(-0.5 * ((torch.arange(n, dtype=torch.float32, device=like.device) - (n - 1) / 2) / sigma) ** 2)
        for n in (height, width)
    )
    return (down[:, None] * across).to(like.dtype)[None, None]


class Variant(NamedTuple):
    stages: int = 6
    width: int = 128
    wide: int = 512
    kernel: int = 9
    late_kernel: int = 11
    norm: bool = False


VARIANTS: dict[str, Variant] = {
    "cpm": Variant(),
    "cpm-small": Variant(stages=3, width=32, wide=128, kernel=5, late_kernel=7, norm=True),
}


def build(name: str, joints: int) -> ConvolutionalPoseMachine:
    """The variant `name` with `joints` heatmaps, randomly initialized."""
    return ConvolutionalPoseMachine(joints, *VARIANTS[name])


def _prediction(inputs: int, maps: int) -> nn.Conv2d:
    conv = nn.Conv2d(inputs, maps, 1)
    nn.init.normal_(conv.weight, std=0.01)  # as the authors' weight_filler
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv
