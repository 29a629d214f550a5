"""HRNet: parallel branches of several resolutions that exchange features repeatedly.

Sun, Xiao, Liu and Wang, "Deep High-Resolution Representation Learning for Human Pose Estimation", CVPR 2019,
section 3. The heatmaps come from the branch with the highest resolution. As in the paper, there is no intermediate
supervision (section 3, "heatmap estimation"). The names in the state dict are those of the authors' `pose_hrnet.py`,
so their checkpoints load.

`hrnet-small` is the "HRNet-W18-Small-v1" of the authors' segmentation repository: each stage has one exchange module
with two blocks per branch. As a pose network it is the "Small HRNet" (HRNet-W16) in table 1 of Yu et al.,
"Lite-HRNet", CVPR 2021.

Run only the tests of this module: `pytest tests/models/test_hrnet.py`.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from edgepose.errors import UsageError
from edgepose.models.resnet import BasicBlock, Bottleneck


class Variant(NamedTuple):
    """The dimensions of a named network.

    Attributes:
        width: Channels of the highest resolution. Each halving of the resolution doubles the channels.
        modules: The number of exchange modules in stages 2, 3 and 4.
        blocks: The number of residual blocks of a branch in one exchange module.
        stem: The planes and the number of the bottleneck blocks of stage 1.
    """

    width: int
    modules: tuple[int, int, int] = (1, 4, 3)
    blocks: int = 4
    stem: tuple[int, int] = (64, 4)


VARIANTS: dict[str, Variant] = {
    "hrnet-w32": Variant(32),
    "hrnet-w48": Variant(48),
    "hrnet-small": Variant(16, (1, 1, 1), 2, (32, 1)),
}


class HRNet(nn.Module):
    """A stem to stride 4, four stages with one to four resolutions, and a 1x1 head on the highest resolution.

    Args:
        joints: The number of joints K.
        variant: The dimensions of the network.
    """

    def __init__(self, joints: int, variant: Variant) -> None:
        super().__init__()
        if joints < 1:
            raise UsageError(f"HRNet: joints must be at least 1, got {joints}.")
        planes, bottlenecks = variant.stem
        self.conv1 = nn.Conv2d(3, 64, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = nn.Conv2d(64, 64, 3, 2, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        wide = planes * Bottleneck.expansion
        self.layer1 = nn.Sequential(Bottleneck(64, planes), *(Bottleneck(wide, planes) for _ in range(bottlenecks - 1)))
        widths = [variant.width * 2**i for i in range(4)]
        for stage, modules in enumerate(variant.modules, start=2):
            before = [wide] if stage == 2 else widths[: stage - 1]
            self.add_module(f"transition{stage - 1}", _transition(before, widths[:stage]))
            self.add_module(f"stage{stage}", _stage(modules, widths[:stage], variant.blocks, last=stage == 4))
        self.final_layer = nn.Conv2d(variant.width, joints, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.001)  # as in the authors' code

    def forward(
        self,
        images: Tensor,  # [B, 3, H, W], H and W multiples of 32
    ) -> Tensor:
        """Return raw heatmaps [B, K, H/4, W/4]."""
        x = self.relu(self.bn1(self.conv1(images)))
        x = self.layer1(self.relu(self.bn2(self.conv2(x))))
        branches = [x]
        for stage in (2, 3, 4):
            branches = self._enter(stage, branches)
            branches = self.get_submodule(f"stage{stage}")(branches)
        heatmaps: Tensor = self.final_layer(branches[0])
        return heatmaps

    def _enter(self, stage: int, branches: list[Tensor]) -> list[Tensor]:
        """Return the inputs of a stage: the branches before it, adapted in width, and one new lower resolution."""
        layers = self.get_submodule(f"transition{stage - 1}").children()
        return [
            layer(branches[min(i, len(branches) - 1)]) if len(layer) else branches[i]  # type: ignore[arg-type]
            for i, layer in enumerate(layers)
        ]


class Exchange(nn.Module):
    """Residual blocks on each branch, then a sum over all branches for each of them ("repeated multi-scale fusion").

    A lower resolution is added after a 1x1 convolution and nearest-neighbor upsampling. A higher resolution is added
    after one 3x3 convolution with stride 2 per halving.

    Args:
        widths: Channels of the branches, highest resolution first.
        blocks: The number of residual blocks per branch.
        last: Whether only the highest resolution is computed, because no stage follows.
    """

    def __init__(self, widths: list[int], blocks: int, last: bool) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*(BasicBlock(c, c) for _ in range(blocks))) for c in widths)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_fuse(widths, source, target) for source in range(len(widths)))
            for target in range(1 if last else len(widths))
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(
        self,
        x: list[Tensor],  # [B, C * 2^i, h / 2^i, w / 2^i] each
    ) -> list[Tensor]:
        """Return features of the same shapes, or only those of the highest resolution if this is the last exchange."""
        x = [branch(part) for branch, part in zip(self.branches, x, strict=True)]
        return [self.relu(self._sum(layers, x)) for layers in self.fuse_layers]

    def _sum(self, layers: nn.Module, x: list[Tensor]) -> Tensor:
        parts = [layer(part) for layer, part in zip(layers.children(), x, strict=True)]
        total: Tensor = parts[0]
        for part in parts[1:]:
            total = total + part
        return total


def build(name: str, joints: int) -> HRNet:
    """Build the variant `name` with `joints` heatmaps and random weights."""
    return HRNet(joints, VARIANTS[name])


def _conv(inputs: int, outputs: int, kernel: int, stride: int, *, relu: bool) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return [conv, nn.BatchNorm2d(outputs), *([nn.ReLU(inplace=True)] if relu else [])]


def _stage(modules: int, widths: list[int], blocks: int, last: bool) -> nn.Sequential:
    return nn.Sequential(*(Exchange(widths, blocks, last and i == modules - 1) for i in range(modules)))


def _transition(before: list[int], widths: list[int]) -> nn.ModuleList:
    """Return one module per branch: empty if the width stays, else a 3x3 convolution; stride 2 for the new branch."""
    layers: list[nn.Module] = []
    for i, width in enumerate(widths):
        if i == len(before):
            layers.append(nn.Sequential(nn.Sequential(*_conv(before[-1], width, 3, 2, relu=True))))
        elif before[i] == width:
            layers.append(nn.Sequential())
        else:
            layers.append(nn.Sequential(*_conv(before[i], width, 3, 1, relu=True)))
    return nn.ModuleList(layers)


def _fuse(widths: list[int], source: int, target: int) -> nn.Sequential:
    """Return the layers that convert resolution `source` before it is added to resolution `target`."""
    if source == target:
        return nn.Sequential()
    if source > target:
        up = nn.Upsample(scale_factor=2 ** (source - target), mode="nearest")
        return nn.Sequential(*_conv(widths[source], widths[target], 1, 1, relu=False), up)
    steps = range(source + 1, target + 1)
    return nn.Sequential(
        *(
            nn.Sequential(*_conv(widths[source], widths[target if at == target else source], 3, 2, relu=at != target))
            for at in steps
        )
    )
