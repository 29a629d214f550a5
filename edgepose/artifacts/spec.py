"""`ModelSpec`: the contract a network carries, so that running it needs no remembered constant.

As JSON it lives in the ONNX metadata under `edgepose.spec`; a network trained elsewhere gets it from a
`spec.toml` beside it (`edgepose build net.onnx --spec net.toml`):

    name = "my-net"
    skeleton = "coco17"          # coco17 | lsp14 | mpii16 | flic11, or a table: joints, flips, limbs, sigmas
    input = { name = "data", size = [256, 192], color = "rgb", mean = [124, 116, 104], std = [58, 57, 57] }
    codec = { type = "heatmap", decode = "quarter" }    # or simcc, regression, paf: see CODECS
    outputs = ["heatmaps"]
    crop = { padding = 1.25 }
    quantize = { keep_float = ["/head/*"], method = "minmax" }   # or percentile, mse

What the ONNX itself says (input name and size, outputs) need not be repeated.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgepose._files import sha256_json
from edgepose.artifacts.pictorial import PictorialSpec, read_pictorial
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.values import scalar, tuple_of
from edgepose.errors import SpecError, UsageError, nearest, one_line
from edgepose.pose.skeletons import Skeleton, skeleton_from

if TYPE_CHECKING:
    import onnx

SPEC_KEY = "edgepose.spec"
PARENT_KEY = "edgepose.parent"  # sha256 of the file this ONNX was made from
PRECISION_KEY = "edgepose.precision"  # fp32 | fp16 | int8: what the graph holds
KEPT_FLOAT_KEY = "edgepose.kept_float"  # JSON: node name -> why it stays in float

IMAGENET_MEAN = (123.675, 116.28, 103.53)  # RGB, 0..255
IMAGENET_STD = (58.395, 57.12, 57.375)

DECODES = ("quarter", "dark", "udp", "argmax")
RANGES = ("centered", "unit")

# codec -> the parameters of CodecSpec that it has; a contract holds no others
CODECS: dict[str, tuple[str, ...]] = {
    "heatmap": ("decode", "sigma", "pictorial"),
    "simcc": ("split",),
    "regression": ("range",),
    "paf": (
        "peak_threshold", "capacity", "limb_samples", "limb_threshold", "limb_ratio", "min_joints", "min_score",
    ),
}  # fmt: skip
# codec -> what the first outputs of the contract are, in this order
DECODED: dict[str, tuple[str, ...]] = {
    "heatmap": ("heatmaps",),
    "simcc": ("x vectors", "y vectors"),
    "regression": ("coordinates",),
    "paf": ("joint maps", "limb fields"),
}


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """The network's input [N, 3, H, W] float32: (pixel - mean) / std, pixels 0..255 in `color` order."""

    name: str = "input"
    size: tuple[int, int] = (256, 192)  # (height, width)
    color: str = "rgb"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD


@dataclass(frozen=True, kw_only=True)
class CodecSpec:
    """How outputs become joints; `CODECS` says which parameter belongs to which codec.

    decode: how a heatmap's peak is refined: quarter offset, DARK, UDP, or none (argmax). UDP also says which
        crop coordinate a heatmap pixel stands for (codecs/heatmap.py), so it belongs to networks trained for it.
    sigma: of the Gaussians, heatmap pixels, what the network was trained with.
    pictorial: where given, peaks are those of the best body and not of each map alone.
    split: SimCC bins a crop pixel.
    range: of regressed coordinates: centered (-0.5 to 0.5 over the crop) or unit (0 to 1).
    peak_threshold, capacity: what a joint map's peak must be above; how many are listed of a map.
    limb_samples, limb_threshold, limb_ratio: points at which a limb's field is read, what they must be above,
        and how many of them, as a share.
    min_joints, min_score: a person with fewer joints or a lower score is dropped.
    """

    type: str = "heatmap"
    decode: str = "quarter"
    sigma: float = 2.0
    pictorial: PictorialSpec | None = None
    split: float = 2.0
    range: str = "centered"
    peak_threshold: float = 0.1
    capacity: int = 100
    limb_samples: int = 10
    limb_threshold: float = 0.05
    limb_ratio: float = 0.8
    min_joints: int = 4
    min_score: float = 0.2

    def parameters(self) -> dict[str, Any]:
        """The codec's own parameters, but for what is not given; 1 and 1.0 are one number, and have one hash."""
        kinds = {field.name: field.type for field in fields(self)}
        made: dict[str, Any] = {
            name: float(getattr(self, name)) if kinds[name] == "float" else getattr(self, name)
            for name in CODECS[self.type]
        }
        if "pictorial" in made:
            made["pictorial"] = None if self.pictorial is None else asdict(self.pictorial)
        return {name: value for name, value in made.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class CropSpec:
    """How a person is cut out: the box grown to the input's aspect ratio, then by `padding`.

    For a network that sees whole frames (paf) the box is the frame, and a contract's padding is 1 by default.
    """

    padding: float = 1.25


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """The contract of one network. Built by `spec_from_dict`, which checks it."""

    name: str
    skeleton: Skeleton
    input: InputSpec = InputSpec()
    codec: CodecSpec = CodecSpec()
    crop: CropSpec = CropSpec()
    quantize: QuantizeOptions = field(default_factory=QuantizeOptions)
    outputs: tuple[str, ...] = ("heatmaps",)

    def to_json(self) -> dict[str, Any]:
        """A JSON value that `spec_from_dict` reads back to an equal spec."""
        value = {part.name: getattr(self, part.name) for part in fields(self)}
        for part in ("input", "crop"):
            value[part] = asdict(value[part])
        value["quantize"] = self.quantize.to_json()
        value["codec"] = {"type": self.codec.type, **self.codec.parameters()}
        for part, key in (("input", "mean"), ("input", "std")):
            value[part][key] = [float(number) for number in value[part][key]]
        value["crop"]["padding"] = float(value["crop"]["padding"])  # as in CodecSpec.parameters
        value["skeleton"] = self.skeleton.to_json()
        return json.loads(json.dumps(value))  # type: ignore[no-any-return]

    def sha256(self) -> str:
        return sha256_json(self.to_json())

    def preprocessing(self) -> dict[str, Any]:
        """What decides the pixels a network sees; calibration is keyed by its hash."""
        value = self.to_json()
        return {"input": value["input"], "crop": value["crop"]}


_PARTS: dict[str, type[Any]] = {
    "input": InputSpec,
    "codec": CodecSpec,
    "crop": CropSpec,
    "quantize": QuantizeOptions,
}


_READERS: dict[str, Any] = {
    "input.name": lambda v: scalar(str, v),
    "input.size": lambda v: tuple_of(int, v, 2),
    "input.color": lambda v: scalar(str, v),
    "input.mean": lambda v: tuple_of(float, v, 3),
    "input.std": lambda v: tuple_of(float, v, 3),
    "codec.type": lambda v: scalar(str, v),
    "codec.decode": lambda v: scalar(str, v),
    "codec.sigma": lambda v: scalar(float, v),
    "codec.pictorial": read_pictorial,
    "codec.split": lambda v: scalar(float, v),
    "codec.range": lambda v: scalar(str, v),
    "codec.peak_threshold": lambda v: scalar(float, v),
    "codec.capacity": lambda v: scalar(int, v),
    "codec.limb_samples": lambda v: scalar(int, v),
    "codec.limb_threshold": lambda v: scalar(float, v),
    "codec.limb_ratio": lambda v: scalar(float, v),
    "codec.min_joints": lambda v: scalar(int, v),
    "codec.min_score": lambda v: scalar(float, v),
    "crop.padding": lambda v: scalar(float, v),
    "quantize.keep_float": lambda v: tuple_of(str, v, None),
    "quantize.method": lambda v: scalar(str, v),
    "quantize.percentile": lambda v: scalar(float, v),
    "quantize.deconv": lambda v: scalar(str, v),
    "quantize.deconv_weights": lambda v: scalar(str, v),
    "quantize.stem_float": lambda v: scalar(bool, v),
    "quantize.head_float": lambda v: scalar(bool, v),
    "quantize.clip_to_relu": lambda v: scalar(bool, v),
    "name": lambda v: scalar(str, v),
    "outputs": lambda v: tuple_of(str, v, None),
}


def _read(key: str, value: Any, where: str) -> Any:
    try:
        return _READERS[key](value)
    except ValueError as error:
        raise SpecError(f"{where}: {key}: {error}") from error


def _part(name: str, value: Any, where: str) -> Any:
    kind = _PARTS[name]
    known = {field.name for field in fields(kind)}
    if not isinstance(value, dict):
        raise SpecError(f"{where}: {name} must be a table with {', '.join(sorted(known))}")
    for key in value:
        if key not in known:
            raise SpecError(f"{where}: unknown key {name}.{key}{nearest(key, known)}")
    try:
        made = kind(**{key: _read(f"{name}.{key}", item, where) for key, item in value.items()})
    except UsageError as error:
        raise SpecError(f"{where}: {name}.{error}") from error
    if isinstance(made, CodecSpec):
        _check_belongs(made.type, value, where)
    return made


def _check_belongs(codec: str, given: dict[str, Any], where: str) -> None:
    _choice(codec, CODECS, "codec.type", where)
    for key in given:
        if key not in ("type", *CODECS[codec]):
            raise SpecError(
                f"{where}: codec.{key} is no parameter of codec {codec!r}, which has {', '.join(CODECS[codec])}; "
                "leave it out"
            )


def _choice(value: str, choices: Collection[str], key: str, where: str) -> None:
    if value not in choices:
        raise SpecError(f"{where}: {key} = {value!r}{nearest(value, choices)}")


def _check(spec: ModelSpec, where: str) -> None:
    _choice(spec.input.color, ("rgb", "bgr"), "input.color", where)
    if min(spec.input.size) < 1:
        raise SpecError(f"{where}: input.size = {list(spec.input.size)}; expected positive [height, width]")
    if not all(value > 0 for value in spec.input.std):
        raise SpecError(f"{where}: input.std = {list(spec.input.std)}; every value must be above 0")
    if spec.crop.padding < 1:
        raise SpecError(f"{where}: crop.padding = {spec.crop.padding}; must be 1 or more")
    if not spec.outputs or len(set(spec.outputs)) != len(spec.outputs):
        raise SpecError(f"{where}: outputs = {list(spec.outputs)}; name every output that is decoded, once")
    _check_codec(spec, where)


# codec parameter -> (lowest, highest, the words for it)
_LIMITS: dict[str, tuple[float, float, str]] = {
    "sigma": (math.ulp(0.0), math.inf, "above 0"),
    "split": (1, math.inf, "1 or more"),
    "peak_threshold": (0, math.inf, "0 or more"),
    "capacity": (1, 1000, "1 to 1000"),
    "limb_samples": (2, 1000, "2 to 1000"),
    "limb_threshold": (0, math.inf, "0 or more"),
    "limb_ratio": (0, 1, "0 to 1"),
    "min_joints": (1, math.inf, "1 or more"),
    "min_score": (0, math.inf, "0 or more"),
}


def _check_codec(spec: ModelSpec, where: str) -> None:
    codec, decoded = spec.codec, DECODED[spec.codec.type]
    _choice(codec.decode, DECODES, "codec.decode", where)
    _choice(codec.range, RANGES, "codec.range", where)
    for name, (low, high, words) in _LIMITS.items():
        value = getattr(codec, name)
        if not low <= value <= high:
            raise SpecError(f"{where}: codec.{name} = {value}; must be {words}")
    if len(spec.outputs) < len(decoded):
        raise SpecError(
            f"{where}: outputs = {list(spec.outputs)}; codec {codec.type!r} decodes {len(decoded)}: "
            f"name the {' and the '.join(decoded)}, in this order"
        )
    if codec.type == "paf":
        _check_paf(spec, where)
    if codec.pictorial is not None and len(codec.pictorial.parents) != len(spec.skeleton):
        raise SpecError(
            f"{where}: codec.pictorial has {len(codec.pictorial.parents)} joints, skeleton {spec.skeleton.name!r} has "
            f"{len(spec.skeleton)}"
        )


def _check_paf(spec: ModelSpec, where: str) -> None:
    skeleton, least = spec.skeleton, spec.codec.min_joints
    apart = skeleton.unreached() if skeleton.limbs else skeleton.joints
    if apart:  # their people would fall into pieces
        raise SpecError(
            f"{where}: paf joins people by limbs, and those of skeleton {skeleton.name!r} do not reach "
            f"{', '.join(apart)}; give a skeleton table whose limbs connect all joints, in the order of the fields"
        )
    if least > len(skeleton):
        raise SpecError(f"{where}: codec.min_joints = {least}; skeleton {skeleton.name!r} has {len(skeleton)} joints")


def _with_frame(value: dict[str, Any]) -> dict[str, Any]:
    """The table of a network that sees whole frames with the padding it has by default."""
    codec, crop = value.get("codec"), value.get("crop", {})
    if isinstance(codec, dict) and codec.get("type") == "paf" and isinstance(crop, dict):
        return {**value, "crop": {"padding": 1.0, **crop}}
    return value


def spec_from_dict(value: object, where: str) -> ModelSpec:
    """A checked ModelSpec from JSON or TOML; `where` names the source in errors (SpecError)."""
    if not isinstance(value, dict):
        raise SpecError(f"{where}: a spec is a table, got {type(value).__name__}")
    known = {field.name for field in fields(ModelSpec)}
    for key in value:
        if key not in known:
            raise SpecError(f"{where}: unknown key {key!r}{nearest(str(key), known)}")
    for key in ("name", "skeleton"):
        if key not in value:
            raise SpecError(f"{where}: the spec has no {key}; add it")
    made: dict[str, Any] = {}
    for key, item in _with_frame(value).items():
        if key == "skeleton":
            made[key] = skeleton_from(item, where)
        elif key in _PARTS:
            made[key] = _part(key, item, where)
        else:
            made[key] = _read(key, item, where)
    spec = ModelSpec(**made)
    _check(spec, where)
    return spec


def read_toml(path: Path, what: str = "spec") -> dict[str, Any]:
    """The table of a spec.toml, not yet checked: the ONNX may fill in what it leaves out.

    `what` names the file's role in the error (SpecError), where it is no spec but a recipe.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"cannot read {what} {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, or nested too deep
        raise SpecError(f"{path} is no valid TOML: {one_line(error)}") from error


def get_metadata(model: onnx.ModelProto, key: str) -> str | None:
    """The value of an ONNX metadata property, or None."""
    return next((prop.value for prop in model.metadata_props if prop.key == key), None)


def set_metadata(model: onnx.ModelProto, key: str, value: str) -> None:
    """Set an ONNX metadata property in place, replacing an older one."""
    kept = [(prop.key, prop.value) for prop in model.metadata_props if prop.key != key]
    del model.metadata_props[:]
    for name, text in [*kept, (key, value)]:
        entry = model.metadata_props.add()
        entry.key, entry.value = name, text


def embed_spec(model: onnx.ModelProto, spec: ModelSpec) -> None:
    """Write the spec into the ONNX metadata, in place."""
    set_metadata(model, SPEC_KEY, json.dumps(spec.to_json(), separators=(",", ":")))


def embedded_spec(model: onnx.ModelProto, where: str) -> ModelSpec:
    """The spec an ONNX carries; SpecError says how to give it one."""
    text = get_metadata(model, SPEC_KEY)
    if text is None:
        raise SpecError(
            f"{where} carries no edgepose spec, so its joints and preprocessing are unknown; "
            "describe it in a spec.toml and pass --spec spec.toml to edgepose build"
        )
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise SpecError(f"{where}: the embedded spec is no valid JSON ({error})") from error
    return spec_from_dict(value, where)
