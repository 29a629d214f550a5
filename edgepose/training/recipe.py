"""Recipes: flat TOML files that hold every option that influences the result of a training run.

`edgepose train lite --data ... --out DIR` reads `edgepose/recipes/lite.toml`. A path that ends in .toml reads that
file.
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
from edgepose.codecs.codec import Codec
from edgepose.codecs.heatmap import HeatmapCodec
from edgepose.codecs.onestage import OnestageCodec
from edgepose.codecs.refine import REFINEMENTS
from edgepose.datasets.augment import AugmentOptions
from edgepose.datasets.scene_options import SceneOptions
from edgepose.datasets.taught_people import TeachOptions
from edgepose.datasets.teacher import BlendOptions
from edgepose.errors import UsageError, nearest
from edgepose.pose.geometry import Size
from edgepose.pose.skeletons import PERSON, skeleton_from

# codec -> names of its losses. They repeat the keys in training.losses and training.regressors, because this module
# must not import torch.
LOSSES = {
    "heatmap": ("mse", "ohkm"),
    "onestage": ("varifocal",),
    "paf": ("mse",),
    "regression": ("l2", "cascade", "path", "own_path", "refined"),
}
GRAY = 114  # the level around the images that a person detector sees
FOLDER = Path(__file__).resolve().parents[1] / "recipes"


Count = Annotated[int, Meta(gt=0)]
Stages = Annotated[tuple[Count, ...], Meta(min_length=1)]
Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The options of a training run.

    Training can have several stages of increasing resolution. `sizes`, `epochs` and `batch` have one entry per stage.

    Attributes:
        model: The name of the network, see `edgepose.models`.
        skeleton: The name of the skeleton.
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
        codec: The output of the network: "heatmap", "regression", "paf" (heatmaps and part affinity fields of all
            people in a scene), or "onestage" (boxes of all people in a scene, without joints; the skeleton is
            "person").
        loss: The loss, summed over the stages of a network that is supervised at several stages. For "heatmap" it is
            "mse" or "ohkm" (online hard keypoint mining), and for "paf" "mse"; see `training.losses`. For "regression"
            it is "l2", "cascade", "path", "own_path" or "refined"; see `training.regressors`. For "onestage" it is
            "varifocal"; see `training.boxes`.
        score: The score that a person must exceed in the contract of a person detector.
        overlap: The largest intersection over union of two people in the contract of a person detector.
        decode: The refinement of heatmap peaks, see `codecs.refine`.
        padding: Size of the crop relative to the bounding box of the person. For "paf" it only sets how large people
            appear in training, because the trained network sees whole images.
        keep_float: Patterns of node names that the contract excludes from INT8.
        calibration: The method of the contract that turns observed activations into quantization ranges.
        mean: Mean of the RGB input in 0..255, as the weights of the trunk expect it.
        std: Standard deviation of the RGB input in 0..255, as the weights of the trunk expect it.
        amp: "none", or autocast to "bf16" or "fp16".
        seed: The seed of the weights, the order of the samples and the augmentation.
        teacher: Paths of JSON files with the joints that a teacher network found, see `datasets.teacher`. The weight of
            a joint in the loss is its confidence.
        teacher_network: Path of an ONNX file. For the codec "heatmap" it has heatmaps and a contract, and runs on every
            crop in training, see `training.teacher`. For "onestage" it is a person detector, which labels the images
            once before the first step, see `datasets.taught_people`.
        teacher_heatmaps: The share of that network's heatmaps in the loss; the rest is that of the labels.
        teacher_agree: See `BlendOptions.agree`.
        teacher_floor: See `BlendOptions.floor`. It is also the smallest peak of a heatmap of `teacher_network`.
        teacher_share: See `BlendOptions.share`.
        teacher_sure: See `TeachOptions.sure`.
        person_px: See `SceneOptions`.
        composed: See `SceneOptions`.
        bare: See `SceneOptions`.
        filled: See `SceneOptions`.
        gray: See `SceneOptions`.
        scale: See `AugmentOptions`.
        rotation_deg: See `AugmentOptions`.
        rotate: See `AugmentOptions`.
        shift: See `AugmentOptions`.
        mirror: See `AugmentOptions`.
        half_body: See `AugmentOptions`.
        quarter_turn: See `AugmentOptions`.
        upright: See `AugmentOptions`.
        color: See `AugmentOptions`.
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
    score: Share = OnestageCodec.score_threshold
    overlap: Share = 0.6
    decode: str = "quarter"
    padding: Annotated[float, Meta(ge=1)] = 1.25
    keep_float: tuple[str, ...] = ()
    calibration: str = QuantizeOptions().method
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[Positive, Positive, Positive] = IMAGENET_STD
    amp: str = "none"
    seed: Annotated[int, Meta(ge=0)] = 1
    teacher: tuple[str, ...] = ()
    teacher_network: str = ""
    teacher_heatmaps: Share = 0.5
    teacher_agree: Positive = BlendOptions.agree
    teacher_floor: Share = BlendOptions.floor
    teacher_share: Share = BlendOptions.share
    teacher_sure: Share = TeachOptions.sure
    person_px: tuple[Positive, Positive] = SceneOptions.person_px
    composed: Share = SceneOptions.composed
    bare: Share = SceneOptions.bare
    filled: Share = SceneOptions.filled
    gray: Share = SceneOptions.gray
    scale: NotNegative = AugmentOptions.scale
    rotation_deg: NotNegative = AugmentOptions.rotation_deg
    rotate: Share = AugmentOptions.rotate
    shift: NotNegative = AugmentOptions.shift
    mirror: Share = AugmentOptions.mirror
    half_body: Share = AugmentOptions.half_body
    quarter_turn: Share = AugmentOptions.quarter_turn
    upright: Share = AugmentOptions.upright
    color: NotNegative = AugmentOptions.color

    def augment(self) -> AugmentOptions:
        """Return the augmentation options of the recipe."""
        return AugmentOptions(**{item.name: getattr(self, item.name) for item in fields(AugmentOptions)})

    def scene(self) -> SceneOptions:
        """Return how the scenes of a person detector are composed."""
        return SceneOptions(**{item.name: getattr(self, item.name) for item in fields(SceneOptions)})

    def blend(self) -> BlendOptions:
        """Return how the joints of a teacher and of the data are combined."""
        return BlendOptions(agree=self.teacher_agree, floor=self.teacher_floor, share=self.teacher_share)

    @property
    def labels_people(self) -> bool:
        """Whether a person detector labels the images before training."""
        return self.codec == OnestageCodec.name and bool(self.teacher_network)

    def teacher_files(self) -> list[Path]:
        """Return the files of the teacher, whose paths may differ when a run is resumed."""
        return [Path(path) for path in (*self.teacher, self.teacher_network) if path]

    def spec(self) -> ModelSpec:
        """Return the contract of the network that this recipe trains."""
        skeleton, codec = skeleton_from(self.skeleton, "recipe"), codec_named(self.codec)
        return ModelSpec(
            name=self.model,
            skeleton=skeleton.linked() if codec.needs_limbs else skeleton,
            input=InputSpec(size=self.sizes[-1], mean=self.mean, std=self.std),
            codec=self._codec(),
            crop=self._crop(codec.finds_people),
            quantize=QuantizeOptions(keep_float=self.keep_float, method=self.calibration),
            outputs=codec.output_names,
        )

    def _codec(self) -> Codec:
        if self.codec == OnestageCodec.name:
            return OnestageCodec(score_threshold=self.score, iou_threshold=self.overlap)
        return self.heatmap_codec() if self.codec == HeatmapCodec.name else codec_named(self.codec)()

    def _crop(self, finds_people: bool) -> CropSpec:
        if self.codec == OnestageCodec.name:
            return CropSpec(padding=1.0, border_value=GRAY)
        return CropSpec(padding=1.0 if finds_people else self.padding)

    def heatmap_codec(self) -> HeatmapCodec:
        """Return the codec that decodes heatmaps in the contract or, for "paf", in validation only."""
        return HeatmapCodec(sigma=self.sigma, refine=self.decode)

    def training_spec(self) -> ModelSpec:
        """Return the contract with the padding of the training crops, which validation uses too."""
        return replace(self.spec(), crop=self._crop(finds_people=False))

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


def recipe_from_dict(table: dict[str, Any], where: str) -> Recipe:
    """Check the fields of a recipe file and return the recipe.

    Args:
        table: The content of the TOML file.
        where: The name of the file, for error messages.

    Returns:
        The recipe.

    Raises:
        UsageError: A key is unknown or has a value that is not allowed; the message names the key.
        SpecError: There is no skeleton of this name.
    """
    refuse_unknown(Recipe, table, where, error=UsageError)
    if "model" not in table:
        raise UsageError(f"{where}: the recipe has no model; add for example model = 'simplebaseline-lite'")
    recipe = read_as(Recipe, table, where, error=UsageError)
    _check(recipe, where)
    return recipe


def _check(recipe: Recipe, where: str) -> None:
    if not len(recipe.sizes) == len(recipe.epochs) == len(recipe.batch):
        raise UsageError(f"{where}: sizes, epochs and batch must have the same length, one entry per stage")
    for size in recipe.sizes:
        if size[0] % 4 or size[1] % 4:  # `objective_of` checks what the network needs
            raise UsageError(f"{where}: sizes has {list(size)}; expected [height, width], multiples of 4")
    choose(recipe.calibration, METHODS, "calibration", where, UsageError)
    choose(recipe.decode, REFINEMENTS, "decode", where, UsageError)
    choose(recipe.codec, LOSSES, "codec", where, UsageError)
    choose(recipe.loss, LOSSES[recipe.codec], f"codec {recipe.codec!r}: loss", where, UsageError)
    if recipe.teacher_network and recipe.codec not in ("heatmap", "onestage"):
        raise UsageError(f"{where}: teacher_network needs codec = 'heatmap' or 'onestage', not {recipe.codec!r}")
    if (recipe.codec == "onestage") != (recipe.skeleton == PERSON.name):
        raise UsageError(f"{where}: codec = 'onestage' and skeleton = {PERSON.name!r} go together; set both or neither")
    if recipe.teacher and recipe.codec == "onestage":
        raise UsageError(f"{where}: teacher is for networks with joints; a person detector learns from teacher_network")
    if recipe.person_px[0] > recipe.person_px[1]:
        raise UsageError(f"{where}: person_px = {list(recipe.person_px)}; expected [smallest, largest]")
    choose(recipe.amp, ("none", "bf16", "fp16"), "amp", where, UsageError)
    skeleton_from(recipe.skeleton, where)


def recipe_names() -> list[str]:
    """Return the names of the recipes that edgepose includes, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read_recipe(name: str) -> Recipe:
    """Read a recipe.

    Args:
        name: The name of an included recipe, or the path of a .toml file.

    Returns:
        The recipe.

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
