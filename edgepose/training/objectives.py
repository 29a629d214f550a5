"""What a network learns, and where it then says the joints are: one objective a kind of output.

The training loop and validation know nothing of heatmaps or coordinates; they ask the objective, which is made
anew for each stage of a recipe, as the size of the crops decides how large the targets are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from edgepose._checks import Array
from edgepose.codecs.heatmap import HeatmapCodec
from edgepose.datasets.samples import PoseData
from edgepose.datasets.scene_feed import SceneItems, SceneTarget
from edgepose.datasets.targets import HeatmapTarget, RegressionTarget
from edgepose.datasets.torch_feed import CropItems, TrainingItems
from edgepose.errors import UsageError, one_line
from edgepose.kernels import heatmap_peak, regress_to_image
from edgepose.pose.geometry import Size
from edgepose.training.losses import STAGE_LOSSES, scene_mse
from edgepose.training.recipe import Recipe
from edgepose.training.regressors import REGRESSION_LOSSES, WHOLE_FROM, RegressionBatch


class Objective(Protocol):
    """Made by `objective_of`.

    whole_from: the share of the training from which on everything is learnt; no epoch that ends before is the best.
    """

    @property
    def whole_from(self) -> float: ...

    def items(self, data: Sequence[PoseData], recipe: Recipe, size: Size, epoch: int) -> CropItems:
        """The epoch's crops of `size`, augmented, with the targets that `loss` takes."""
        ...

    def loss(
        self,
        network: nn.Module,  # in training mode
        crops: Tensor,  # [B, 3, H, W]
        target: Sequence[Tensor],  # what the items hold beside the crop, as a batch
        progress: float = 1.0,  # of the training, 0 to 1; some learn one thing after another
    ) -> Tensor:
        """The scalar to minimize; this is what runs the network forward."""
        ...

    def joints(
        self,
        network: nn.Module,  # in evaluation mode
        crops: Tensor,  # [B, 3, H, W]
        inverse: Array,  # [B, 2, 3], crop -> image
    ) -> Array:
        """[B, K, 2] float32: where the network says the joints are, in image coordinates."""
        ...


@dataclass(frozen=True, kw_only=True)
class HeatmapObjective:
    """For networks that give maps [B, K, h, w], in training a tuple of one such a stage.

    name: a key of STAGE_LOSSES.
    """

    whole_from: ClassVar[float] = 0.0

    target: HeatmapTarget
    codec: HeatmapCodec
    name: str = "mse"

    def items(self, data: Sequence[PoseData], recipe: Recipe, size: Size, epoch: int) -> CropItems:
        spec, options = recipe.training_spec(), recipe.augment()
        return TrainingItems(data, spec, size, self.target, recipe.seed, epoch, options)

    def loss(self, network: nn.Module, crops: Tensor, target: Sequence[Tensor], progress: float = 1.0) -> Tensor:
        found = network(crops)
        heatmaps, weight = target
        return STAGE_LOSSES[self.name]((found,) if isinstance(found, Tensor) else found, heatmaps, weight)

    def joints(self, network: nn.Module, crops: Tensor, inverse: Array) -> Array:
        return _peaks(network(crops), crops, inverse, self.codec)


@dataclass(frozen=True, kw_only=True)
class SceneObjective:
    """For networks of maps and part affinity fields, supervised in every stage.

    `joints` takes the highest peak of each map, which is another person's where several are in the crop: good
    enough to tell epochs apart, not to report.
    """

    whole_from: ClassVar[float] = 0.0

    target: SceneTarget
    codec: HeatmapCodec

    def items(self, data: Sequence[PoseData], recipe: Recipe, size: Size, epoch: int) -> CropItems:
        spec, options = recipe.training_spec(), recipe.augment()
        return SceneItems(data, spec, size, self.target, recipe.seed, epoch, options)

    def loss(self, network: nn.Module, crops: Tensor, target: Sequence[Tensor], progress: float = 1.0) -> Tensor:
        return scene_mse(network(crops), *target)

    def joints(self, network: nn.Module, crops: Tensor, inverse: Array) -> Array:
        return _peaks(network(crops)[0], crops, inverse, self.codec)


@dataclass(frozen=True, kw_only=True)
class RegressionObjective:
    """For networks that give coordinates. name: a key of REGRESSION_LOSSES. sigma: of maps, where there are any."""

    target: RegressionTarget
    name: str
    sigma: float

    @property
    def whole_from(self) -> float:
        return WHOLE_FROM.get(self.name, 0.0)

    def items(self, data: Sequence[PoseData], recipe: Recipe, size: Size, epoch: int) -> CropItems:
        spec, options = recipe.training_spec(), recipe.augment()
        return TrainingItems(data, spec, size, self.target, recipe.seed, epoch, options)

    def loss(self, network: nn.Module, crops: Tensor, target: Sequence[Tensor], progress: float = 1.0) -> Tensor:
        truth, weight = target
        batch = RegressionBatch(crops=crops, truth=truth, weight=weight, sigma=self.sigma, progress=progress)
        return REGRESSION_LOSSES[self.name](network, batch)

    def joints(self, network: nn.Module, crops: Tensor, inverse: Array) -> Array:
        found = network(crops).detach().float().cpu().numpy()
        return regress_to_image(found, inverse, (crops.shape[2], crops.shape[3]), self.target.range)[..., :2]


