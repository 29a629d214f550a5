"""Recipes: flat TOML files that hold every option that influences the result of a training run.

`edgepose train lite --data ... --out DIR` reads `edgepose/recipes/lite.toml`. A path that ends in .toml reads that
file.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from edgepose.artifacts.quantization import METHODS, QuantizeOptions
from edgepose.artifacts.spec import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    CropSpec,
    InputSpec,
    ModelSpec,
    read_toml,
)
from edgepose.codecs import codec_named
from edgepose.codecs.heatmap import HeatmapCodec
from edgepose.codecs.refine import REFINEMENTS
from edgepose.datasets.augment import AugmentOptions
from edgepose.errors import UsageError, nearest
from edgepose.pose.geometry import Size
from edgepose.pose.skeletons import skeleton_from

# codec -> names of its losses. They repeat the keys in training.losses and training.regressors, because this module
# must not import torch.
LOSSES = {"heatmap": ("mse", "ohkm"), "paf": ("mse",), "regression": ("l2", "cascade", "path", "own_path", "refined")}
FOLDER = Path(__file__).resolve().parents[1] / "recipes"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The options of a training run.

    Training can have several stages of increasing resolution. `sizes`, `epochs` and `batch` have one entry per stage.

    Attributes:
        model: The name of the network, see `edgepose.models`.
        skeleton: The name of a skeleton, or the path of a skeleton file.
        imagenet: Whether the trunk starts from ImageNet weights.
        sizes: (height, width) of the crops of each stage in pixels.
        epochs: The number of epochs of each stage.
        batch: The batch size of each stage, over all processes.
        lr: The learning rate of the head.
        trunk_lr: The learning rate of the trunk relative to `lr`.
        lr_end: The final learning rate of the cosine relative to `lr`.
        warmup: The fraction of all steps in which the learning rate grows linearly.
        weight_decay: Weight decay of AdamW for matrices and kernels. Biases and norms have none.
        clip_grad: The maximum norm of the gradient.
        ema: The decay per step of the exponential moving average of the weights.
        freeze: The number of leading blocks of an EfficientNet-Lite trunk that are not trained.
        sigma: Standard deviation of the target Gaussians in heatmap cells at the last size. A smaller size uses
            sigma * sqrt(size / last size).
        codec: The output of the network: "heatmap", "regression", or "paf" (heatmaps and part affinity fields of all
            people in a scene).
        loss: The loss, summed over the stages of a network that is supervised at several stages. For "heatmap" it is
            "mse" or "ohkm" (online hard keypoint mining), and for "paf" "mse"; see `training.losses`. For "regression"
            it is "l2", "cascade", "path", "own_path" or "refined"; see `training.regressors`.
        decode: The refinement of heatmap peaks, see `codecs.refine`.
        padding: Size of the crop relative to the bounding box of the person. For "paf" it only sets how large people
            appear in training, because the trained network sees whole images.
        keep_float: Patterns of node names that the contract excludes from INT8.
        calibration: The method of the contract that turns observed activations into quantization ranges.
        mean: Mean of the RGB input in 0..255, as the weights of the trunk expect it.
        std: Standard deviation of the RGB input in 0..255, as the weights of the trunk expect it.
        amp: "none", or autocast to "bf16" or "fp16".
        seed: The seed of the weights, the order of the samples and the augmentation.
        scale: See `AugmentOptions`.
        rotation_deg: See `AugmentOptions`.
        rotate: See `AugmentOptions`.
        shift: See `AugmentOptions`.
        mirror: See `AugmentOptions`.
        half_body: See `AugmentOptions`.
        color: See `AugmentOptions`.
    """

    model: str
    skeleton: str = "lsp14"
    imagenet: bool = False
    sizes: tuple[tuple[int, int], ...] = ((256, 192),)
    epochs: tuple[int, ...] = (10,)
    batch: tuple[int, ...] = (32,)
    lr: float = 1e-3
    trunk_lr: float = 1.0
    lr_end: float = 0.0
    warmup: float = 0.02
    weight_decay: float = 0.01
    clip_grad: float = 1.0
    ema: float = 0.999
    freeze: int = 0
    sigma: float = 2.0
    codec: str = "heatmap"
    loss: str = "mse"
    decode: str = "quarter"
    padding: float = 1.25
    keep_float: tuple[str, ...] = ()
    calibration: str = METHODS[0]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    amp: str = "none"
    seed: int = 1
    scale: float = AugmentOptions.scale
    rotation_deg: float = AugmentOptions.rotation_deg
    rotate: float = AugmentOptions.rotate
    shift: float = AugmentOptions.shift
    mirror: float = AugmentOptions.mirror
    half_body: float = AugmentOptions.half_body
    color: float = AugmentOptions.color

    def augment(self) -> AugmentOptions:
        """Return the augmentation options of the recipe."""
        return AugmentOptions(**{item.name: getattr(self, item.name) for item in fields(AugmentOptions)})

    def spec(self) -> ModelSpec:
        """Return the contract of the network that this recipe trains."""
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
        """Return the codec that decodes heatmaps in the contract or, for "paf", in validation only."""
        return HeatmapCodec(sigma=self.sigma, refine=self.decode)

    def training_spec(self) -> ModelSpec:
        """Return the contract with the padding of the training crops, which validation uses too."""
        return replace(self.spec(), crop=CropSpec(padding=self.padding))

    def stages(self) -> list[tuple[Size, int, float]]:
        """Return (size, batch, sigma in heatmap cells) for each epoch."""
        last = self.sizes[-1][0]
        return [
            (size, batch, self.sigma * (size[0] / last) ** 0.5)
            for size, count, batch in zip(self.sizes, self.epochs, self.batch, strict=True)
            for _ in range(count)
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the fields of the recipe as a dictionary."""
        return asdict(self)


_EXPECTED = {
    "str": "a string",
    "bool": "true or false",
    "int": "an integer",
    "float": "a number",
    "tuple[float, float, float]": "three numbers, one per channel",
    "tuple[str, ...]": "a list of strings",
    "tuple[int, ...]": "a list of positive integers, one per stage",
    "tuple[tuple[int, int], ...]": "a list of [height, width], one per stage",
}
_POSITIVE = ("lr", "trunk_lr", "sigma", "clip_grad")
_NOT_NEGATIVE = ("weight_decay", "freeze", "seed", "scale", "rotation_deg", "shift", "color")
_SHARES = ("lr_end", "warmup", "ema", "rotate", "mirror", "half_body")


def _counts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(part) is int and part > 0 for part in value)


def _number(value: Any) -> bool:
    return type(value) in (int, float)


def _value(name: str, kind: str, value: Any, where: str) -> Any:
    """Convert a TOML value to the type of the field `name`; `kind` is the annotation in the class."""
    items = value if isinstance(value, list) else []
    if kind == "float" and _number(value):
        return float(value)
    if kind == "tuple[int, ...]" and _counts(value):
        return tuple(items)
    if kind == "tuple[str, ...]" and isinstance(value, list) and all(isinstance(item, str) for item in items):
        return tuple(items)
    if kind.startswith("tuple[float") and len(items) == 3 and all(map(_number, items)):
        return tuple(float(item) for item in items)
    if kind.startswith("tuple[tuple") and items and all(map(_counts, items)):
        return tuple(tuple(pair) for pair in items)
    if type(value).__name__ == kind:
        return value
    raise UsageError(f"{where}: {name} = {value!r}; expected {_EXPECTED[kind]}")


def recipe_from_dict(table: dict[str, Any], where: str) -> Recipe:
    """Check the fields of a recipe file and return the recipe.

    Args:
        table: The content of the TOML file.
        where: The name of the file, for error messages.

    Raises:
        UsageError: A key is unknown or has a value that is not allowed; the message names the key.
    """
    kinds = {item.name: str(item.type) for item in fields(Recipe)}
    for key in table:
        if key not in kinds:
            raise UsageError(f"{where}: unknown key {key!r}{nearest(key, kinds)}")
    if "model" not in table:
        raise UsageError(f"{where}: the recipe has no model; add for example model = 'simplebaseline-lite'")
    recipe = Recipe(**{key: _value(key, kinds[key], value, where) for key, value in table.items()})
    _check(recipe, where)
    return recipe


def _check(recipe: Recipe, where: str) -> None:
    if not len(recipe.sizes) == len(recipe.epochs) == len(recipe.batch):
        raise UsageError(f"{where}: sizes, epochs and batch must have the same length, one entry per stage")
    for size in recipe.sizes:
        if len(size) != 2 or size[0] % 4 or size[1] % 4:  # `objective_of` checks what the network needs
            raise UsageError(f"{where}: sizes has {list(size)}; expected [height, width], multiples of 4")
    if recipe.calibration not in METHODS:
        raise UsageError(f"{where}: calibration = {recipe.calibration!r}{nearest(recipe.calibration, METHODS)}")
    if recipe.decode not in REFINEMENTS:
        raise UsageError(f"{where}: decode = {recipe.decode!r}{nearest(recipe.decode, REFINEMENTS)}")
    if recipe.codec not in LOSSES:
        raise UsageError(f"{where}: codec = {recipe.codec!r}; expected {' or '.join(LOSSES)}")
    if recipe.loss not in LOSSES[recipe.codec]:
        known = " or ".join(LOSSES[recipe.codec])
        raise UsageError(f"{where}: loss = {recipe.loss!r}; expected {known} for codec = {recipe.codec!r}")
    if recipe.amp not in ("none", "bf16", "fp16"):
        raise UsageError(f"{where}: amp = {recipe.amp!r}; expected none, bf16 or fp16")
    if not all(0 < value < math.inf for value in recipe.std):
        raise UsageError(f"{where}: std = {list(recipe.std)}; every value must be above 0")
    if not all(map(math.isfinite, recipe.mean)):
        raise UsageError(f"{where}: mean = {list(recipe.mean)}; expected finite numbers")
    skeleton_from(recipe.skeleton, where)
    _check_ranges(recipe, where)


def _check_ranges(recipe: Recipe, where: str) -> None:
    limits = [(_POSITIVE, 0.0, math.inf, "above 0"), (_NOT_NEGATIVE, 0.0, math.inf, "0 or more")]
    limits += [(_SHARES, 0.0, 1.0, "0 to 1"), (("padding",), 1.0, math.inf, "1 or more")]
    for names, low, high, text in limits:
        for name in names:
            value = getattr(recipe, name)
            if not low <= value <= high or math.isinf(value) or (value == 0 and names is _POSITIVE):
                raise UsageError(f"{where}: {name} = {value}; expected {text}")


def recipe_names() -> list[str]:
    """Return the names of the recipes that edgepose includes, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read_recipe(name: str) -> Recipe:
    """Read a recipe.

    Args:
        name: The name of an included recipe, or the path of a .toml file.

    Raises:
        UsageError: There is no such recipe, or it has a value that is not allowed.
    """
    path = Path(name)
    if path.suffix != ".toml":
        if name not in recipe_names():
            raise UsageError(
                f"unknown recipe {name!r}{nearest(name, recipe_names())}; or pass a path that ends in .toml"
            )
        path = FOLDER / f"{name}.toml"
    return recipe_from_dict(read_toml(path, "recipe"), str(path))
