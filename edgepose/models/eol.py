"""Efficient Object Localization: coarse heatmaps from two resolutions, refined in a window around each peak.

Tompson, Goroshin, Jain, LeCun and Bregler, "Efficient Object Localization Using Convolutional Networks", CVPR 2015.
Section 3.1: the same convolutions run on the image and on its half-size copy, and their sum gives heatmaps at stride 8.
SpatialDropout (section 3.2) drops whole feature maps before the 1x1 layers. Section 4: windows of the early features
are cut around each coarse peak, and one network, which is shared by all joints except for its last layer (figure 7,
"siamese"), predicts fine heatmaps at stride 2. Both parts are trained together; the fine loss has the weight 0.1
(lambda in section 4.2). In training the windows lie around the ground truth, displaced by about the coarse error. The
mean and the standard deviation of the contract normalize the input, in place of the paper's local contrast
normalization.

`SpatialModel` is the spatial model of Tompson, Jain, LeCun and Bregler, "Joint Training of a Convolutional Network and
a Graphical Model for Human Pose Estimation", NIPS 2014, section 3.2.

There are three kinds of networks. `eol-coarse` returns heatmaps, `eol-spatial` returns heatmaps after the spatial
model, and `eol` returns the coordinates of the fine peaks with a score. The `small` variants have batch norm, which
the papers do not have, and can be trained on two CPU cores.

Run only the tests of this module: `pytest tests/models/test_eol.py`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgepose.errors import UsageError
from edgepose.models.places import peaks, windows

STRIDE, FINE_STRIDE = 8, 2  # size of a cell of the coarse and the fine heatmaps, in pixels
FINE = 18  # cells per side of a fine heatmap
DRIFT = 0.6  # standard deviation of the window displacement in training, in coarse cells: the usual coarse error


class Bank(nn.Module):
    """Three 5x5 convolutions, each followed by a pool, and a 9x9 convolution (figures 2 and 3, one resolution).

    Args:
        width: Channels of the 5x5 convolutions.
        wide: Channels of the 9x9 convolution.
        norm: Whether to use batch norm.
    """

    def __init__(self, width: int, wide: int, norm: bool) -> None:
        super().__init__()
        inputs = (3, width, width)
        self.early = nn.ModuleList(
            nn.Sequential(*_convolution(channels, width, 5, norm), nn.MaxPool2d(2)) for channels in inputs
        )
        self.late = nn.Sequential(*_convolution(width, wide, 9, norm))

    def forward(
        self,
        images: Tensor,  # [B, 3, H, W]
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the features [B, wide, H/8, W/8], and the early features at strides 2 and 4 for the fine network."""
        features = []
        x = images
        for stage in self.early:
            x = stage(x)
            features.append(x)
        return self.late(x), features[:2]


