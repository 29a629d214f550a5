"""Convolutional Pose Machines: each stage reads the image features again, together with the heatmaps of the last stage.

Wei, Ramakrishna, Kanade and Sheikh, "Convolutional Pose Machines", CVPR 2016. The layers follow figure 2 and the
authors' `training/genProto.py`. Every stage predicts K + 1 belief maps (heatmaps) at stride 8; the last one is that of
the background (section 3.1). Every stage is supervised (section 3.3, "learning"). Only the K joint heatmaps of the last
stage are exported.

The center map (section 3.2.2) tells the network which person to find. It is a constant of the graph here, because
training, calibration and inference all center the crop on the person. (The authors' training crops are centered as
well: `center_perterb_max=0`.)

The `small` variant can be trained on two CPU cores: it has fewer channels, smaller kernels, fewer stages and, unlike
the paper, batch norm.

Run only the tests of this module: `pytest tests/models/test_cpm.py`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from edgepose.errors import UsageError

# Sigma of the center map as a fraction of its height: 21 of 368 pixels in the authors' `testing/config.m`.
CENTER_SIGMA = 21 / 368


class Convolution(nn.Sequential):
    """A convolution that keeps the size, optional batch norm, and ReLU.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        kernel: Kernel size, an odd number.
        norm: Whether batch norm follows the convolution.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, norm: bool) -> None:
        conv = nn.Conv2d(inputs, outputs, kernel, 1, kernel // 2, bias=not norm)
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        if conv.bias is not None:
            nn.init.zeros_(conv.bias)
        super().__init__(conv, *([nn.BatchNorm2d(outputs)] if norm else []), nn.ReLU(inplace=True))


class Features(nn.Sequential):
    """The image features of a stage (figure 2, layers 1 to 6): three convolutions and three pools, to stride 8.

    Args:
        width: Channels of the features.
        kernel: Kernel size.
        norm: Whether to use batch norm.
    """

    def __init__(self, width: int, kernel: int, norm: bool) -> None:
        layers: list[nn.Module] = []
        for inputs in (3, width, width):
            layers += [Convolution(inputs, width, kernel, norm), nn.MaxPool2d(3, 2, 1)]
        super().__init__(*layers)


class FirstStage(nn.Module):
    """The first stage, which sees local evidence only (layers 7 to 10 of figure 2 c).

    Args:
        maps: The number of belief maps, K + 1.
        width: Channels of the image features.
        wide: Channels of the layers before the prediction.
        kernel: Kernel size.
        norm: Whether to use batch norm.
    """

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
        """Return belief maps [B, K + 1, H/8, W/8]."""
        beliefs: Tensor = self.predict(self.convolutions(self.features(images)))
        return beliefs


class LaterStage(nn.Module):
    """A later stage: large kernels over the image features, the last belief maps and the center map (figure 2 d).

    Args:
        maps: The number of belief maps, K + 1.
        width: Channels of the features.
        kernel: Kernel size.
        norm: Whether to use batch norm.
    """

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
        """Return refined belief maps [B, K + 1, h, w]."""
        x = torch.cat([self.look(features), beliefs, center], dim=1)
        better: Tensor = self.predict(self.convolutions(x))
        return better


class ConvolutionalPoseMachine(nn.Module):
    """All stages. The stages after the first share the image features of the second.

    Args:
        joints: The number of joints K.
        stages: The number of stages, at least 2.
        width: Channels of the image features.
        wide: Channels of the last layers of the first stage.
        kernel: Kernel size of the image features and of the first stage.
        late_kernel: Kernel size of the later stages.
        norm: Whether to use batch norm.
    """

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
        """Return heatmaps [B, K, H/8, W/8].

        In training mode the result is a tuple of the belief maps [B, K + 1, H/8, W/8] of every stage.
        """
        beliefs = [self.first(images)]
        features = self.features(images)
        # Adding the map to a zeroed feature repeats it for each image. `expand` would export a Shape operation.
        center = features[:, :1] * 0 + center_map(features)
        for stage in self.later:
            beliefs.append(stage(features, beliefs[-1], center))
        return tuple(beliefs) if self.training else beliefs[-1][:, : self.joints]


def center_map(
    like: Tensor,  # [B, C, h, w]
) -> Tensor:
    """Return a Gaussian [1, 1, h, w] with peak value 1 in the middle of the crop.

    Args:
        like: Features [B, C, h, w] that set the size, the dtype and the device.
    """
    height, width = (int(n) for n in like.shape[2:])
    sigma = CENTER_SIGMA * height
    down, across = (
        torch.exp(-0.5 * ((torch.arange(n, dtype=torch.float32, device=like.device) - (n - 1) / 2) / sigma) ** 2)
        for n in (height, width)
    )
    return (down[:, None] * across).to(like.dtype)[None, None]


class Variant(NamedTuple):
    """The dimensions of a named network."""

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
    """Build the variant `name` with `joints` heatmaps and random weights."""
    return ConvolutionalPoseMachine(joints, *VARIANTS[name])


def _prediction(inputs: int, maps: int) -> nn.Conv2d:
    conv = nn.Conv2d(inputs, maps, 1)
    nn.init.normal_(conv.weight, std=0.01)  # as the authors' weight_filler does
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv
