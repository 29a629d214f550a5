"""Person detector: the first blocks of EfficientNet-Lite0, a top-down pathway, and a head without anchors.

Each cell of three grids predicts a score and the distances to the four edges of a box (Tian et al., "FCOS: Fully
Convolutional One-Stage Object Detection", ICCV 2019, section 3.1). Scores and distances have a head each (Ge et al.,
"YOLOX", 2021, section 2.1), and the score is trained to be the overlap of the box with the person, so that no separate
centerness is needed (Zhang et al., "VarifocalNet", CVPR 2021).

The network is made for 8 bits. The trunk ends after 12 of the 16 blocks, which saves two thirds of its parameters. All
convolutions behind the trunk are dense, since depthwise convolutions gain little from INT8. Activations are ReLU6, and
distances are Softplus instead of an exponential function, so their rounding error does not grow with the box.

Run only the tests of this module: `pytest tests/models/test_people.py`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgepose.models.efficientnet_lite import BLOCKS, ConvBN, EfficientNetLite0

TAPS = (4, 10, 11)  # the blocks of EfficientNet-Lite0 whose outputs are used, at strides 8, 16 and 32
STRIDES = (8, 16, 32)
RARE = 0.01  # The score of every cell before training. Without it the many empty cells dominate the first steps.
REACH = 2.0  # The distance to every edge before training, in strides, before Softplus.


class Cells(NamedTuple):
    """The raw output of the network for A cells, the finest grid first.

    Attributes:
        logits: Score of each cell before the sigmoid, [B, A].
        distances: Distances from the center of the cell to the left, top, right and bottom edge, [B, A, 4], in strides.
        centers: The centers of the cells, [A, 2], x before y, in pixels of the input with pixel centers at integers.
        strides: The stride of each cell in pixels, [A].
    """

    logits: Tensor
    distances: Tensor
    centers: Tensor
    strides: Tensor

    def boxes_xyxy(self) -> Tensor:
        """Return the boxes [B, A, 4] in pixels of the input."""
        reach = self.distances * self.strides[:, None]
        return torch.cat([self.centers - reach[..., :2], self.centers + reach[..., 2:]], dim=-1)


class Head(nn.Module):
    """The head of one grid: a tower of convolutions for the score, and one for the distances.

    Args:
        width: Channels of the features and of the towers.
        depth: 3x3 convolutions in each tower.
    """

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.for_score = nn.Sequential(*(ConvBN(width, width, kernel=3) for _ in range(depth)))
        self.for_box = nn.Sequential(*(ConvBN(width, width, kernel=3) for _ in range(depth)))
        self.score = nn.Conv2d(width, 1, 1)
        self.box = nn.Conv2d(width, 4, 1)
        for layer, bias in ((self.score, -math.log((1 - RARE) / RARE)), (self.box, REACH)):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.constant_(layer.bias, bias)  # type: ignore[arg-type]

    def forward(
        self,
        features: Tensor,  # [B, width, h, w]
    ) -> Tensor:
        """Return the logit of the score and the four distances in strides, [B, 5, h, w]."""
        distances = functional.softplus(self.box(self.for_box(features)))
        return torch.cat([self.score(self.for_score(features)), distances], dim=1)


class PeopleFinder(nn.Module):
    """The person detector.

    Args:
        width: Channels of the top-down pathway and of the heads.
        depth: 3x3 convolutions in each tower of a head.
    """

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.trunk = EfficientNetLite0(blocks=TAPS[-1] + 1)
        inputs = [BLOCKS[tap][4] for tap in TAPS]
        self.laterals = nn.ModuleList(ConvBN(channels, width, linear=True) for channels in inputs)
        self.merged = nn.ModuleList(ConvBN(width, width, kernel=3) for _ in inputs)
        self.heads = nn.ModuleList(Head(width, depth) for _ in inputs)

    def forward(
        self,
        images: Tensor,  # [B, 3, H, W], H and W multiples of 32
    ) -> Tensor | Cells:
        """Run the network.

        Args:
            images: Images [B, 3, H, W], H and W multiples of 32.

        Returns:
            The candidates [B, A, 5]: x0, y0, x1, y1 in pixels of the input, and the score. In training mode the raw
            `Cells`.
        """
        features = self.trunk.features(images, TAPS)
        x: Tensor | None = None
        maps: list[Tensor] = []
        for lateral, merged, head, found in zip(
            reversed(self.laterals), reversed(self.merged), reversed(self.heads), reversed(features), strict=True
        ):
            side = lateral(found)
            x = merged(side if x is None else functional.interpolate(x, scale_factor=2.0, mode="nearest") + side)
            maps.insert(0, head(x))
        cells = _cells(maps)
        if self.training:
            return cells
        return torch.cat([cells.boxes_xyxy(), torch.sigmoid(cells.logits)[..., None]], dim=-1)


def _cells(maps: list[Tensor]) -> Cells:
    """Join the outputs [B, 5, h, w] of the heads."""
    rows = torch.cat([one.flatten(2) for one in maps], dim=2).transpose(1, 2)  # [B, A, 5]
    centers, strides = [], []
    for one, stride in zip(maps, STRIDES, strict=True):
        height, width = (int(n) for n in one.shape[2:])  # constants of an exported graph
        y, x = torch.meshgrid(
            torch.arange(height, dtype=torch.float32, device=rows.device),
            torch.arange(width, dtype=torch.float32, device=rows.device),
            indexing="ij",
        )
        centers.append(torch.stack([x.flatten(), y.flatten()], dim=1) * stride + (stride - 1) / 2)
        strides.append(torch.full((height * width,), float(stride), device=rows.device))
    return Cells(logits=rows[..., 0], distances=rows[..., 1:], centers=torch.cat(centers), strides=torch.cat(strides))


class Variant(NamedTuple):
    """The channels behind the trunk, and the 3x3 convolutions in each tower of a head."""

    width: int
    depth: int


VARIANTS: dict[str, Variant] = {
    "people": Variant(width=64, depth=1),
}


def build(name: str) -> PeopleFinder:
    """Build the variant `name` with random weights."""
    return PeopleFinder(*VARIANTS[name])
