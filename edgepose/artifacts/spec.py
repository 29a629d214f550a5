"""`ModelSpec`: the contract a network carries, so that running it needs no remembered constant.

As JSON it lives in the ONNX metadata under `edgepose.spec`; a network trained elsewhere gets it from a
`spec.toml` beside it (`edgepose build net.onnx --spec net.toml`):

    name = "my-net"
    skeleton = "coco17"          # coco17 | lsp14 | mpii16 | flic11, or a table: joints, flips, limbs, sigmas
    input = { name = "data", size = [256, 192], color = "rgb", mean = [124, 116, 104], std = [58, 57, 57] }
    codec = { type = "heatmap", decode = "quarter" }
    outputs = ["heatmaps"]
    crop = { padding = 1.25 }
    quantize = { keep_float = ["/head/*"] }

What the ONNX itself says (input name and size, outputs) need not be repeated.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgepose._files import sha256_json
from edgepose.errors import SpecError, nearest
from edgepose.pose.skeletons import Skeleton, skeleton_from

if TYPE_CHECKING:
    import onnx

SPEC_KEY = "edgepose.spec"
PARENT_KEY = "edgepose.parent"  # sha256 of the file this ONNX was made from
PRECISION_KEY = "edgepose.precision"  # fp32 | fp16 | int8: what the graph holds
KEPT_FLOAT_KEY = "edgepose.kept_float"  # JSON: node name -> why it stays in float

IMAGENET_MEAN = (123.675, 116.28, 103.53)  # RGB, 0..255
IMAGENET_STD = (58.395, 57.12, 57.375)

CODECS = ("heatmap", "simcc", "regression", "paf")
DECODES = ("quarter", "dark", "argmax")


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """The network's input [N, 3, H, W] float32: (pixel - mean) / std, pixels 0..255 in `color` order."""

    name: str = "input"
    size: tuple[int, int] = (256, 192)  # (height, width)
    color: str = "rgb"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD


@dataclass(frozen=True, kw_only=True)
class PictorialSpec:
    """A tree of joints held by springs, see `codecs.pictorial`. One entry a joint.

    parents: the joint each hangs on, by index, -1 for the one root. mean, variance: of its displacement from
    there, x and y, in heights of the crop (the root's mean nothing). weight: of springs against maps; 0 is
    none. floor: what a map is worth at least, so that a joint it does not show can be where the body wants it.
    """

    parents: tuple[int, ...]
    mean: tuple[tuple[float, float], ...]
    variance: tuple[tuple[float, float], ...]
    weight: float = 1.0
    floor: float = 0.01


@dataclass(frozen=True, kw_only=True)
class CodecSpec:
    """How outputs become joints. `decode` refines a heatmap peak: quarter offset, DARK, or none.

    pictorial: where given, peaks are those of the best body and not of each map alone.
    """

    type: str = "heatmap"
    decode: str = "quarter"
    sigma: float = 2.0  # heatmap pixels, what the network was trained with
    pictorial: PictorialSpec | None = None


@dataclass(frozen=True, kw_only=True)
class CropSpec:
    """How a person is cut out: the box grown to the input's aspect ratio, then by `padding`."""

    padding: float = 1.25


@dataclass(frozen=True, kw_only=True)
class QuantizeSpec:
    """Node-name patterns (fnmatch) that stay in float when the graph is quantised."""

    keep_float: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """The contract of one network. Built by `spec_from_dict`, which checks it."""

    name: str
    skeleton: Skeleton
    input: InputSpec = InputSpec()
    codec: CodecSpec = CodecSpec()
    crop: CropSpec = CropSpec()
    quantize: QuantizeSpec = QuantizeSpec()
    outputs: tuple[str, ...] = ("heatmaps",)

    def to_json(self) -> dict[str, Any]:
        """A JSON value that `spec_from_dict` reads back to an equal spec."""
        value = {field.name: getattr(self, field.name) for field in fields(self)}
        for part in ("input", "codec", "crop", "quantize"):
            value[part] = asdict(value[part])
        for part, key in (("input", "mean"), ("input", "std")):
            value[part][key] = [float(number) for number in value[part][key]]
        for part, key in (("codec", "sigma"), ("crop", "padding")):
            value[part][key] = float(value[part][key])  # 1 and 1.0 are one spec, and have one hash
        if self.codec.pictorial is None:
            del value["codec"]["pictorial"]
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
    "quantize": QuantizeSpec,
}


def _tuple_of(kind: type[Any], value: Any, length: int | None) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)) or (length is not None and len(value) != length):
        raise ValueError(f"expected a list of {length or 'any number of'} values, got {value!r}")
    return tuple(_scalar(kind, item) for item in value)


