"""Accuracy of a network during training, on data that it is not trained on.

For networks that find joints this is the PCK, with labeled bounding boxes and no flip test. For person detectors see
`validate_boxes`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec
from edgepose.datasets.samples import PoseData, counted
from edgepose.datasets.targets import joints_in
from edgepose.datasets.torch_feed import CropItems, in_order
from edgepose.errors import UsageError
from edgepose.metrics.lengths import torso_px
from edgepose.metrics.pck import hits
from edgepose.pose.geometry import Size, crop_affine, invert_affine
from edgepose.pose.skeletons import PERSON
from edgepose.training.objectives import BoxObjective, Objective
from edgepose.training.validate_boxes import box_ap50, check_boxes

BATCH = 32


@torch.inference_mode()
def validate(
    model: nn.Module,
    data: Sequence[PoseData],
    spec: ModelSpec,
    size: Size,
    objective: Objective,
    device: torch.device,
    workers: int,
    threshold: float = 0.2,
) -> float:
    """Return the PCK over all people of `data`, or the AP50 of a person detector, 0 to 1.

    Args:
        model: The network.
        data: The validation data.
        spec: The contract, with the padding of the crops.
        size: Height and width of the crops in pixels.
        objective: Decodes the outputs of the network.
        device: The device of the network.
        workers: The number of processes that load data.
        threshold: Maximum distance of a correct joint, as a fraction of the torso length.
    """
    if isinstance(objective, BoxObjective):
        return box_ap50(model, data, spec, size, device, workers)
    items = CropItems(data, spec, size, 0, 0, None)
    was_training = model.training
    model.eval()
    to_image = _to_image(items, size)
    found: list[Array] = []
    with contextlib.closing(in_order(items, BATCH, workers=workers)) as feed:
        for (crops,) in feed:
            inverse = to_image[sum(map(len, found)) :][: len(crops)]
            found.append(objective.joints(model, crops.to(device), inverse))
    model.train(was_training)
    return float(np.nanmean(_hits(items, np.concatenate(found), threshold)))


def check_validation(data: Sequence[PoseData], spec: ModelSpec) -> None:
    """Check before training that `validate` has people to measure.

    Raises:
        UsageError: Nobody in `data` has a labeled torso, or a box where `spec` is that of a person detector.
    """
    if spec.skeleton == PERSON:
        check_boxes(data)
        return
    if data and not any(_has_torso(part, i, spec) for part in data for i in counted(part)):
        names = ", ".join(part.name for part in data)
        raise UsageError(
            f"nobody in {names} has a labeled torso, which PCK needs; validate on other data, or leave out --val"
        )


def _has_torso(part: PoseData, index: int, spec: ModelSpec) -> bool:
    xy, labeled = joints_in(part[index], spec.skeleton, part.skeleton)
    return bool(torso_px(xy[None], labeled[None], spec.skeleton)[0] > 0)


def _to_image(items: CropItems, size: Size) -> Array:
    """Return the matrices [N, 2, 3] from crop to image coordinates of all people, in order."""
    boxes = [part[i].box_xyxy for part, i in items.people]
    return invert_affine(np.stack([crop_affine(box, size, padding=items.spec.crop.padding) for box in boxes]))


def _hits(items: CropItems, found: Array, threshold: float) -> Array:
    """Return [N, K]: 1 for a hit, 0 for a miss, NaN where a joint does not count.

    Args:
        items: The crops of N people.
        found: Predicted joints [N, K, 2] in image pixels.
        threshold: Maximum distance of a hit, as a fraction of the torso length.
    """
    spec = items.spec
    joints = [joints_in(part[i], spec.skeleton, part.skeleton) for part, i in items.people]
    truth, labels = (np.stack(values) for values in zip(*joints, strict=True))
    return hits(found, truth, labels, torso_px(truth, labels, spec.skeleton), threshold)
