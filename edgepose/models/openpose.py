"""OpenPose: heatmaps of all people in an image, and part affinity fields that connect the joints of each person.

Cao, Simon, Wei and Sheikh, "Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields", CVPR 2017,
section 2 and figure 3. The layers follow the authors' `pose_deploy.prototxt`. The first ten layers of VGG-19 and two
more compute features F at stride 8. Each stage has one branch for the fields and one for the heatmaps. From the second
stage on, both branches read F and both results of the last stage. Every stage is supervised (equations 5 and 10). The
exported outputs are those of the last stage: K heatmaps and 2 L fields, which hold x and y for each limb of the
skeleton. The heatmap of the background is used in training only.

The layer numbers in `trunk.vgg` are those of torchvision's `vgg19().features`, so its ImageNet checkpoint loads; the
paper starts from such weights. The `small` variant has batch norm, which the paper does not have, and trains from
random weights.

Run only the tests of this module: `pytest tests/models/test_openpose.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from edgepose.errors import ModelError, UsageError
from edgepose.models.resnet import read_state

# VGG-19 (Simonyan and Zisserman, ICLR 2015, table 1, E) up to conv4_2: n stands for a convolution with width / n
# channels, 0 for a pool.
VGG = (8, 8, 0, 4, 4, 0, 2, 2, 2, 2, 0, 1, 1)


class Trunk(nn.Module):
    """The features F: the first ten convolutions of VGG-19 and two that reduce the channels (conv4_3, conv4_4).

    Args:
        width: Channels of the last VGG layer. The features have a quarter of them.
        norm: Whether to use batch norm.
    """

    def __init__(self, width: int, norm: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for share in VGG:
            if share:
                layers += _layers(channels, width // share, 3, norm)
                channels = width // share
            else:
                layers.append(nn.MaxPool2d(2))
        self.vgg = nn.Sequential(*layers)
        self.narrow = nn.Sequential(*_layers(width, width // 2, 3, norm), *_layers(width // 2, width // 4, 3, norm))

    def forward(
        self,
        images: Tensor,  # [B, 3, H, W], H and W multiples of 8
    ) -> Tensor:
        """Return F [B, width / 4, H/8, W/8]."""
        features: Tensor = self.narrow(self.vgg(images))
        return features

    def load_state(self, path: str | Path) -> None:
        """Load the layers that are used here from a torchvision checkpoint of VGG-19.

        Raises:
            ModelError: The file is not a readable checkpoint of VGG-19.
        """
        state = read_state(path)
        wanted = {f"features.{name}": name for name in self.vgg.state_dict()}
        missing = [name for name in wanted if name not in state]
        if missing:
            raise ModelError(f"{path}: not a torchvision checkpoint of VGG-19: it has no {missing[0]}")
        try:
            self.vgg.load_state_dict({name: state[theirs] for theirs, name in wanted.items()})
        except RuntimeError as error:
            raise ModelError(f"{path}: not a torchvision checkpoint of VGG-19. {error}") from error


class Stage(nn.Module):
    """The two branches of a stage, for fields and for heatmaps, which have the same layers (figure 3).

    Args:
        inputs: Input channels.
        width: Channels of the branches.
        maps: The number of heatmaps, K + 1.
        fields: The number of field channels, 2 L.
        later: (kernel size, count) of the convolutions of a later stage, or None for the first stage.
        norm: Whether to use batch norm.
    """

    def __init__(self, inputs: int, width: int, maps: int, fields: int, later: tuple[int, int] | None, norm: bool):
        super().__init__()
        self.fields = _branch(inputs, width, fields, later, norm)
        self.maps = _branch(inputs, width, maps, later, norm)

    def forward(
        self,
        x: Tensor,  # [B, inputs, h, w]
    ) -> tuple[Tensor, Tensor]:
        """Return the heatmaps [B, K + 1, h, w] and the fields [B, 2 L, h, w]."""
        return self.maps(x), self.fields(x)


class OpenPose(nn.Module):
    """All stages on one trunk.

    Args:
        joints: The number of joints K.
        limbs: The number of limbs L.
        stages: The number of stages.
        width: Channels of the last VGG layer.
        later: (kernel size, count) of the convolutions of each stage after the first.
        norm: Whether to use batch norm.
    """

    def __init__(
        self,
        joints: int,
        limbs: int,
        stages: int = 6,
        width: int = 512,
        later: tuple[int, int] = (7, 5),
        norm: bool = False,
    ) -> None:
        super().__init__()
        if joints < 1 or limbs < 1 or stages < 1:
            raise UsageError(
                f"OpenPose: joints, limbs and stages must be at least 1, got {joints}, {limbs} and {stages}; "
                "use a skeleton with limbs."
            )
        self.joints = joints
        maps, fields, narrow = joints + 1, 2 * limbs, width // 4
        self.trunk = Trunk(width, norm)
        self.first = Stage(narrow, narrow, maps, fields, None, norm)
        inputs = narrow + maps + fields
        self.later = nn.ModuleList(Stage(inputs, narrow, maps, fields, later, norm) for _ in range(stages - 1))

    def forward(
        self,
        images: Tensor,  # [B, 3, H, W], H and W multiples of 8
    ) -> tuple[Tensor, Tensor] | tuple[tuple[Tensor, Tensor], ...]:
        """Return the heatmaps [B, K, H/8, W/8] and the part affinity fields [B, 2 L, H/8, W/8] of the last stage.

        In training mode the result is a tuple with the heatmaps [B, K + 1, h, w] and the fields of every stage.
        """
        features = self.trunk(images)
        found: list[tuple[Tensor, Tensor]] = [self.first(features)]
        for stage in self.later:
            maps, fields = found[-1]
            found.append(stage(torch.cat([features, fields, maps], dim=1)))
        if self.training:
            return tuple(found)
        maps, fields = found[-1]
        return maps[:, : self.joints], fields


class Variant(NamedTuple):
    """The dimensions of a named network."""

    stages: int = 6
    width: int = 512
    later: tuple[int, int] = (7, 5)
    norm: bool = False


VARIANTS: dict[str, Variant] = {
    "openpose": Variant(),
    "openpose-small": Variant(stages=3, width=128, later=(5, 3), norm=True),
}


def build(name: str, joints: int, limbs: int) -> OpenPose:
    """Build the variant `name` with `joints` heatmaps and `limbs` fields, and random weights."""
    return OpenPose(joints, limbs, *VARIANTS[name])


def _branch(inputs: int, width: int, outputs: int, later: tuple[int, int] | None, norm: bool) -> nn.Sequential:
    """Return one branch of a stage.

    The first stage has three 3x3 convolutions and a 1x1 convolution that is four times as wide. A later stage has
    `count` convolutions of size `kernel` and a 1x1 convolution. A 1x1 convolution then predicts the outputs.
    """
    kernel, count = later or (3, 3)
    layers: list[nn.Module] = []
    for channels in (inputs, *[width] * (count - 1)):
        layers += _layers(channels, width, kernel, norm)
    wide = width if later else 4 * width
    last = nn.Conv2d(wide, outputs, 1)
    nn.init.normal_(last.weight, std=0.01)  # as the authors' weight_filler does
    nn.init.zeros_(last.bias)  # type: ignore[arg-type]
    return nn.Sequential(*layers, *_layers(width, wide, 1, norm), last)


def _layers(inputs: int, outputs: int, kernel: int, norm: bool) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, kernel, 1, kernel // 2, bias=not norm)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return [conv, *([nn.BatchNorm2d(outputs)] if norm else []), nn.ReLU(inplace=True)]
