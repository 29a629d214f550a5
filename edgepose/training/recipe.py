"""A recipe: everything that decides what a training run computes, as one flat TOML file.

`edgepose train lite --data ... --out DIR` reads `edgepose/recipes/lite.toml`; a path reads a file of yours.
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

# codec -> losses: the names in training.losses and training.regressors; this file needs no torch
LOSSES = {"heatmap": ("mse", "ohkm"), "paf": ("mse",), "regression": ("l2", "cascade", "path", "own_path", "refined")}
FOLDER = Path(__file__).resolve().parents[1] / "recipes"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """sizes, epochs, batch: one entry a stage; the resolution grows from stage to stage.

    lr: of the head; the trunk learns at lr * trunk_lr. warmup: share of all steps. lr_end: share of lr that
    the cosine ends on. ema: decay per step. freeze: leading blocks of the trunk that stay as they are.
    sigma: heatmap cells at the last size; smaller sizes use sigma * sqrt(size / last size).
    codec: what the network gives: heatmap, paf (maps and part affinity fields of everybody in a scene) or regression.
    loss: over all stages of the network. For heatmaps mse, or ohkm (online hard keypoint mining), see
    `training.losses`; for regression l2, cascade, path, own_path or refined, see `training.regressors`.
    keep_float, calibration: node-name patterns that the contract keeps out of INT8, and its method of choosing ranges.
    padding: of the box around the person that a crop is centered on. For paf it is a training matter only: it
    decides how large people are; in use the network sees whole images.
    decode: how a peak is refined, see `codecs.refine`. mean, std: of the input, RGB, 0..255, as the trunk's
    weights want them. amp: none, bf16 or fp16 autocast. Augmentation as in `AugmentOptions`.
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
        return asdict(self)


_EXPECTED = {
    "str": "a text",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "tuple[float, float, float]": "three numbers, one a channel",
    "tuple[str, ...]": "a list of texts",
    "tuple[int, ...]": "a list of positive whole numbers, one a stage",
    "tuple[tuple[int, int], ...]": "a list of [height, width], one a stage",
}
_POSITIVE = ("lr", "trunk_lr", "sigma", "clip_grad")
_NOT_NEGATIVE = ("weight_decay", "freeze", "seed", "scale", "rotation_deg", "shift", "color")
_SHARES = ("lr_end", "warmup", "ema", "rotate", "mirror", "half_body")


def _counts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(part) is int and part > 0 for part in value)


def _number(value: Any) -> bool:
    return type(value) in (int, float)


def _value(name: str, kind: str, value: Any, where: str) -> Any:
    """A TOML value as the type of the recipe's field `name`, `kind` as it is written in the class."""
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
    """A checked recipe; UsageError names the key that is wrong."""
    kinds = {item.name: str(item.type) for item in fields(Recipe)}
    for key in table:
        if key not in kinds:
            raise UsageError(f"{where}: unknown key {key!r}{nearest(key, kinds)}")
    if "model" not in table:
        raise UsageError(f"{where}: the recipe names no model; add model = 'simplebaseline-lite'")
    recipe = Recipe(**{key: _value(key, kinds[key], value, where) for key, value in table.items()})
    _check(recipe, where)
    return recipe


def _check(recipe: Recipe, where: str) -> None:
    if not len(recipe.sizes) == len(recipe.epochs) == len(recipe.batch):
        raise UsageError(f"{where}: sizes, epochs and batch need one entry a stage each")
    for size in recipe.sizes:
        if len(size) != 2 or size[0] % 4 or size[1] % 4:  # most networks want more: `objective_of` finds out
            raise UsageError(f"{where}: sizes has {list(size)}; expected [height, width], multiples of 4")
    if recipe.calibration not in METHODS:
        raise UsageError(f"{where}: calibration = {recipe.calibration!r}{nearest(recipe.calibration, METHODS)}")
    if recipe.decode not in REFINEMENTS:
        raise UsageError(f"{where}: decode = {recipe.decode!r}{nearest(recipe.decode, REFINEMENTS)}")
    if recipe.codec not in LOSSES:
        raise UsageError(f"{where}: codec = {recipe.codec!r}; expected {' or '.join(LOSSES)}")
    if recipe.loss not in LOSSES[recipe.codec]:
        known = " or ".join(LOSSES[recipe.codec])
        raise UsageError(f"{where}: loss = {recipe.loss!r}; codec {recipe.codec!r} has {known}")
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
