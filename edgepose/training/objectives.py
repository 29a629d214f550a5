"""Objectives: the targets and the loss of a network, and how its outputs are decoded for validation.

There is one objective per kind of output. The training loop only uses what all of them have, and knows nothing of
heatmaps, coordinates or boxes. `objective_of` creates an objective for each stage of a recipe, because the size of
the crops determines the size of the targets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from torch import Tensor, nn

from edgepose._checks import Array
from edgepose.codecs.heatmap import HeatmapCodec
from edgepose.datasets.people_feed import SceneBoxItems
from edgepose.datasets.samples import PoseData
from edgepose.datasets.scene_feed import SceneItems, SceneTarget
from edgepose.datasets.scene_options import SceneOptions
from edgepose.datasets.targets import HeatmapTarget, RegressionTarget
from edgepose.datasets.torch_feed import CropItems, Items, TrainingItems
from edgepose.errors import UsageError
from edgepose.kernels import heatmap_peak, regress_to_image
from edgepose.pose.geometry import Size
from edgepose.training.boxes import varifocal_giou
from edgepose.training.losses import STAGE_LOSSES, scene_mse
from edgepose.training.outputs import outputs_of, stride_of
from edgepose.training.recipe import Recipe
from edgepose.training.regressors import REGRESSION_LOSSES, WHOLE_FROM, RegressionBatch
from edgepose.training.teacher import TeacherNetwork

if TYPE_CHECKING:
    from typing import TypeAlias


class JointObjective(Protocol):
    """What the training loop needs to know about the output of a network with joints. `objective_of` creates it."""

    @property
    def measure(self) -> str:
        """What validation measures, and log.csv calls it."""
        ...

    @property
    def whole_from(self) -> float:
        """The fraction of the training after which all parts are trained. Earlier epochs cannot become best.pt."""
        ...

    def items(self, data: Sequence[PoseData], recipe: Recipe, size: Size, epoch: int) -> Items:
        """Return the crops of an epoch, with the targets that `loss` needs.

        Args:
            data: The training data.
            recipe: The recipe, which has the augmentation options.
            size: Height and width of the crops in pixels.
            epoch: The number of the epoch, from 0; it selects the random augmentation.
        """
        ...

    def loss(
        self,
        network: nn.Module,  # in training mode
        crops: Tensor,  # [B, 3, H, W]
        target: Sequence[Tensor],
        progress: float = 1.0,
    ) -> Tensor:
        """Run the network on a batch and return the scalar loss.

        Args:
            network: The network in training mode.
            crops: Crops [B, 3, H, W].
            target: The targets of the batch, as the items return them after the crop.
            progress: The completed part of the training, 0 to 1. Some losses add steps during training.
        """
        ...

    def joints(
        self,
        network: nn.Module,  # in evaluation mode
        crops: Tensor,  # [B, 3, H, W]
        inverse: Array,  # [B, 2, 3], crop -> image
    ) -> Array:
        """Run the network on a batch and decode its outputs.

        Args:
            network: The network in evaluation mode.
            crops: Crops [B, 3, H, W].
            inverse: Matrices [B, 2, 3] from crop to image coordinates.

        Returns:
            Joints [B, K, 2] float32 in image pixels.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class HeatmapObjective:
    """The objective of networks that predict heatmaps [B, K, h, w]; in training mode a tuple of one per stage.

    Attributes:
        target: Draws the target heatmaps.
        codec: Decodes the heatmaps.
        name: A key of `STAGE_LOSSES`.
        teacher: A network whose heatmaps count as targets, too.
        share: The share of the teacher's heatmaps in the loss.
    """

    measure: ClassVar[str] = "pck@0.2"
    whole_from: ClassVar[float] = 0.0

    target: HeatmapTarget
    codec: HeatmapCodec
    name: str = "mse"
    teacher: TeacherNetwork | None = None
    share: float = 0.5

    def items(self, data: Sequence[PoseData], recipe: Recipe, size: Size, epoch: int) -> CropItems:
        """See `JointObjective.items`."""
        spec, options = recipe.training_spec(), recipe.augment()
        return TrainingItems(data, spec, size, self.target, recipe.seed, epoch, options)

    def loss(self, network: nn.Module, crops: Tensor, target: Sequence[Tensor], progress: float = 1.0) -> Tensor:
        """See `JointObjective.loss`."""
        found = network(crops)
        heatmaps, weight = target
        stages, compare = (found,) if isinstance(found, Tensor) else found, STAGE_LOSSES[self.name]
        loss = compare(stages, heatmaps, weight)
        if self.teacher is None:
            return loss
        taught = compare(stages, *self.teacher.heatmaps(crops, (heatmaps.shape[2], heatmaps.shape[3])))
        return (1 - self.share) * loss + self.share * taught

    def joints(self, network: nn.Module, crops: Tensor, inverse: Array) -> Array:
        """See `JointObjective.joints`."""
        return _peaks(network(crops), crops, inverse, self.codec)


