"""Hugging Face Transformers: the post-processing of its image processors, on networks with random weights.

    pip install --no-deps transformers tokenizers huggingface_hub safetensors regex httpx2 httpcore2 truststore

VitPose takes the boxes of people as x, y, width, height. Its crops are cut by the rule of UDP, which zooms by
(W - 1) / W against edgepose's; the joints are decoded by the matrix of the crop that the network saw, and the two crops
are compared by their corners.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from edgepose._checks import Array
from projects.comparison import Comparison, Subject, levels, ours, peaks, picture, stub
from projects.torchvision_nms import hide

BOXES = np.array([[80.0, 30.0, 120.0, 300.0], [300.0, 60.0, 200.0, 180.0], [20.0, 200.0, 90.0, 110.0]])  # x, y, w, h
SIDED = ("Eye", "Ear", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle")
NAMES = ["Nose", *(f"{side}_{name}" for name in SIDED for side in "LR")]
ZOOM = "the project zooms by (W - 1) / W, the rule of UDP"
BLUR = "edgepose blurs with sigma = 2, as rtmlib does; this project blurs with 0.8"


def compare(folder: Path) -> Iterator[Comparison]:
    """Compare all networks.

    Args:
        folder: A folder for the exports.
    """
    hide()
    for simple in (False, True):
        yield from _vitpose(simple, folder / f"vitpose-{simple}")


def _vitpose(simple: bool, folder: Path) -> Iterator[Comparison]:
    import torch
    import transformers
    from transformers import VitPoseBackboneConfig, VitPoseConfig, VitPoseForPoseEstimation
    from transformers.models.vitpose import image_processing_pil_vitpose as processing

    torch.manual_seed(0)
    backbone = VitPoseBackboneConfig(hidden_size=48, num_hidden_layers=2, num_attention_heads=4, image_size=[256, 192])
    config = VitPoseConfig(
        backbone_config=backbone,
        num_labels=len(NAMES),
        use_simple_decoder=simple,
        id2label=dict(enumerate(NAMES)),
        label2id={name: at for at, name in enumerate(NAMES)},
    )
    model = VitPoseForPoseEstimation(config).eval()
    processor = processing.VitPoseImageProcessorPil()
    image = picture(360, 640)
    canvas = processor([image[..., ::-1]], boxes=[BOXES.tolist()], return_tensors="np")["pixel_values"]
    _spread(model, torch.from_numpy(canvas))
    folder.mkdir(exist_ok=True)
    config.save_pretrained(folder)
    processor.save_pretrained(folder)
    path = folder / "model.onnx"
    torch.onnx.export(
        _Maps(model), (torch.from_numpy(canvas),), str(path), input_names=["pixel_values"], output_names=["heatmaps"],
        dynamic_axes={"pixel_values": {0: "batch"}, "heatmaps": {0: "batch"}}, opset_version=17, dynamo=False,
    )  # fmt: skip
    with torch.no_grad():
        maps = model(torch.from_numpy(canvas)).heatmaps.numpy()
    kind = "simple decoder" if simple else "classic decoder"
    version = transformers.__version__
    subject = Subject(project="transformers", version=version, network=f"VitPose, {kind}")
    matrices = np.stack([_matrix(processing, box) for box in BOXES])
    corners = np.concatenate([BOXES[:, :2], BOXES[:, :2] + BOXES[:, 2:]], axis=1)
    places, scores = processing.get_keypoint_predictions(maps)
    moved = [
        processing.transform_preds(at, *processing.box_to_center_and_scale(tuple(box), 192, 256), [64, 48])
        for at, box in zip(places, BOXES, strict=True)
    ]
    its = ours(path, image, canvas, corners, matrices, {"refine": "argmax", "rule": "corners"})
    yield subject.compared(its.family, "places of the maxima", its.poses.xy_image, np.stack(moved))
    yield subject.compared(its.family, "joint scores", its.poses.scores, scores[..., 0], unit="")
    one, other = levels(its.input, canvas, its.spec)
    median = np.median(np.abs(one - other), axis=(1, 2, 3))
    yield subject.compared(its.family, "input, median", median, np.zeros(len(median)), unit="gray levels", note=ZOOM)
    ends = np.array([[0, 0, 1], [191, 255, 1]], np.float64)
    edges = [np.einsum("nij,kj->nki", item, ends) for item in (its.inverse, matrices)]
    yield subject.compared(its.family, "corners of the crop", *edges, note=ZOOM)
    if simple:
        return
    random = np.random.default_rng(7)
    drawn = np.stack([peaks((64, 48), len(NAMES), random) for _ in BOXES[:1]])
    outputs = SimpleNamespace(heatmaps=torch.from_numpy(drawn.copy()))
    (person,) = processor.post_process_pose_estimation(outputs, boxes=[BOXES[:1].tolist()])[0]
    given = stub(folder / "drawn" / "model.onnx", {"heatmaps": drawn[0]}, (256, 192), "pixel_values")
    processor.save_pretrained(given.parent)
    subject = Subject(project="transformers", version=version, network="VitPose, random maps", weights="none")
    theirs, blank = person["keypoints"].numpy()[None], np.zeros((1, 3, 256, 192))
    for sigma, note in ((0.8, "with the blur of this project, sigma = 0.8, cut at 2 pixels"), (2.0, BLUR)):
        its = ours(given, image, blank, corners[:1], matrices[:1], {"sigma": sigma})
        yield subject.compared(its.family, "joints", its.poses.xy_image, theirs, note=note)


def _Maps(model: Any) -> Any:
    import torch

    class Maps(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixel_values: Any) -> Any:
            return self.model(pixel_values).heatmaps

    return Maps().eval()  # the export gives the whole network the mode of its outermost module


def _spread(model: Any, canvas: Any) -> None:
    """Scale the last layer, so that the maps are about as high as those of trained networks."""
    import torch

    with torch.no_grad():
        maps = model(canvas).heatmaps
        last = model.head.conv
        last.weight /= maps.std()
        last.bias -= maps.mean() / maps.std()


def _matrix(processing: Any, box: Array) -> Array:
    """Return the matrix from a crop of VitPose to the image, [2, 3]."""
    center, scale = processing.box_to_center_and_scale(tuple(box), image_width=192, image_height=256)
    size = np.array([191.0, 255.0])
    step = scale * 200.0 / size
    return np.array([[step[0], 0, center[0] - step[0] * size[0] / 2], [0, step[1], center[1] - step[1] * size[1] / 2]])
