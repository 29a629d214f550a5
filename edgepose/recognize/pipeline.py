"""`pipeline.json`, which mmdeploy writes beside a network: how images are prepared and outputs decoded.

Sizes in it are [width, height]. Of the transforms, only those that decide the pixels are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgepose.recognize.candidate import Candidate
from edgepose.recognize.sidefiles import Channels, Table, read_side_file

FILE = "pipeline.json"
DEPLOY = "deploy.json"
DETAIL = "detail.json"
GRAY = 114
PARAMETERS = ("post_process", "unbiased_decoding")  # of a decoder of heatmaps


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
    value = read_side_file(path)
    if not isinstance(value, dict) or not isinstance(value.get("pipeline"), dict):
        return None  # of another program
    return _parsed(path, Table(value["pipeline"], path, "pipeline"))


def config_of(candidate: Candidate) -> str:
    """Return the name of the training configuration that detail.json states; "" where it states none."""
    path = candidate.beside.get(DETAIL)
    value = read_side_file(path) if path is not None and _about(candidate) else None
    codebase = value.get("codebase") if isinstance(value, dict) else None
    named = codebase.get("config") if isinstance(codebase, dict) else None
    return named if isinstance(named, str) else ""


def _about(candidate: Candidate) -> bool:
    """Whether the files of mmdeploy beside a network are about it: deploy.json names the file of their network."""
    path = candidate.beside.get(DEPLOY)
    if path is None or candidate.path is None:
        return True
    models = Table(read_side_file(path), path).tables("models")
    names = [name for model in models if (name := model.text("net"))]
    return not names or candidate.path.name in names


def _parsed(path: Path, pipeline: Table) -> Pipeline:
    tasks = pipeline.tables("tasks", needed=True)
    transforms = {
        kind: item.named(kind) for task in tasks for item in task.tables("transforms") if (kind := item.text("type"))
    }
    nothing = Table({}, path)
    net = next((task for task in tasks if task.text("module") == "Net"), nothing)
    last = next((task for task in tasks if "component" in task), nothing)
    affine = transforms.get("TopDownAffine", nothing)
    center = transforms.get("TopDownGetBboxCenterScale", nothing)
    params = last.table("params").named("params")
    sizes = (
        params.size("input_size"), affine.size("image_size"), center.size("image_size"),
        transforms.get("Pad", nothing).size("size"), transforms.get("Resize", nothing).size("size"),
    )  # fmt: skip
    pad = transforms.get("Pad")
    return Pipeline(
        path=path,
        component=last.text("component"),
        params={key: params.raw(key) for key in PARAMETERS if key in params},
        normalize=_normalize(transforms.get("Normalize")),
        size=next((size for size in sizes if size is not None), None),
        padding=center.above_zero("padding"),
        udp=affine.switch("use_udp", params.switch("use_udp", False)),
        fill=None if pad is None else _fill(pad),
        outputs=net.table("output_map").texts(),
    )


def _normalize(table: Table | None) -> Normalize | None:
    if table is None:
        return None
    mean, std = table.channels("mean"), table.channels("std", above_zero=True)
    return Normalize(mean=mean, std=std, color="rgb" if table.switch("to_rgb", False) else "bgr")


def _fill(pad: Table) -> int:
    """Return the level of `pad_val`: a number, a list of them, or a table with `img`."""
    if isinstance(pad.raw("pad_val"), dict):
        return pad.table("pad_val").level("img")
    return pad.level("pad_val") if "pad_val" in pad else 0