@dataclass(frozen=True, kw_only=True)
class SceneObjective:
    """The objective of networks that predict heatmaps and part affinity fields, supervised at every stage.

    `joints` takes the highest peak of each heatmap. If the crop shows several people, that peak may belong to another
    person. This is accurate enough to compare epochs, but not to report results.

    Attributes:
        target: Draws the target heatmaps and fields.
        codec: Decodes the heatmaps.
    """

    measure: ClassVar[str] = "pck@0.2"
    whole_from: ClassVar[float] = 0.0

    target: SceneTarget
    codec: HeatmapCodec

    def items(self, data: Sequence[PoseData], recipe: Recipe, size: Size, epoch: int) -> CropItems:
        """See `JointObjective.items`."""
        spec, options = recipe.training_spec(), recipe.augment()
        return SceneItems(data, spec, size, self.target, recipe.seed, epoch, options)

    def loss(self, network: nn.Module, crops: Tensor, target: Sequence[Tensor], progress: float = 1.0) -> Tensor:
        """See `JointObjective.loss`."""
        return scene_mse(network(crops), *target)

    def joints(self, network: nn.Module, crops: Tensor, inverse: Array) -> Array:
        """See `JointObjective.joints`."""
        return _peaks(network(crops)[0], crops, inverse, self.codec)


@dataclass(frozen=True, kw_only=True)
class RegressionObjective:
    """The objective of networks that predict coordinates.

    Attributes:
        target: Encodes the target coordinates.
        name: A key of `REGRESSION_LOSSES`.
        sigma: Standard deviation of target Gaussians in cells, for networks that also predict heatmaps.
    """

    measure: ClassVar[str] = "pck@0.2"

    target: RegressionTarget
    name: str
    sigma: float

    @property
    def whole_from(self) -> float:
        """See `JointObjective.whole_from`."""
        return WHOLE_FROM.get(self.name, 0.0)

    def items(self, data: Sequence[PoseData], recipe: Recipe, size: Size, epoch: int) -> CropItems:
        """See `JointObjective.items`."""
        spec, options = recipe.training_spec(), recipe.augment()
        return TrainingItems(data, spec, size, self.target, recipe.seed, epoch, options)

    def loss(self, network: nn.Module, crops: Tensor, target: Sequence[Tensor], progress: float = 1.0) -> Tensor:
        """See `JointObjective.loss`."""
        truth, weight = target
        batch = RegressionBatch(crops=crops, truth=truth, weight=weight, sigma=self.sigma, progress=progress)
        return REGRESSION_LOSSES[self.name](network, batch)

    def joints(self, network: nn.Module, crops: Tensor, inverse: Array) -> Array:
        """See `JointObjective.joints`."""
        found = network(crops).detach().float().cpu().numpy()
        return regress_to_image(found, inverse, (crops.shape[2], crops.shape[3]), self.target.range)[..., :2]


