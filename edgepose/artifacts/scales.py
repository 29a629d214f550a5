"""`Scales`: the calibration cache scales.json, with the quantization scale of each tensor and what it was chosen from.

The cache is keyed by the sha256 of the ONNX, of the preprocessing (`ModelSpec.preprocessing()`) and of the image list.
`check_fresh` refuses a stale one.

    {"format": 4, "edgepose_version", "onnx_sha256", "preprocessing_sha256", "image_list_sha256", "images",
     "method": "percentile", "parameters": {"percentile": 99.99},
     "tensors": {NAME: {"min", "max", "scale", "method", "statistics": {STATISTIC: value}}},
     "keep_float": {NODE: reason}, "equalization": {TENSOR: [...]}, "bias": {NODE: [...]}, "bias_placement": sha256,
     "int8_ends": [NODE, ...]}

Format 1, which has neither `edgepose_version` nor `statistics`, format 2, which has nothing from `keep_float` on, and
format 3, which has no `int8_ends`, are read as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from edgepose._files import read_json, sha256_json, write_json
from edgepose.artifacts.spec import ModelSpec
from edgepose.errors import CalibrationError, EdgeposeError

FORMAT = 4
READABLE = (1, 2, 3, 4)
LEARNED = "learned"  # the method of a scale that fine-tuning found; passes leave it as it is
RECALIBRATE = "edgepose calibrate MODEL.onnx --data KIND:PATH --out scales.json"


@dataclass(frozen=True, kw_only=True)
class TensorRange:
    """What one tensor did over the calibration images, and the quantization scale chosen from it.

    Attributes:
        min: Smallest value observed.
        max: Largest value observed.
        scale: Symmetric int8 scale (real = int8 * scale). It is 0 where the tensor was zero on every image.
        method: The method that chose the scale of this tensor, `LEARNED` after fine-tuning; empty where it is that of
            the file.
        statistics: Further statistics that a quantization pass asked for, by name (`quantize.statistics`).
    """

    min: float
    max: float
    scale: float
    method: str = ""
    statistics: dict[str, float | list[float]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Scales:
    """The content of scales.json.

    Attributes:
        onnx_sha256: Of the float ONNX that was observed.
        preprocessing_sha256: Of the contract's input and crop.
        image_list_sha256: Of the names, boxes and pixels of the images.
        method: Method that turned observed activations into scales.
        images: Number of images observed.
        tensors: Tensor name in the prepared graph to its range.
        parameters: Parameters of the method.
        keep_float: Name of a node that stays in float -> the reason, as calibration and the search chose them.
        equalization: Name of a tensor -> the factor that each of its channels was divided by before it was observed, so
            that all channels have similar ranges (`quantize.equalize`).
        bias: Name of a node -> what is added to its bias, one number for each output channel, so that the mean of its
            output is that of the float network (`quantize.bias_correction`).
        bias_placement: What identifies the placement that `bias` was computed for; it fits no other.
        int8_ends: Names of first and last layers that the search put in int8. The others are float, unless
            `QuantizeOptions.stem_float` or `head_float` say otherwise.
        edgepose_version: Version that wrote the file; empty in format 1.
        format: Version of the layout.
    """

    onnx_sha256: str
    preprocessing_sha256: str
    image_list_sha256: str
    method: str
    images: int
    tensors: dict[str, TensorRange]
    parameters: dict[str, float] = field(default_factory=dict)
    keep_float: dict[str, str] = field(default_factory=dict)
    equalization: dict[str, list[float]] = field(default_factory=dict)
    bias: dict[str, list[float]] = field(default_factory=dict)
    bias_placement: str = ""
    int8_ends: tuple[str, ...] = ()
    edgepose_version: str = ""
    format: int = FORMAT

    def to_json(self) -> dict[str, Any]:
        """Return the JSON value that `read_scales` reads back."""
        return asdict(self)


def write_scales(path: Path, scales: Scales) -> None:
    """Write a scales.json."""
    write_json(path, scales.to_json())


def read_scales(path: Path) -> Scales:
    """Read and check a scales.json.

    Raises:
        CalibrationError: The file cannot be read or is damaged. The message says where, and how to make another.
    """
    try:
        value = read_json(path, "scales")
    except EdgeposeError as error:
        raise CalibrationError(f"{error}; make one with: {RECALIBRATE}") from error
    try:
        return _parse(value)
    except ValueError as error:
        raise CalibrationError(f"{path} is no scales file: {error}; make another one: {RECALIBRATE}") from error


def check_fresh(
    scales: Scales,
    onnx_sha256: str,
    spec: ModelSpec,
    image_list_sha256: str | None = None,
    method: str | None = None,
    parameters: Mapping[str, float] | None = None,
) -> None:
    """Raise CalibrationError, naming every key that differs, unless the scales belong to what is given.

    Args:
        scales: The content of a scales.json.
        onnx_sha256: Hash of the float ONNX that is to be quantized.
        spec: The network's contract.
        image_list_sha256: What identifies the calibration images; None where they are not at hand, as for scales
            that were shipped.
        method: Name of the method; None where any will do.
        parameters: Parameters of the method that must be equal; those left out may have any value.
    """
    asked = {name: f"{value:g}" for name, value in (parameters or {}).items()}
    held = {name: f"{value:g}" for name, value in scales.parameters.items()} if scales.method == method else asked
    wanted = {
        "the ONNX": (scales.onnx_sha256, onnx_sha256),
        "the preprocessing (input or crop of the spec)": (
            scales.preprocessing_sha256,
            sha256_json(spec.preprocessing()),
        ),
        "the image list": (scales.image_list_sha256, image_list_sha256 or scales.image_list_sha256),
        "the method": (scales.method, method or scales.method),
        **{f"the {name}": (held.get(name, "none"), asked[name]) for name in asked},
    }
    differ = [f"{what} (scales: {a[:12]}, now: {b[:12]})" for what, (a, b) in wanted.items() if a != b]
    if differ:
        same = method is None or (scales.method == method and held.items() >= asked.items())
        words = [f"--method {method}", *(f"--{name} {value}" for name, value in asked.items())]
        by = "" if same else f" {' '.join(words)}"
        raise CalibrationError(f"the scales are stale: {' and '.join(differ)} changed; run: {RECALIBRATE}{by}")


def _parse(value: Any) -> Scales:
    if not isinstance(value, dict):
        raise ValueError("expected a table")
    if value.get("format") not in READABLE:
        raise ValueError(f"format is {value.get('format')!r}, this edgepose reads {' and '.join(map(str, READABLE))}")
    unknown = sorted(set(value) - set(Scales.__dataclass_fields__))
    if unknown:
        raise ValueError(f"unknown {unknown}")
    made = msgspec.convert({**value, "format": FORMAT}, Scales)  # ValidationError, a ValueError, names the place
    if not all(map(math.isfinite, made.parameters.values())):
        raise ValueError(f"parameters: expected finite numbers, got {made.parameters}")
    for kind in ("equalization", "bias"):
        for name, numbers in getattr(made, kind).items():
            if not all(map(math.isfinite, numbers)):
                raise ValueError(f"{kind}.{name}: expected finite numbers")
    for name, item in made.tensors.items():
        if not all(math.isfinite(number) for number in (item.min, item.max, item.scale)) or item.scale < 0:
            raise ValueError(f"tensors.{name}: expected finite numbers and a scale of 0 or more, got {item}")
        for key, statistic in item.statistics.items():
            if not all(map(math.isfinite, statistic if isinstance(statistic, list) else [statistic])):
                raise ValueError(f"tensors.{name}.statistics.{key}: expected finite numbers, got {statistic}")
    return made
