"""A recipe: everything that decides what a training run computes, as one flat TOML file.

`edgepose train lite --data ... --out DIR` reads `edgepose/recipes/lite.toml`; a path reads a file of yours.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from edgepose.artifacts.quantization import METHODS, QuantizeOptions
from edgepose.artifacts.spec import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    CropSpec,
    InputSpec,
    ModelSpec,
    read_toml,
)
from edgepose.artifacts.tables import choose, read_as, refuse_unknown
from edgepose.codecs import codec_named
from edgepose.codecs.heatmap import HeatmapCodec
from edgepose.codecs.refine import REFINEMENTS
from edgepose.datasets.augment import AugmentOptions
from edgepose.errors import UsageError, nearest
from edgepose.pose.geometry import Size
from edgepose.pose.skeletons import skeleton_from

# codec -> losses: the names in training.losses and training.regressors; this file needs no torch
LOSSES = {"heatmap": ("mse", "ohkm"), "paf": ("mse",), "regression": ("l2", "cascade", "path", "own_path", "refined")}
FOLDER = Path(__file__).resolve().parents[1] / "recipes"


Count = Annotated[int, Meta(gt=0)]
Stages = Annotated[tuple[Count, ...], Meta(min_length=1)]
Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training run.

    Attributes:
        model: The name of the network, see `edgepose.models`.
        skeleton: The name of the skeleton.
        imagenet: Whether the trunk starts from ImageNet weights.
        sizes: (height, width) of the crops, pixels, one per stage; the resolution grows from stage to stage.
        epochs: The number of epochs, one per stage.
        batch: The number of crops per step, one per stage.
        lr: The learning rate of the head.
        trunk_lr: The trunk learns at lr * trunk_lr.
        lr_end: The share of `lr` that the cosine schedule ends on.
        warmup: The share of all steps in which the learning rate rises.
        weight_decay: The weight decay of the optimizer.
        clip_grad: The highest norm of the gradient.
        ema: The decay per step of the exponential moving average of the weights.
        freeze: The number of leading blocks of the trunk that are not trained.
        sigma: The standard deviation of the Gaussians at the last size, heatmap cells; smaller sizes use
            sigma * sqrt(size / last size).
        codec: The codec of the network: 'heatmap', 'paf' (joint maps and part affinity fields of everyone in a
            scene) or 'regression'.
        loss: The loss over all stages of the network: for heatmaps 'mse' or 'ohkm' (online hard keypoint mining), see
            `training.losses`; for regression 'l2', 'cascade', 'path', 'own_path' or 'refined', see
            `training.regressors`.
        decode: How a peak is refined, see `codecs.refine`.
        padding: The factor that the box around a person grows by before the crop is cut. For 'paf' it decides only
            how large people are in training; in use the network sees whole images.
        keep_float: Name patterns of nodes that the contract keeps out of INT8.
        calibration: The contract's method of choosing quantization ranges.
        mean: The mean of the input, RGB, 0..255, as the trunk's weights expect it.
        std: The standard deviation of the input, as `mean`.
        amp: Mixed precision in training: 'none', 'bf16' or 'fp16'.
        seed: The seed of everything random.
        scale: Augmentation, as the rest, see `AugmentOptions`.
    """

    model: str
    skeleton: str = "lsp14"
    imagenet: bool = False
    sizes: Annotated[tuple[tuple[Count, Count], ...], Meta(min_length=1)] = ((256, 192),)
    epochs: Stages = (10,)
    batch: Stages = (32,)
    lr: Positive = 1e-3
    trunk_lr: Positive = 1.0
    lr_end: Share = 0.0
    warmup: Share = 0.02
    weight_decay: NotNegative = 0.01
    clip_grad: Positive = 1.0
    ema: Share = 0.999
    freeze: Annotated[int, Meta(ge=0)] = 0
    sigma: Positive = 2.0
    codec: str = "heatmap"
    loss: str = "mse"
    decode: str = "quarter"
    padding: Annotated[float, Meta(ge=1)] = 1.25
    keep_float: tuple[str, ...] = ()
    calibration: str = METHODS[0]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[Positive, Positive, Positive] = IMAGENET_STD
    amp: str = "none"
    seed: Annotated[int, Meta(ge=0)] = 1
    scale: NotNegative = AugmentOptions.scale
    rotation_deg: NotNegative = AugmentOptions.rotation_deg
    rotate: Share = AugmentOptions.rotate
    shift: NotNegative = AugmentOptions.shift
    mirror: Share = AugmentOptions.mirror
    half_body: Share = AugmentOptions.half_body
    color: NotNegative = AugmentOptions.color

    def augment(self) -> AugmentOptions:
        """Return the options of augmentation."""
        return AugmentOptions(**{item.name: getattr(self, item.name) for item in fields(AugmentOptions)})

    def spec(self) -> ModelSpec:
        """The contract of the network this recipe trains."""
        skeleton, codec = skeleton_from(self.skeleton, "recipe"), codec_named(self.codec)
        return ModelSpec(
            name=self.model,
            skeleton=skeleton.linked() if codec.needs_limbs else skeleton,
            input=InputSpec(size=self.sizes[-1], mean=self.mean, std=self.std),
            codec=self.heatmap_codec() if codec is HeatmapCodec else codec(),
            crop=CropSpec(padding=1.0 if codec.finds_people else self.padding),
            quantize=QuantizeOptions(keep_float=self.keep_float, method=self.calibration),
            outputs=codec.output_names,
        )

    def heatmap_codec(self) -> HeatmapCodec:
        """How the recipe's maps are decoded: as its contract says, or for validation where that says nothing."""
        return HeatmapCodec(sigma=self.sigma, refine=self.decode)

    def training_spec(self) -> ModelSpec:
        """As `spec`, with the padding of training crops; validation takes them too."""
        return replace(self.spec(), crop=CropSpec(padding=self.padding))

    def stages(self) -> list[tuple[Size, int, float]]:
        """For each epoch: (size, batch, sigma in heatmap cells)."""
        last = self.sizes[-1][0]
        return [
            (size, batch, self.sigma * (size[0] / last) ** 0.5)
            for size, count, batch in zip(self.sizes, self.epochs, self.batch, strict=True)
            for _ in range(count)
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as a JSON value."""
        return asdict(self)


def recipe_from_dict(table: dict[str, Any], where: str) -> Recipe:
    """Read and check a recipe.

    Args:
        table: The table of its TOML file.
        where: The source that errors name.

    Returns:
        The recipe.

    Raises:
        UsageError: If a key is unknown, or a value is wrong.
        SpecError: If no skeleton has that name.
    """
    refuse_unknown(Recipe, table, where, error=UsageError)
    if "model" not in table:
        raise UsageError(f"{where}: the recipe names no model; add model = 'simplebaseline-lite'")
    recipe = read_as(Recipe, table, where, error=UsageError)
    _check(recipe, where)
    return recipe


def _check(recipe: Recipe, where: str) -> None:
    if not len(recipe.sizes) == len(recipe.epochs) == len(recipe.batch):
        raise UsageError(f"{where}: sizes, epochs and batch need one entry per stage each")
    for size in recipe.sizes:
        if size[0] % 4 or size[1] % 4:  # most networks want more: `objective_of` finds out
            raise UsageError(f"{where}: sizes has {list(size)}; expected [height, width], multiples of 4")
    choose(recipe.calibration, METHODS, "calibration", where, UsageError)
    choose(recipe.decode, REFINEMENTS, "decode", where, UsageError)
    choose(recipe.codec, LOSSES, "codec", where, UsageError)
    choose(recipe.loss, LOSSES[recipe.codec], f"codec {recipe.codec!r}: loss", where, UsageError)
    choose(recipe.amp, ("none", "bf16", "fp16"), "amp", where, UsageError)
    skeleton_from(recipe.skeleton, where)


def recipe_names() -> list[str]:
    """The recipes that ship."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read_recipe(name: str) -> Recipe:
    """A recipe by the name of one that ships, or by the path of a .toml file."""
    path = Path(name)
    if path.suffix != ".toml":
        if name not in recipe_names():
            raise UsageError(f"unknown recipe {name!r}{nearest(name, recipe_names())}; or give a .toml file")
        path = FOLDER / f"{name}.toml"
    return recipe_from_dict(read_toml(path, "recipe"), str(path))
