"""`pipeline.json`, which mmdeploy writes beside a network: how images are prepared and outputs decoded.

Sizes in it are [width, height]. Of the transforms, only those that decide the pixels are read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgepose.errors import SpecError, one_line
from edgepose.recognize.candidate import Candidate

FILE = "pipeline.json"
DEPLOY = "deploy.json"
DETAIL = "detail.json"
GRAY = 114

Channels = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Normalize:
    """How pixels become values.

    Attributes:
        mean: The mean of each channel, in the order of `color`.
        std: The standard deviation of each channel.
        color: 'rgb' or 'bgr'.
    """

    mean: Channels
    std: Channels
    color: str


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """What a pipeline.json says.

    Attributes:
        path: The file.
        component: The name of the decoder, such as "SimCCLabelDecode"; "" where there is none.
        params: The parameters of the decoder.
        normalize: How pixels become values; None where they are left as they are.
        size: (height, width) of the network's input; None where no transform says it. It may be outdated.
        padding: The factor that the box of a person grows by; None where the network sees whole images.
        udp: Whether crops are made by UDP's rule.
        fill: The level around the image; None where nothing is padded.
        outputs: Output of the graph -> its name in the pipeline.
    """

    path: Path
    component: str
    params: Mapping[str, Any] = field(default_factory=dict)
    normalize: Normalize | None = None
    size: tuple[int, int] | None = None
    padding: float | None = None
    udp: bool = False
    fill: int | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)


def pipeline_of(candidate: Candidate) -> Pipeline | None:
    """Read the pipeline.json beside a network.

    Returns:
        What it says; None where there is none, or where deploy.json says that it belongs to another network.

    Raises:
        SpecError: The file cannot be read, or says something that cannot be right.
    """
    path = candidate.beside.get(FILE)
    if path is None or not _about(candidate):
        return None
    value = _read(path)
    if not isinstance(value, dict) or not isinstance(value.get("pipeline"), dict):
        return None  # of another program
    try:
        return _parsed(path, value["pipeline"]["tasks"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise SpecError(
            f"{path} is no pipeline.json of mmdeploy that can be read ({type(error).__name__}: {one_line(error)}); "
            "correct it, or pass --spec"
        ) from error


def config_of(candidate: Candidate) -> str:
    """Return the name of the training configuration that detail.json states; "" where it states none."""
    path = candidate.beside.get(DETAIL)
    value = _read(path) if path is not None and _about(candidate) else None
    codebase = value.get("codebase") if isinstance(value, dict) else None
    named = codebase.get("config") if isinstance(codebase, dict) else None
    return named if isinstance(named, str) else ""


def _about(candidate: Candidate) -> bool:
    """Whether the files of mmdeploy beside a network are about it: deploy.json names the file of their network."""
    path = candidate.beside.get(DEPLOY)
    value = _read(path) if path is not None else None
    models = value.get("models") if isinstance(value, dict) else None
    names = [item.get("net") for item in models if isinstance(item, dict)] if isinstance(models, list) else []
    return not names or candidate.path is None or candidate.path.name in names


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SpecError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{path} is no valid JSON ({one_line(error)}); correct it, or pass --spec") from error


def _parsed(path: Path, tasks: Any) -> Pipeline:
    transforms = {item["type"]: item for task in tasks for item in task.get("transforms", ())}
    net: Any = next((task for task in tasks if task.get("module") == "Net"), {})
    last: Any = next((task for task in tasks if "component" in task), {})
    affine = transforms.get("TopDownAffine", {})
    center = transforms.get("TopDownGetBboxCenterScale", {})
    params = dict(last.get("params") or {})
    resized = transforms.get("Pad", {}).get("size") or transforms.get("Resize", {}).get("size")
    size = params.get("input_size") or affine.get("image_size") or center.get("image_size") or resized
    pad = transforms.get("Pad")
    return Pipeline(
        path=path,
        component=str(last.get("component", "")),
        params=params,
        normalize=_normalize(path, transforms.get("Normalize")),
        size=None if size is None else _turned(size),
        padding=float(center["padding"]) if "padding" in center else None,
        udp=bool(affine.get("use_udp", params.get("use_udp", False))),
        fill=None if pad is None else _fill(pad),
        outputs={str(name): str(other) for name, other in (net.get("output_map") or {}).items()},
    )


def _normalize(path: Path, value: Any) -> Normalize | None:
    if value is None:
        return None
    mean, std = (_channels(path, key, value[key]) for key in ("mean", "std"))
    return Normalize(mean=mean, std=std, color="rgb" if value.get("to_rgb", False) else "bgr")


def _channels(path: Path, key: str, value: Any) -> Channels:
    if len(value) != 3:
        raise SpecError(f"{path}: {key} of Normalize has {len(value)} values; expected 3")
    first, second, third = map(float, value)
    return first, second, third


def _turned(size: Any) -> tuple[int, int]:
    """Return (height, width) of [width, height]; a single number is both."""
    if isinstance(size, (int, float)):
        return int(size), int(size)
    width, height = size
    return int(height), int(width)


def _fill(pad: Any) -> int:
    value = pad.get("pad_val", 0)
    if isinstance(value, dict):
        value = value.get("img", 0)
    return int(value[0] if isinstance(value, (list, tuple)) else value)