def _scalar(kind: type[Any], value: Any) -> Any:
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise ValueError(f"expected a finite number, got {value!r}")
        return float(value)
    if isinstance(value, bool) or not isinstance(value, kind):
        raise ValueError(f"expected {kind.__name__}, got {value!r}")
    return value


_READERS: dict[str, Any] = {
    "input.name": lambda v: _scalar(str, v),
    "input.size": lambda v: _tuple_of(int, v, 2),
    "input.color": lambda v: _scalar(str, v),
    "input.mean": lambda v: _tuple_of(float, v, 3),
    "input.std": lambda v: _tuple_of(float, v, 3),
    "codec.type": lambda v: _scalar(str, v),
    "codec.decode": lambda v: _scalar(str, v),
    "codec.sigma": lambda v: _scalar(float, v),
    "codec.pictorial": lambda v: _pictorial(v),
    "crop.padding": lambda v: _scalar(float, v),
    "quantize.keep_float": lambda v: _tuple_of(str, v, None),
    "name": lambda v: _scalar(str, v),
    "outputs": lambda v: _tuple_of(str, v, None),
}


def _pictorial(value: Any) -> PictorialSpec:
    """ValueError for what is no tree: its parents must lead from every joint to the one root."""
    known = {field.name for field in fields(PictorialSpec)}
    if not isinstance(value, dict) or not {"parents", "mean", "variance"} <= set(value) <= known:
        raise ValueError(f"expected a table with parents, mean, variance, and weight or floor, got {value!r}")
    parents = _tuple_of(int, value["parents"], None)
    count = len(parents)
    mean, variance = (
        tuple((pair[0], pair[1]) for pair in (_tuple_of(float, item, 2) for item in _listed(value[key], count)))
        for key in ("mean", "variance")
    )
    numbers = {key: _scalar(float, value[key]) for key in ("weight", "floor") if key in value}
    tree = PictorialSpec(parents=parents, mean=mean, variance=variance, **numbers)
    if not _is_tree(parents):
        raise ValueError(f"parents = {list(parents)} is no tree with one root (-1)")
    if not all(number > 0 for pair in tree.variance for number in pair) or not tree.floor > 0 or tree.weight < 0:
        raise ValueError("variances and floor must be above 0, weight 0 or more")
    return tree


def _listed(value: Any, count: int) -> Any:
    if not isinstance(value, (list, tuple)) or len(value) != count:
        raise ValueError(f"expected {count} pairs, one a joint, got {value!r}")
    return value


def _is_tree(parents: tuple[int, ...]) -> bool:
    if parents.count(-1) != 1 or not all(-1 <= parent < len(parents) for parent in parents):
        return False
    for at in range(len(parents)):
        for _ in parents:  # as many steps as there are joints reach the root from anywhere
            at = parents[at] if at >= 0 else at
        if at >= 0:
            return False
    return True


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
    return kind(**{key: _read(f"{name}.{key}", item, where) for key, item in value.items()})


def _choice(value: str, choices: tuple[str, ...], key: str, where: str) -> None:
    if value not in choices:
        raise SpecError(f"{where}: {key} = {value!r}{nearest(value, choices)}")


def _check(spec: ModelSpec, where: str) -> None:
    _choice(spec.input.color, ("rgb", "bgr"), "input.color", where)
    _choice(spec.codec.type, CODECS, "codec.type", where)
    _choice(spec.codec.decode, DECODES, "codec.decode", where)
    if min(spec.input.size) < 1:
        raise SpecError(f"{where}: input.size = {list(spec.input.size)}; expected positive [height, width]")
    if not all(value > 0 for value in spec.input.std):
        raise SpecError(f"{where}: input.std = {list(spec.input.std)}; every value must be above 0")
    if spec.crop.padding < 1:
        raise SpecError(f"{where}: crop.padding = {spec.crop.padding}; must be 1 or more")
    if not spec.outputs or len(set(spec.outputs)) != len(spec.outputs):
        raise SpecError(f"{where}: outputs = {list(spec.outputs)}; name every output that is decoded, once")
    if not spec.codec.sigma > 0:
        raise SpecError(f"{where}: codec.sigma = {spec.codec.sigma}; must be above 0")
    tree, joints = spec.codec.pictorial, len(spec.skeleton)
    if tree is not None and (spec.codec.type != "heatmap" or len(tree.parents) != joints):
        raise SpecError(
            f"{where}: codec.pictorial has {len(tree.parents)} joints and is for heatmaps; the codec is "
            f"{spec.codec.type!r}, the skeleton has {joints} joints"
        )


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
    for key, item in value.items():
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
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} is no valid TOML: {error}") from error


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
