"""mmpose: the decoders of its codecs, on random outputs.

    pip install --no-deps mmpose==1.3.2 mmengine mmcv-lite==2.1.0 six json_tricks munkres addict yapf termcolor
    # Apache-2.0

Its networks need the compiled operations of mmcv, for which PyPI has no wheel, so nothing is exported: stub networks
return random outputs, with the pipeline.json beside them that mmdeploy writes. mmpose's decoders return pixels of the
crop, which go to the image by mmpose's own rule (`TopdownPoseEstimator.add_pred_to_datasample`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgepose._checks import Array
from projects.comparison import Comparison, Subject, ours, peaks, picture, stub

JOINTS, SIZE, MAPS = 17, (256, 192), (64, 48)
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
BOX = np.array([80.0, 30.0, 200.0, 330.0])
HEATMAP = "TopdownHeatmapSimpleHeadDecode"


def compare(folder: Path) -> Iterator[Comparison]:
    """Compare all decoders.

    Args:
        folder: A folder for the networks.
    """
    from mmpose.codecs import MSRAHeatmap, SimCCLabel, UDPHeatmap

    random, size, maps = np.random.default_rng(5), SIZE[::-1], MAPS[::-1]
    vectors = {
        name: random.random((JOINTS, 2 * side), np.float32)
        for name, side in zip(("simcc_x", "simcc_y"), size, strict=True)
    }
    simcc = SimCCLabel(input_size=size, sigma=(4.9, 5.66), simcc_split_ratio=2.0)
    yield from _compared(folder / "simcc", "SimCCLabel", "SimCCLabelDecode", {}, simcc, vectors)
    quarter = MSRAHeatmap(input_size=size, heatmap_size=maps, sigma=2.0)
    found = {"output": peaks(MAPS, JOINTS, random)}
    yield from _compared(folder / "quarter", "MSRAHeatmap", HEATMAP, {"post_process": "default"}, quarter, found)
    dark = MSRAHeatmap(input_size=size, heatmap_size=maps, sigma=2.0, unbiased=True)
    yield from _compared(folder / "dark", "MSRAHeatmap, unbiased", HEATMAP, {"post_process": "unbiased"}, dark, found)
    udp = UDPHeatmap(input_size=size, heatmap_size=maps, sigma=2.0)
    yield from _compared(folder / "udp", "UDPHeatmap", HEATMAP, {"use_udp": True}, udp, found)


def _compared(
    folder: Path, name: str, component: str, params: dict[str, Any], codec: Any, outputs: dict[str, Array]
) -> Iterator[Comparison]:
    import mmpose

    path = stub(folder / "end2end.onnx", outputs, SIZE)
    udp = bool(params.get("use_udp"))
    (folder / "pipeline.json").write_text(json.dumps(_pipeline(component, params, udp)))
    joints, scores = codec.decode(*(item.copy() for item in outputs.values()))
    center, scale = _placed(BOX)
    sides = np.array(SIZE[::-1])
    step = scale / (sides - 1.0) if udp else scale / sides
    first = center - scale / 2
    inverse = np.array([[[step[0], 0, first[0]], [0, step[1], first[1]]]])
    its = ours(path, picture(360, 640), np.zeros((1, 3, *SIZE)), BOX[None], inverse)
    subject = Subject(project="mmpose", version=mmpose.__version__, network=name, weights="none")
    in_image = joints / sides * scale + center - 0.5 * scale
    yield subject.compared(its.family, "joints", its.poses.xy_image, in_image)
    yield subject.compared(its.family, "joint scores", its.poses.scores, scores, unit="")


def _placed(box: Array) -> tuple[Array, Array]:
    """Return mmpose's center and scale of a box, [2] each, with the sides of the crop in proportion."""
    from mmpose.structures.bbox import bbox_xyxy2cs

    center, (width, height) = bbox_xyxy2cs(box, padding=1.25)
    ratio = SIZE[1] / SIZE[0]
    return center, np.array([width, width / ratio] if width > height * ratio else [height * ratio, height])


def _pipeline(component: str, params: dict[str, Any], udp: bool) -> dict[str, Any]:
    """Return what mmdeploy writes into pipeline.json."""
    size = list(SIZE[::-1])
    transforms = [
        {"type": "LoadImageFromFile"},
        {"type": "TopDownGetBboxCenterScale", "image_size": size, "padding": 1.25},
        {"type": "TopDownAffine", "image_size": size, "use_udp": udp},
        {"type": "Normalize", "mean": MEAN, "std": STD, "to_rgb": True},
    ]
    tasks = [
        {"type": "Task", "module": "Transform", "name": "Preprocess", "transforms": transforms},
        {"type": "Task", "module": "Net", "name": "topdown", "input_map": {"img": "input"}, "output_map": {}},
        {"type": "Task", "module": "mmpose", "name": "postprocess", "component": component,
         "params": {"input_size": size, "simcc_split_ratio": 2.0, **params}},
    ]  # fmt: skip
    return {"pipeline": {"input": ["img"], "output": ["post_output"], "tasks": tasks}}
