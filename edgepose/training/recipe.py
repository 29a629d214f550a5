"""A recipe: everything that decides what a training run computes, as one flat TOML file.

`edgepose train lite --data ... --out DIR` reads `edgepose/recipes/lite.toml`; a path reads a file of yours.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from edgepose.artifacts.spec import CodecSpec, CropSpec, InputSpec, ModelSpec, read_spec_toml
from edgepose.datasets.augment import AugmentOptions
from edgepose.errors import UsageError, nearest
from edgepose.pose.geometry import Size
from edgepose.pose.skeletons import skeleton_from

FOLDER = Path(__file__).resolve().parents[1] / "recipes"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """sizes, epochs, batch: one entry a stage; the resolution grows from stage to stage.

    lr: of the head; the trunk learns at lr * trunk_lr. warmup: share of all steps. lr_end: share of lr that
    the cosine ends on. ema: decay per step. freeze: leading blocks of the trunk that stay as they are.
    sigma: heatmap cells at the last size; smaller sizes use sigma * sqrt(size / last size).
    amp: none, bf16 or fp16 autocast. Augmentation as in `AugmentOptions`.
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
    padding: float = 1.25
    amp: str = "none"
    seed: int = 1
    scale: float = 0.25
    rotation_deg: float = 30.0
    rotate: float = 0.7
    shift: float = 0.04
    mirror: float = 0.5
    half_body: float = 0.25
    color: float = 0.2

    def augment(self) -> AugmentOptions:
        return AugmentOptions(**{item.name: getattr(self, item.name) for item in fields(AugmentOptions)})

    def spec(self) -> ModelSpec:
        """The contract of the network this recipe trains."""
        return ModelSpec(
            name=self.model,
            skeleton=skeleton_from(self.skeleton, "recipe"),
            input=InputSpec(size=self.sizes[-1]),
            codec=CodecSpec(sigma=self.sigma),
            crop=CropSpec(padding=self.padding),
        )

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


def _value(name: str, kind: str, value: Any, where: str) -> Any:
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind.startswith("tuple") and isinstance(value, list):
        nested = tuple(tuple(item) if isinstance(item, list) else item for item in value)
        flat = [part for item in nested for part in (item if isinstance(item, tuple) else (item,))]
        if nested and all(isinstance(part, int) and part > 0 for part in flat):
            return nested
    elif type(value).__name__ == kind:
        return value
    raise UsageError(f"{where}: {name} = {value!r}; expected {kind}")


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
        if len(size) != 2 or size[0] % 32 or size[1] % 32:
            raise UsageError(f"{where}: sizes has {list(size)}; expected [height, width], multiples of 32")
    if recipe.amp not in ("none", "bf16", "fp16"):
        raise UsageError(f"{where}: amp = {recipe.amp!r}; expected none, bf16 or fp16")
    for name in ("lr", "trunk_lr", "sigma"):
        if not getattr(recipe, name) > 0:
            raise UsageError(f"{where}: {name} = {getattr(recipe, name)}; must be above 0")


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
    return recipe_from_dict(read_spec_toml(path), str(path))