class Coarse(nn.Module):
    """The banks of both resolutions, added at stride 8, and three 1x1 layers (section 3.1).

    Args:
        joints: The number of joints K.
        width: Channels of the early features.
        wide: Channels of the features at stride 8.
        dropout: Probability of dropping a feature map in training.
        norm: Whether to use batch norm.
    """

    def __init__(self, joints: int, width: int, wide: int, dropout: float, norm: bool) -> None:
        super().__init__()
        self.whole, self.halved = Bank(width, wide, norm), Bank(width, wide, norm)
        self.head = nn.Sequential(
            nn.Dropout2d(dropout),  # SpatialDropout
            *_convolution(wide, wide // 2, 1, norm),
            *_convolution(wide // 2, wide // 2, 1, norm),
        )
        self.predict = nn.Conv2d(wide // 2, joints, 1)
        nn.init.normal_(self.predict.weight, std=0.001)
        nn.init.zeros_(self.predict.bias)  # type: ignore[arg-type]

    def forward(
        self,
        images: Tensor,  # [B, 3, H, W], H and W multiples of 16
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the heatmaps [B, K, H/8, W/8] and the early features of both banks."""
        x, features = self.whole(images)
        y, more = self.halved(functional.avg_pool2d(images, 2))
        x = x + functional.interpolate(y, scale_factor=2, mode="nearest")
        return self.predict(self.head(x)), features + more


class SpatialModel(nn.Module):
    """Multiply the heatmap of each joint by messages from all other joints (NIPS 2014, equation 2, in log space).

    The message from joint v to joint A is the heatmap of v, convolved with a learned prior of the displacement of A,
    plus a learned background. SoftPlus keeps both positive. The model starts close to the identity: the prior of a
    joint for itself is a single cell, and the messages of the others are uniform.

    Args:
        joints: The number of joints K.
        reach: The number of cells that a prior extends to each side.
    """

    def __init__(self, joints: int, reach: int) -> None:
        super().__init__()
        self.joints, self.reach = joints, reach
        side = 2 * reach + 1
        prior = torch.full((joints, joints, side, side), 1e-4)  # [v, A, y, x]
        background = torch.ones(joints, joints)
        own = torch.arange(joints)
        prior[own, own] = 1e-6
        prior[own, own, reach, reach] = 1.0
        background[own, own] = 0.01
        self.prior = nn.Parameter(_inverse_softplus(prior))
        self.background = nn.Parameter(_inverse_softplus(background))

    def forward(
        self,
        maps: Tensor,  # [B, K, h, w]
    ) -> Tensor:
        """Return refined heatmaps [B, K, h, w]."""
        height, width = (int(n) for n in maps.shape[2:])
        joints, side = self.joints, 2 * self.reach + 1
        prior = functional.softplus(self.prior).reshape(joints * joints, 1, side, side)
        background = functional.softplus(self.background).reshape(joints * joints)
        messages = functional.conv2d(maps.relu(), prior, background, padding=self.reach, groups=joints)
        logs = messages.log().reshape(-1, joints, joints, height, width)
        better: Tensor = logs.sum(dim=1).exp()
        return better


class CoarseNetwork(nn.Module):
    """Heatmaps at stride 8, optionally refined by the spatial model.

    Args:
        joints: The number of joints K.
        width: Channels of the early features.
        wide: Channels of the features at stride 8.
        dropout: Probability of dropping a feature map in training.
        norm: Whether to use batch norm.
        reach: Cells that a prior of the spatial model extends to each side; None for no spatial model.
    """

    def __init__(
        self, joints: int, width: int, wide: int, dropout: float, norm: bool, reach: int | None = None
    ) -> None:
        super().__init__()
        if joints < 1:
            raise UsageError(f"EOL: joints must be at least 1, got {joints}.")
        self.coarse = Coarse(joints, width, wide, dropout, norm)
        self.spatial = None if reach is None else SpatialModel(joints, reach)

    def forward(
        self,
        images: Tensor,  # [B, 3, H, W], H and W multiples of 16
    ) -> Tensor | tuple[Tensor, ...]:
        """Return heatmaps [B, K, H/8, W/8].

        In training mode, a network with a spatial model returns the heatmaps before and after it.
        """
        maps: Tensor = self.coarse(images)[0]
        if self.spatial is None:
            return maps
        better: Tensor = self.spatial(maps)
        return (maps, better) if self.training else better


class RefinedNetwork(nn.Module):
    """The coarse network, and the fine network that reads the early features of the coarse one (section 4).

    Args:
        joints: The number of joints K.
        width: Channels of the early features and of the fine network.
        wide: Channels of the features at stride 8.
        dropout: Probability of dropping a feature map in training.
        norm: Whether to use batch norm.
    """

    def __init__(self, joints: int, width: int, wide: int, dropout: float, norm: bool) -> None:
        super().__init__()
        if joints < 1:
            raise UsageError(f"EOL: joints must be at least 1, got {joints}.")
        self.joints = joints
        self.coarse = Coarse(joints, width, wide, dropout, norm)
        self.fine = nn.Sequential(
            *_convolution(4 * width, width, 5, norm),
            *_convolution(width, width, 5, norm),
            *_convolution(width, width, 1, norm),
        )
        # The only layer with separate weights for each joint.
        self.predict = nn.Conv2d(joints * width, joints, 1, groups=joints)
        nn.init.normal_(self.predict.weight, std=0.001)
        nn.init.zeros_(self.predict.bias)  # type: ignore[arg-type]

    def forward(
        self,
        images: Tensor,  # [B, 3, H, W], H and W multiples of 16
        truth: Tensor | None = None,  # [B, K, 2]
    ) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """Return coordinates with a score, or in training the heatmaps of both networks.

        Args:
            images: Crops [B, 3, H, W]; H and W are multiples of 16.
            truth: The ground truth [B, K, 2], -0.5 to 0.5 over the crop, in training.

        Returns:
            [B, K, 3]: x and y, -0.5 to 0.5 over the crop, and the value of the coarse peak as the score.
            With `truth`: the coarse heatmaps [B, K, h, w], the fine heatmaps [B, K, FINE, FINE] and the centers
            [B, K, 2] of the fine ones.
        """
        maps, features = self.coarse(images)
        extent = self._extent(images)
        if truth is not None:
            cell = STRIDE / FINE_STRIDE / FINE * extent  # a coarse cell, as a fraction of the crop
            center = truth + DRIFT * cell * torch.randn_like(truth)
            return maps, self._look(features, center, extent), center
        center, score = peaks(maps)
        offset, _ = peaks(self._look(features, center, extent))
        return torch.cat([center + offset * extent, score[..., None]], dim=2)

    def _extent(self, images: Tensor) -> Tensor:
        """Return the width and height [1, 1, 2] of a fine heatmap, as fractions of the crop."""
        height, width = images.shape[2:]
        return images.new_tensor([[[FINE * FINE_STRIDE / width, FINE * FINE_STRIDE / height]]])

    def _look(self, features: list[Tensor], center: Tensor, extent: Tensor) -> Tensor:
        """Return the fine heatmaps [B, K, FINE, FINE] around `center` [B, K, 2]."""
        seen = torch.cat([windows(level, center, extent, (FINE, FINE)) for level in features], dim=1)
        found: Tensor = self.fine(seen)
        maps: Tensor = self.predict(found.reshape(-1, self.joints * int(found.shape[1]), FINE, FINE))
        return maps


class Variant(NamedTuple):
    """The dimensions of a named network.

    Attributes:
        kind: "coarse", "spatial" or "refined".
        width: Channels of the early features.
        wide: Channels of the features at stride 8.
        dropout: Probability of dropping a feature map in training.
        norm: Whether to use batch norm.
        reach: Cells that a prior of the spatial model extends to each side.
    """

    kind: str
    width: int = 128
    wide: int = 512
    dropout: float = 0.2
    norm: bool = False
    reach: int = 31


SMALL = (32, 128, 0.1, True, 15)

VARIANTS: dict[str, Variant] = {
    "eol": Variant("refined"),
    "eol-coarse": Variant("coarse"),
    "eol-spatial": Variant("spatial"),
    "eol-small": Variant("refined", *SMALL),
    "eol-coarse-small": Variant("coarse", *SMALL),
    "eol-spatial-small": Variant("spatial", *SMALL),
}


def build(name: str, joints: int) -> CoarseNetwork | RefinedNetwork:
    """Build the variant `name` for `joints` joints, with random weights."""
    kind, width, wide, dropout, norm, reach = VARIANTS[name]
    if kind == "refined":
        return RefinedNetwork(joints, width, wide, dropout, norm)
    return CoarseNetwork(joints, width, wide, dropout, norm, reach if kind == "spatial" else None)


def _convolution(inputs: int, outputs: int, kernel: int, norm: bool) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, kernel, 1, kernel // 2, bias=not norm)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return [conv, *([nn.BatchNorm2d(outputs)] if norm else []), nn.ReLU(inplace=True)]


def _inverse_softplus(value: Tensor) -> Tensor:
    return value + torch.log(-torch.expm1(-value))
