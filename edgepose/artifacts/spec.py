"""`ModelSpec`: the contract that a network carries, so that running it needs no other file.

The contract is JSON in the ONNX metadata under `edgepose.spec`. A network trained elsewhere gets it from a `spec.toml`
(`edgepose build net.onnx --spec net.toml`):

    name = "my-net"
    skeleton = "coco17"          # coco17 | lsp14 | mpii16 | flic11, or a table: joints, flips, limbs, sigmas
    input = { name = "data", size = [256, 192], color = "rgb", mean = [124, 116, 104], std = [58, 57, 57] }
    codec = { type = "heatmap", decode = "quarter" }    # or simcc, regression, paf: see edgepose.codecs
    outputs = ["heatmaps"]
    crop = { padding = 1.25 }
    quantize = { keep_float = ["/head/*"], method = "minmax" }   # or auto, image_max, ...

`quantize.keep_float` names nodes that are not int8; `quantize.keep_float32` names nodes that stay in float32 in every
precision. `input` may also say `layout`, `dtype` and `scale`, and `crop` may say `border`, `border_value`, `place` and
`resize`. What the ONNX file itself says (input name, size, layout and type, outputs) need not be repeated.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgepose._files import sha256_json
from edgepose.artifacts.choices import BORDERS, COLORS, DTYPES, LAYOUTS
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.tables import choose, read_as
from edgepose.codecs import CODECS, DEFAULT, codec_named, default_codec
from edgepose.errors import SpecError, nearest, one_line
from edgepose.pose.geometry import PLACES, RESIZES
from edgepose.pose.skeletons import Skeleton, skeleton_from

if TYPE_CHECKING:
    import onnx

    from edgepose.codecs.codec import Codec

SPEC_KEY = "edgepose.spec"
PARENT_KEY = "edgepose.parent"  # sha256 of the file this ONNX was made from
PRECISION_KEY = "edgepose.precision"  # fp32 | fp16 | int8: the precision of the graph
IMPORT_KEY = "edgepose.import"  # JSON: one sentence for each way in which a foreign graph was rewritten
KEPT_FLOAT_KEY = "edgepose.kept_float"  # JSON: node name -> why it stays in float
TUNED_KEY = "edgepose.tuned"  # the precision that the weights were fine-tuned for
RECOGNIZED_KEY = "edgepose.recognized"  # JSON: the family, what it was recognized from, and what was guessed
NOTES_KEY = "edgepose.notes"  # JSON: warnings about the quantization, one line each

IMAGENET_MEAN = (123.675, 116.28, 103.53)  # RGB, 0..255
IMAGENET_STD = (58.395, 57.12, 57.375)

LARGEST_SIDE = 4096  # pixels of an input; whole images of networks that find people have at most these


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """The network's input: (pixel * scale - mean) / std per channel, for pixels 0..255.

    Attributes:
        name: The name of the input.
        size: (height, width), pixels.
        color: The order of the channels: 'rgb' or 'bgr'.
        mean: The mean of each channel, after `scale`. For a uint8 input it is 0.
        std: The standard deviation of each channel, after `scale`. For a uint8 input it is 1.
        layout: 'nchw' for [N, 3, H, W], or 'nhwc' for [N, H, W, 3].
        dtype: 'float32', 'float16', or 'uint8', which takes pixels as they are, rounded.
        scale: What pixels are multiplied with, for example 1 / 255.
    """

    name: str = "input"
    size: tuple[int, int] = (256, 192)  # (height, width)
    color: str = "rgb"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    layout: str = "nchw"
    dtype: str = "float32"
    scale: float = 1.0

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of one image: [3, H, W], or [H, W, 3] for layout 'nhwc'."""
        return (3, *self.size) if self.layout == "nchw" else (*self.size, 3)


