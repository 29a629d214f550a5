"""OpenPose: heatmaps of all people at once, and part affinity fields that say which joints belong together.

Cao, Simon, Wei and Sheikh, "Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields", CVPR 2017,
section 2 and figure 3; layers as in the authors' `pose_deploy.prototxt`. Ten layers of VGG-19 and two more give
features F at stride 8. Each stage has two branches, fields and maps; from the second on they read F and both
results of the stage before. Every stage is supervised (equations 5, 10); exported are the last stage's K maps
and 2 L fields, x and y of each limb of the skeleton. The map of the background is for training only.

Layer numbers of `trunk.vgg` are torchvision's (`vgg19().features`), so its ImageNet checkpoint loads: the paper
starts from one. The `small` variant has batch norm, which the paper does not have, and trains without.

Test alone: `pytest tests/models/test_openpose.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from edgepose.errors import ModelError, UsageError
from edgepose.models.resnet import read_state

# VGG-19 (Simonyan and Zisserman, ICLR 2015, table 1, E) up to conv4_2: channels as a share of 512, 0 for a pool.
VGG = (8, 8, 0, 4, 4, 0, 2, 2, 2, 2, 0, 1, 1)


class Trunk(nn.Module):
    """F: VGG-19's first ten convolutions, and two that narrow them to half and a quarter (conv4_3, conv4_4)."""

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
        """Load a torchvision checkpoint of VGG-19 as far as it is used here."""
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
    """The two branches of a stage: fields and maps, of the same layers (figure 3)."""

    def __init__(self, inputs: int, width: int, maps: int, fields: int, later: tuple[int, int] | None, norm: bool):
        super().__init__()
        self.fields = _branch(inputs, width, fields, later, norm)
        self.maps = _branch(inputs, width, maps, later, norm)

    def forward(
        self,
        x: Tensor,  # [B, inputs, h, w]
    ) -> tuple[Tensor, Tensor]:
        """Return (maps [B, K + 1, h, w], fields [B, 2 L, h, w])."""
        return self.maps(x), self.fields(x)


class OpenPose(nn.Module):
    """`stages` stages on one trunk. later: (kernel, count) of the convolutions of each stage but the first."""

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
                "a skeleton of single joints has no fields to learn."
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
        """Return (heatmaps [B, K, H/8, W/8], pafs [B, 2 L, H/8, W/8]).

        In training a tuple of every stage's (maps [B, K + 1, h, w], fields [B, 2 L, h, w]).
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
    stages: int = 6
    width: int = 512
    later: tuple[int, int] = (7, 5)
    norm: bool = False


VARIANTS: dict[str, Variant] = {
    "openpose": Variant(),
    "openpose-small": Variant(stages=3, width=128, later=(5, 3), norm=True),
}


def build(name: str, joints: int, limbs: int) -> OpenPose:
    """The variant `name` with `joints` heatmaps and `limbs` fields, randomly initialized."""
    return OpenPose(joints, limbs, *VARIANTS[name])


def _branch(inputs: int, width: int, outputs: int, later: tuple[int, int] | None, norm: bool) -> nn.Sequential:
    """Stage 1: three 3x3, a 1x1 four times as wide; later: `count` of `kernel`, a 1x1. Then a 1x1 prediction."""
    kernel, count = later or (3, 3)
    layers: list[nn.Module] = []
    for channels in (inputs, *[width] * (count - 1)):
        layers += _layers(channels, width, kernel, norm)
    wide = width if later else 4 * width
    last = nn.Conv2d(wide, outputs, 1)
    nn.init.normal_(last.weight, std=0.01)  # as the authors' weight_filler
    nn.init.zeros_(last.bias)  # type: ignore[arg-type]
    return nn.Sequential(*layers, *_layers(width, wide, 1, norm), last)


def _layers(inputs: int, outputs: int, kernel: int, norm: bool) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, kernel, 1, kernel // 2, bias=not norm)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return [conv, *([nn.BatchNorm2d(outputs)] if norm else []), nn.ReLU(inplace=True)]
