"""SimpleBaseline: a trunk, a few deconvolutions and one heatmap per joint.

Xiao, Wu and Wei, "Simple Baselines for Human Pose Estimation and Tracking", ECCV 2018, section 2. The paper uses
ResNet trunks and three deconvolutions with 256 channels. The `lite` variants put a narrower head of the same form on
EfficientNet-Lite0. The names of the head's layers (`deconv_layers`, `final_layer`) and the initialization are those of
the authors' code. `edgepose.codecs.heatmap` defines how a heatmap is decoded.

Run only the tests of this module: `pytest tests/models/test_simplebaseline.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor, nn

from edgepose.errors import UsageError
from edgepose.models import resnet
from edgepose.models.efficientnet_lite import EfficientNetLite0

# kernel size -> (padding, output padding) with which a deconvolution of stride 2 exactly doubles the size
_DECONV_PADDING = {2: (0, 0), 3: (1, 1), 4: (1, 0)}


class SimpleBaseline(nn.Module):
    """A trunk with a deconvolution head.

    Args:
        trunk: A network from images [B, 3, H, W] to features [B, trunk_channels, H/32, W/32].
        trunk_channels: Channels of the features.
        joints: The number of joints K.
        deconv_channels: Output channels of each deconvolution.
        deconv_kernel: Kernel size of the deconvolutions: 2, 3 or 4.
    """

    def __init__(
        self,
        trunk: nn.Module,
        trunk_channels: int,
        joints: int,
        deconv_channels: tuple[int, ...] = (256, 256, 256),
        deconv_kernel: int = 4,
    ) -> None:
        super().__init__()
        if joints < 1:
            raise UsageError(f"SimpleBaseline: joints must be at least 1, got {joints}.")
        if deconv_kernel not in _DECONV_PADDING:
            kernels = ", ".join(map(str, _DECONV_PADDING))
            raise UsageError(f"SimpleBaseline: deconv_kernel must be one of {kernels}, got {deconv_kernel}.")
        self.trunk = trunk
        self.deconv_layers = _deconvolutions((trunk_channels, *deconv_channels), deconv_kernel)
        self.final_layer = nn.Conv2d((trunk_channels, *deconv_channels)[-1], joints, 1)
        nn.init.normal_(self.final_layer.weight, std=0.001)
        nn.init.zeros_(self.final_layer.bias)  # type: ignore[arg-type]

    def forward(
        self,
        images: Tensor,  # [B, 3, H, W], H and W multiples of 32
    ) -> Tensor:
        """Return raw heatmaps: [B, K, H/4, W/4] with three deconvolutions, [B, K, H/8, W/8] with two."""
        heatmaps: Tensor = self.final_layer(self.deconv_layers(self.trunk(images)))
        return heatmaps


class Variant(NamedTuple):
    """The trunk and the head of a named network."""

    trunk: Callable[[], EfficientNetLite0 | resnet.ResNet]
    deconv_channels: tuple[int, ...] = (256, 256, 256)
    deconv_kernel: int = 4


VARIANTS: dict[str, Variant] = {
    "simplebaseline-lite": Variant(EfficientNetLite0, (128, 128, 64)),
    "simplebaseline-lite128": Variant(EfficientNetLite0, (128, 128, 128)),
    "simplebaseline-r18": Variant(resnet.resnet18),
    "simplebaseline-r34": Variant(resnet.resnet34),
    "simplebaseline-r50": Variant(resnet.resnet50),
    # Rows b, c and d of the ablation in table 2 of the paper: two deconvolutions, and smaller kernels.
    "simplebaseline-r50-d2": Variant(resnet.resnet50, (256, 256)),
    "simplebaseline-r50-k2": Variant(resnet.resnet50, deconv_kernel=2),
    "simplebaseline-r50-k3": Variant(resnet.resnet50, deconv_kernel=3),
    "simplebaseline-r101": Variant(resnet.resnet101),
    "simplebaseline-r152": Variant(resnet.resnet152),
}


def build(name: str, joints: int) -> SimpleBaseline:
    """Build the variant `name` with `joints` heatmaps and random weights."""
    variant = VARIANTS[name]
    trunk = variant.trunk()
    return SimpleBaseline(trunk, trunk.out_channels, joints, variant.deconv_channels, variant.deconv_kernel)


def _deconvolutions(channels: tuple[int, ...], kernel: int) -> nn.Sequential:
    padding, output_padding = _DECONV_PADDING[kernel]
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(channels):
        deconv = nn.ConvTranspose2d(inputs, outputs, kernel, 2, padding, output_padding, bias=False)
        nn.init.normal_(deconv.weight, std=0.001)
        layers += [deconv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
