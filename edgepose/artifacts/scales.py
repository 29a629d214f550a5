"""`Scales`: the calibration cache, scales.json: what each tensor's range was, and what it was observed on.

It is keyed by the sha256 of the ONNX, of the preprocessing (`ModelSpec.preprocessing()`) and of the image
list, and says by which method and how many images. A stale one is refused by `check_fresh`, never used.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from edgepose._files import read_json, sha256_json, write_json
from edgepose.artifacts.spec import ModelSpec
from edgepose.errors import CalibrationError, EdgeposeError

FORMAT = 1
RECALIBRATE = "edgepose calibrate MODEL.onnx --data KIND:PATH --out scales.json"


@dataclass(frozen=True, kw_only=True)
class TensorRange:
    """What one tensor did: observed min and max, and the symmetric int8 scale chosen (real = int8 * scale).

    scale is 0 where the tensor was zero on every image: no scale means anything there.
    """

    min: float
    max: float
    scale: float


@dataclass(frozen=True, kw_only=True)
class Scales:
    """The content of scales.json.

    method and parameters: how a scale was chosen from the observed values ("minmax", {}). images: how
    many were observed. tensors: tensor name in the (prepared) graph -> its range.
    """

    onnx_sha256: str
    preprocessing_sha256: str
    image_list_sha256: str
    method: str
    parameters: dict[str, float] = field(default_factory=dict)
    images: int
    tensors: dict[str, TensorRange]
    format: int = FORMAT

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def write_scales(path: Path, scales: Scales) -> None:
    write_json(path, scales.to_json())


def read_scales(path: Path) -> Scales:
    """Read and check a scales.json. CalibrationError says what is wrong with it."""
    try:
        value = read_json(path, "scales")
    except EdgeposeError as error:
        raise CalibrationError(f"{error}; make one with: {RECALIBRATE}") from error
    try:
        return _parse(value)
    except (TypeError, ValueError) as error:
        raise CalibrationError(f"{path} is no scales file: {error}; make it anew: {RECALIBRATE}") from error


def check_fresh(
    scales: Scales,
    onnx_sha256: str,
    spec: ModelSpec,
    image_list_sha256: str | None = None,
    method: str | None = None,
) -> None:
    """Raise CalibrationError, naming every key that differs, unless the scales belong to what is given.

    onnx_sha256: of the float ONNX that is to be quantized. image_list_sha256: None where the images are
    not at hand (scales that were shipped). method: None where any will do.
    """
    wanted = {
        "the ONNX": (scales.onnx_sha256, onnx_sha256),
        "the preprocessing (input or crop of the spec)": (
            scales.preprocessing_sha256,
            sha256_json(spec.preprocessing()),
        ),
        "the image list": (scales.image_list_sha256, image_list_sha256 or scales.image_list_sha256),
        "the method": (scales.method, method or scales.method),
    }
    differ = [f"{what} (scales: {a[:12]}, now: {b[:12]})" for what, (a, b) in wanted.items() if a != b]
    if differ:
        by = "" if scales.method == method or method is None else f" --method {method}"
        raise CalibrationError(f"the scales are stale: {' and '.join(differ)} changed; run: {RECALIBRATE}{by}")


def _parse(value: Any) -> Scales:
    if not isinstance(value, dict):
        raise ValueError("expected a table")
    if value.get("format") != FORMAT:
        raise ValueError(f"format is {value.get('format')!r}, this edgepose reads {FORMAT}")
    names = {item.name for item in fields(Scales)}
    missing, unknown = sorted(names - set(value)), sorted(set(value) - names)
    if missing or unknown:
        raise ValueError(f"missing {missing}, unknown {unknown}")
    for name in ("onnx_sha256", "preprocessing_sha256", "image_list_sha256", "method"):
        if not isinstance(value[name], str):
            raise ValueError(f"{name}: expected a string, got {value[name]!r}")
    if not isinstance(value["tensors"], dict) or not isinstance(value["parameters"], dict):
        raise ValueError("tensors and parameters must be tables")
    tensors = {name: _range(name, item) for name, item in value["tensors"].items()}
    return Scales(**{**value, "tensors": tensors, "images": int(value["images"])})


def _range(name: str, value: Any) -> TensorRange:
    if not isinstance(value, dict) or set(value) != {"min", "max", "scale"}:
        raise ValueError(f"tensors.{name}: expected min, max and scale, got {value!r}")
    made = TensorRange(**{key: float(item) for key, item in value.items()})
    if not all(math.isfinite(number) for number in (made.min, made.max, made.scale)) or made.scale < 0:
        raise ValueError(f"tensors.{name}: expected finite numbers and a scale of 0 or more, got {value!r}")
    return made