@dataclass(frozen=True, kw_only=True)
class CropSpec:
    """How a person is cut out: the box grows to the input's aspect ratio, then by `padding`.

    Attributes:
        padding: The factor that the box grows by. A network that sees whole images takes the image as the box,
            and its contract's default is 1.
        border: What lies outside the image: 'constant' (`border_value`) or 'replicate' (the nearest pixel).
        border_value: The level of all channels outside the image, 0..255, for border 'constant'.
        place: Where the box is in the input if their aspect ratios differ: in the 'center' or at the 'top_left', with
            what surrounds it, or alone, with each axis scaled by itself ('stretch').
        resize: How many pixels the resized box has: 'exact' for a fraction of a pixel, or whole numbers as 'round'
            and 'truncate' give them. A network sees its images as it did in training only by the same rule.
    """

    padding: float = 1.25
    border: str = "constant"
    border_value: int = 0
    place: str = "center"
    resize: str = "exact"


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """The contract of one network. `spec_from_dict` builds and checks it.

    Attributes:
        name: The name of the network.
        skeleton: Its joints.
        input: What it takes.
        codec: What its outputs mean.
        crop: How its input is cut out of an image.
        quantize: How it is quantized.
        outputs: The names of its outputs; the codec decodes the first ones.
    """

    name: str
    skeleton: Skeleton
    input: InputSpec = InputSpec()
    codec: Codec = field(default_factory=default_codec)
    crop: CropSpec = CropSpec()
    quantize: QuantizeOptions = field(default_factory=QuantizeOptions)
    outputs: tuple[str, ...] = ("heatmaps",)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON value that `spec_from_dict` reads back to an equal contract."""
        value = {item.name: getattr(self, item.name) for item in fields(self)}
        for part, keys in _ABSENT_BY_DEFAULT.items():
            kind = type(value[part])
            absent = {key: getattr(kind(), key) for key in keys}
            written = asdict(read_as(kind, asdict(value[part]), self.name, part))  # makes 1 and 1.0 one number
            value[part] = {key: item for key, item in written.items() if key not in absent or item != absent[key]}
        value["quantize"] = self.quantize.to_json()
        value["codec"] = {"type": self.codec.name, **self.codec.parameters()}
        value["skeleton"] = self.skeleton.to_json()
        return json.loads(json.dumps(value))  # type: ignore[no-any-return]

    def sha256(self) -> str:
        """Return the sha256 of the JSON value, as 64 hex digits."""
        return sha256_json(self.to_json())

    def preprocessing(self) -> dict[str, Any]:
        """Return what decides the pixels that a network sees; calibration is keyed by its hash."""
        value = self.to_json()
        return {"input": value["input"], "crop": value["crop"]}


_PARTS: dict[str, Any] = {
    "name": str,
    "input": InputSpec,
    "crop": CropSpec,
    "quantize": QuantizeOptions,
    "outputs": tuple[str, ...],
}


# A default of these keys is not written, so contracts from before the keys existed keep their hash.
_ABSENT_BY_DEFAULT = {
    "input": ("layout", "dtype", "scale"),
    "crop": ("border", "border_value", "place", "resize"),
}


def spec_from_dict(value: object, where: str) -> ModelSpec:
    """Read and check a contract.

    Args:
        value: The table that the JSON or TOML parser returned.
        where: The source that errors name, for example a file.

    Returns:
        The contract.

    Raises:
        SpecError: If a key is unknown or missing, or a value is wrong.
    """
    if not isinstance(value, dict):
        raise SpecError(f"{where}: a spec is a table, got {type(value).__name__}")
    known = {item.name for item in fields(ModelSpec)}
    for key in value:
        if key not in known:
            raise SpecError(f"{where}: unknown key {key!r}{nearest(str(key), known)}")
    for key in ("name", "skeleton"):
        if key not in value:
            raise SpecError(f"{where}: the spec has no {key}; add it")
    codec = _read_codec(value.get("codec", {}), where)
    parts = {
        key: read_as(_PARTS[key], item, where, key)
        for key, item in _with_defaults(value, codec).items()
        if key in _PARTS
    }
    spec = ModelSpec(skeleton=skeleton_from(value["skeleton"], where), codec=codec, **parts)
    _check(spec, where)
    return spec


def _with_defaults(value: dict[str, Any], codec: Codec) -> dict[str, Any]:
    """Add the defaults that depend on other keys."""
    crop, given = value.get("crop", {}), value.get("input", {})
    if codec.finds_people and isinstance(crop, dict):  # it sees whole images, without a margin
        value = {**value, "crop": {"padding": 1.0, **crop}}
    if isinstance(given, dict) and given.get("dtype") == "uint8":
        value = {**value, "input": {"mean": [0, 0, 0], "std": [1, 1, 1], **given}}
    return value


def _read_codec(table: object, where: str) -> Codec:
    if not isinstance(table, dict):
        raise SpecError(f"{where}: codec must be a table with a type, one of {', '.join(CODECS)}, got {table!r}")
    kind = read_as(str, table.get("type", DEFAULT), where, "codec.type")
    choose(kind, CODECS, "codec.type", where)
    return codec_named(kind).read({key: item for key, item in table.items() if key != "type"}, where)


def _check(spec: ModelSpec, where: str) -> None:
    choose(spec.input.color, COLORS, "input.color", where)
    choose(spec.input.layout, LAYOUTS, "input.layout", where)
    choose(spec.input.dtype, DTYPES, "input.dtype", where)
    choose(spec.crop.border, BORDERS, "crop.border", where)
    if not 0 <= spec.crop.border_value <= 255:
        raise SpecError(f"{where}: crop.border_value = {spec.crop.border_value}; expected 0 to 255")
    if spec.crop.border != "constant" and spec.crop.border_value != CropSpec.border_value:
        raise SpecError(
            f"{where}: crop.border_value has no effect with crop.border = {spec.crop.border!r}; leave it out"
        )
    choose(spec.crop.place, PLACES, "crop.place", where)
    choose(spec.crop.resize, RESIZES, "crop.resize", where)
    if spec.crop.place == "stretch" and spec.crop.resize != CropSpec.resize:
        raise SpecError(f"{where}: crop.resize has no effect with crop.place = 'stretch'; leave it out")
    if not spec.input.scale > 0:
        raise SpecError(f"{where}: input.scale = {spec.input.scale}; must be above 0")
    if spec.input.dtype == "uint8" and (spec.input.mean, spec.input.std, spec.input.scale) != ((0,) * 3, (1,) * 3, 1):
        raise SpecError(
            f"{where}: input.dtype = 'uint8' takes pixels as they are; leave out input.mean, input.std and input.scale"
        )
    if min(spec.input.size) < 1:
        raise SpecError(f"{where}: input.size = {list(spec.input.size)}; expected positive [height, width]")
    if max(spec.input.size) > LARGEST_SIDE:
        raise SpecError(f"{where}: input.size = {list(spec.input.size)}; at most {LARGEST_SIDE} pixels a side")
    if not all(value > 0 for value in spec.input.std):
        raise SpecError(f"{where}: input.std = {list(spec.input.std)}; every value must be above 0")
    if spec.crop.padding < 1:
        raise SpecError(f"{where}: crop.padding = {spec.crop.padding}; must be 1 or more")
    if not spec.outputs or len(set(spec.outputs)) != len(spec.outputs):
        raise SpecError(f"{where}: outputs = {list(spec.outputs)}; name every output that is decoded, once")
    spec.codec.check(spec.skeleton, spec.input, spec.outputs, where)


def read_toml(path: Path, what: str = "spec") -> dict[str, Any]:
    """Read the table of a TOML file, unchecked: the ONNX file may fill in what a spec.toml leaves out.

    Args:
        path: The file.
        what: What the file is, for errors: "spec" or "recipe".

    Raises:
        SpecError: If the file cannot be read or is no valid TOML.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # with or without a byte order mark
    except OSError as error:
        raise SpecError(f"cannot read {what} {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, or nested too deep
        raise SpecError(f"{path} is no valid TOML: {one_line(error)}") from error


def get_metadata(model: onnx.ModelProto, key: str) -> str | None:
    """Return the value of an ONNX metadata property, or None.

    Args:
        model: The ONNX model.
        key: The name of the property.
    """
    return next((prop.value for prop in model.metadata_props if prop.key == key), None)


def set_metadata(model: onnx.ModelProto, key: str, value: str) -> None:
    """Set an ONNX metadata property in place.

    Args:
        model: The ONNX model.
        key: The name of the property.
        value: Its value, which replaces an older one.
    """
    kept = [(prop.key, prop.value) for prop in model.metadata_props if prop.key != key]
    del model.metadata_props[:]
    for name, text in [*kept, (key, value)]:
        entry = model.metadata_props.add()
        entry.key, entry.value = name, text


def embed_spec(model: onnx.ModelProto, spec: ModelSpec) -> None:
    """Write a contract into the metadata of an ONNX model, in place.

    Args:
        model: The ONNX model.
        spec: The contract.
    """
    set_metadata(model, SPEC_KEY, json.dumps(spec.to_json(), separators=(",", ":")))


def embedded_spec(model: onnx.ModelProto, where: str) -> ModelSpec:
    """Read the contract in the metadata of an ONNX model.

    Args:
        model: The ONNX model.
        where: The source that errors name.

    Raises:
        SpecError: If the model has no contract, or a wrong one.
    """
    text = get_metadata(model, SPEC_KEY)
    if text is None:
        raise SpecError(
            f"{where} carries no edgepose spec, so its joints and preprocessing are unknown; "
            "describe it in a spec.toml and pass --spec spec.toml to edgepose build, or spec= to edgepose.load"
        )
    try:
        value = json.loads(text)
    except ValueError as error:  # no JSON, or a number of more digits than Python reads
        raise SpecError(f"{where}: the embedded spec is no valid JSON ({one_line(error)})") from error
    except RecursionError as error:
        raise SpecError(f"{where}: the embedded spec is no valid JSON (it is nested too deep)") from error
    return spec_from_dict(value, where)