@dataclass(frozen=True, kw_only=True)
class BoxObjective:
    """The objective of person detectors, which learn the boxes of everyone in composed scenes.

    Attributes:
        scenes: How scenes are composed.
    """

    measure: ClassVar[str] = "box_ap50"
    whole_from: ClassVar[float] = 0.0

    scenes: SceneOptions

    def items(self, data: Sequence[PoseData], recipe: Recipe, size: Size, epoch: int) -> Items:
        """Return the scenes of an epoch with their boxes, see `JointObjective.items`."""
        return SceneBoxItems(data, recipe.spec(), size, recipe.seed, epoch, self.scenes)

    def loss(self, network: nn.Module, crops: Tensor, target: Sequence[Tensor], progress: float = 1.0) -> Tensor:
        """See `JointObjective.loss`."""
        boxes, kinds = target
        return varifocal_giou(network(crops), boxes, kinds)


Objective: TypeAlias = JointObjective | BoxObjective


def _peaks(
    heatmaps: Tensor,  # [B, K, h, w]
    crops: Tensor,  # [B, 3, H, W]
    inverse: Array,  # [B, 2, 3]
    codec: HeatmapCodec,
) -> Array:
    """Return the peaks [B, K, 2] float32 in image pixels."""
    maps, size = heatmaps.detach().float().cpu().numpy(), (crops.shape[2], crops.shape[3])
    return heatmap_peak(maps, inverse, size, codec.refine, sigma=codec.sigma)[..., :2]


def objective_of(recipe: Recipe, network: nn.Module, size: Size, sigma: float) -> Objective:
    """Create the objective of a recipe for one stage.

    Args:
        recipe: The recipe.
        network: The network that the recipe trains.
        size: Height and width of the crops of the stage in pixels.
        sigma: Standard deviation of the target Gaussians of the stage in heatmap cells.

    Raises:
        UsageError: The outputs of the network do not fit the codec of the recipe, or its heatmaps do not cover the
            crops evenly.
    """
    return OBJECTIVES[recipe.codec](recipe, network, size, sigma)


def _heatmap(recipe: Recipe, network: nn.Module, size: Size, sigma: float) -> Objective:
    (maps,) = outputs_of(network, size, recipe)
    _refuse_shape(recipe, maps, 4, "maps [1, K, h, w]")
    target = HeatmapTarget(stride=stride_of(maps, size), sigma=sigma, decode=recipe.decode)
    path = recipe.teacher_network
    return HeatmapObjective(
        target=target,
        codec=recipe.heatmap_codec(),
        name=recipe.loss,
        teacher=TeacherNetwork(Path(path), recipe.spec(), recipe.teacher_floor) if path else None,
        share=recipe.teacher_heatmaps,
    )


def _paf(recipe: Recipe, network: nn.Module, size: Size, sigma: float) -> Objective:
    maps, _ = outputs_of(network, size, recipe)
    limbs = recipe.spec().skeleton.limb_indices()
    target = SceneTarget(stride=stride_of(maps, size), sigma=sigma, limbs=limbs)
    return SceneObjective(target=target, codec=recipe.heatmap_codec())


def _regression(recipe: Recipe, network: nn.Module, size: Size, sigma: float) -> Objective:
    (coordinates,) = outputs_of(network, size, recipe)
    _refuse_shape(recipe, coordinates, 3, "coordinates [1, K, 2 or 3]")
    return RegressionObjective(target=RegressionTarget(), name=recipe.loss, sigma=sigma)


def _onestage(recipe: Recipe, network: nn.Module, size: Size, sigma: float) -> Objective:
    (rows,) = outputs_of(network, size, recipe)
    _refuse_shape(recipe, rows, 3, "candidates [1, A, 5]")
    return BoxObjective(scenes=recipe.scene())


def _refuse_shape(recipe: Recipe, found: Tensor, axes: int, wanted: str) -> None:
    if found.ndim != axes:
        raise UsageError(
            f"{recipe.model} returns {list(found.shape)}, but codec = {recipe.codec!r} needs {wanted}; "
            "correct codec in the recipe"
        )


OBJECTIVES: dict[str, Callable[[Recipe, nn.Module, Size, float], Objective]] = {
    "heatmap": _heatmap,
    "onestage": _onestage,
    "paf": _paf,
    "regression": _regression,
}
