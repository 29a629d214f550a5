"""AP50 of a person detector during training: COCO's average precision of boxes that overlap by at least a half."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec
from edgepose.codecs.codec import People
from edgepose.datasets.people_feed import REGION, PeoplePicture, people_pictures
from edgepose.datasets.samples import PoseData
from edgepose.datasets.torch_feed import Item, Items, in_order
from edgepose.errors import UsageError
from edgepose.kernels.cropping import cut, frame_box
from edgepose.metrics import oks
from edgepose.metrics.box_ap import match_boxes
from edgepose.metrics.precision import summary
from edgepose.pose.geometry import Size

BATCH = 16


class WholePictures(Items):
    """The photographs of several data sets as a detector sees them: (image [3, H, W], matrix to the image [2, 3]).

    Args:
        places: The photographs.
        spec: The contract of the network, at the size of the images.
    """

    def __init__(self, places: Sequence[PeoplePicture], spec: ModelSpec) -> None:
        self.seed, self.epoch, self.places, self.spec = 0, 0, places, spec

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Item:
        image = self.places[index].picture.read()
        crops, inverse = cut(image, frame_box((image.shape[0], image.shape[1])), self.spec)
        return crops[0], inverse[0]


@torch.inference_mode()
def box_ap50(
    model: nn.Module, data: Sequence[PoseData], spec: ModelSpec, size: Size, device: torch.device, workers: int
) -> float:
    """Return the AP50 over all photographs of `data`, 0 to 1.

    Args:
        model: The network, which returns candidates [B, A, 5] in evaluation mode.
        data: The validation data.
        spec: The contract.
        size: Height and width of the network's input in pixels.
        device: The device of the network.
        workers: The number of processes that load data.
    """
    spec = replace(spec, input=replace(spec.input, size=size), codec=spec.codec.for_evaluation())
    places = [one for part in data for one in people_pictures(part)]
    was_training = model.training
    model.eval()
    found: list[People] = []
    with contextlib.closing(in_order(WholePictures(places, spec), BATCH, workers=workers)) as feed:
        for images, inverse in feed:
            rows = model(images.to(device)).float().cpu().numpy()
            for row, matrix in zip(rows, inverse.numpy(), strict=True):
                people = spec.codec.decode((row[None],), None, matrix[None], spec)
                assert isinstance(people, People)
                found.append(people)
    model.train(was_training)
    return _ap50(places, found)


def check_boxes(data: Sequence[PoseData]) -> None:
    """Check before training that `box_ap50` has people to measure.

    Raises:
        UsageError: Nobody in `data` has a box.
    """
    if data and not any((one.kinds > REGION).any() for part in data for one in people_pictures(part)):
        names = ", ".join(part.name for part in data)
        raise UsageError(f"nobody in {names} has a box; validate on other data, or leave out --val")


def _ap50(places: Sequence[PeoplePicture], found: Sequence[People]) -> float:
    boxes = np.concatenate([one.boxes_xyxy for one in places])
    image = np.repeat(np.arange(len(places)), [len(one.boxes_xyxy) for one in places])
    labels = oks.People(
        image=image,
        xy_image=boxes.reshape(-1, 2, 2),
        labeled=np.ones((len(boxes), 2), bool),
        boxes_xyxy=boxes,
        area=_areas(boxes),
        crowd=np.concatenate([one.kinds == REGION for one in places]),
    )
    corners = np.concatenate([one.boxes_xyxy for one in found]).astype(np.float64)
    predicted = oks.Found(
        image=np.repeat(np.arange(len(found)), [len(one.boxes_xyxy) for one in found]),
        xy_image=corners.reshape(-1, 2, 2),
        score=np.concatenate([one.box_scores for one in found]).astype(np.float64),
        area=_areas(corners),
    )
    return float(summary(match_boxes(labels, predicted, len(places))).ap50[0])


def _areas(boxes: Array) -> Array:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))