def _peaks(
    heatmaps: Tensor,  # [B, K, h, w]
    crops: Tensor,  # [B, 3, H, W]
    inverse: Array,  # [B, 2, 3]
    codec: HeatmapCodec,
) -> Array:
    """[B, K, 2] float32, in the image."""
    maps, size = heatmaps.detach().float().cpu().numpy(), (crops.shape[2], crops.shape[3])
    return heatmap_peak(maps, inverse, size, codec.refine, sigma=codec.sigma)[..., :2]


def objective_of(recipe: Recipe, network: nn.Module, size: Size, sigma: float) -> Objective:
    """What the recipe's network learns from crops of `size`; sigma: of this stage, in heatmap cells.

    UsageError for a network that does not give what the recipe's codec says, or whose maps do not cover such
    crops evenly.
    """
    return OBJECTIVES[recipe.codec](recipe, network, size, sigma)


def _heatmap(recipe: Recipe, network: nn.Module, size: Size, sigma: float) -> Objective:
    (maps,) = outputs_of(network, size, recipe)
    _refuse_shape(recipe, maps, 4, "maps [1, K, h, w]")
    target = HeatmapTarget(stride=stride_of(maps, size), sigma=sigma, decode=recipe.decode)
    return HeatmapObjective(target=target, codec=recipe.heatmap_codec(), name=recipe.loss)


def _paf(recipe: Recipe, network: nn.Module, size: Size, sigma: float) -> Objective:
    maps, _ = outputs_of(network, size, recipe)
    limbs = recipe.spec().skeleton.limb_indices()
    target = SceneTarget(stride=stride_of(maps, size), sigma=sigma, limbs=limbs)
    return SceneObjective(target=target, codec=recipe.heatmap_codec())


def _regression(recipe: Recipe, network: nn.Module, size: Size, sigma: float) -> Objective:
    (coordinates,) = outputs_of(network, size, recipe)
    _refuse_shape(recipe, coordinates, 3, "coordinates [1, K, 2 or 3]")
    return RegressionObjective(target=RegressionTarget(), name=recipe.loss, sigma=sigma)


def _refuse_shape(recipe: Recipe, found: Tensor, axes: int, wanted: str) -> None:
    if found.ndim != axes:
        raise UsageError(
            f"{recipe.model} gives {list(found.shape)}, codec = {recipe.codec!r} wants {wanted}; "
            "correct the recipe's codec"
        )


OBJECTIVES: dict[str, Callable[[Recipe, nn.Module, Size, float], Objective]] = {
    "heatmap": _heatmap,
    "paf": _paf,
    "regression": _regression,
}


@torch.no_grad()
def outputs_of(network: nn.Module, size: Size, recipe: Recipe) -> tuple[Tensor, ...]:
    """What the network gives for one blank crop of `size`: a network need not say its stride, it shows it.

    UsageError when it cannot take that size, or gives not as many things as the recipe's codec has outputs.
    """
    mode, device = network.training, next(network.parameters()).device
    try:
        found = network.eval()(torch.zeros(1, 3, *size, device=device))
    except RuntimeError as error:  # what it halves and doubles again does not fit
        raise UsageError(
            f"{recipe.model} cannot take crops of {size[0]}x{size[1]} ({one_line(error, 120)}); "
            "most networks want multiples of 32: change sizes in the recipe"
        ) from error
    network.train(mode)
    outputs = (found,) if isinstance(found, Tensor) else tuple(found)
    wanted = recipe.spec().outputs
    if len(outputs) != len(wanted):
        raise UsageError(
            f"{recipe.model} gives {len(outputs)} outputs, codec = {recipe.codec!r} has {len(wanted)} "
            f"({', '.join(wanted)}); correct the recipe's codec"
        )
    return outputs


def stride_of(
    maps: Tensor,  # [B, K, h, w]
    size: Size,
) -> int:
    """How many pixels of a crop a heatmap cell is wide. UsageError where the maps do not cover it evenly."""
    height, width = maps.shape[2:]
    stride = int(size[0] // height)
    if size != (height * stride, width * stride):
        raise UsageError(f"crops of {size[0]}x{size[1]} give maps of {height}x{width}, which do not cover them evenly")
    return stride
