"""Inputs that several graphs of one network run on: each image is read and cut once, as far as memory allows."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace

from edgepose._checks import Array
from edgepose.datasets.samples import Picture, PoseData, SampleList, pictures
from edgepose.pose.poses import Poses
from edgepose.runtime.host import HostPipeline, boxes_for

LIMIT = 256 * 1024**2  # bytes of the inputs that are kept
Read = Callable[[], Array]


@dataclass(frozen=True, kw_only=True)
class _Cut:
    """The input of the network [N, ...], the matrices crop -> image [N, 2, 3], and the boxes [N, 4]."""

    crops: Array
    inverse: Array
    boxes_xyxy: Array


@dataclass(kw_only=True)
class SharedInputs:
    """Runs graphs that take the same inputs, and keeps the inputs.

    Attributes:
        limit: Largest number of bytes that are kept. Images beyond it are read and cut again for each graph.
        held: What is kept, by key.
        size: The number of bytes that are kept.
    """

    limit: int = LIMIT
    held: dict[Hashable, _Cut] = field(default_factory=dict)
    size: int = 0

    def poses(self, pipeline: HostPipeline, key: Hashable, read: Read, boxes_xyxy: Array | None = None) -> Poses:
        """Find the poses in an image, as a call of the pipeline does.

        Args:
            pipeline: The opened graph. All graphs have the same contract, except for their codec.
            key: What identifies the image and its boxes.
            read: Returns the image, [H, W, 3] uint8 BGR. It is not called where the input is kept.
            boxes_xyxy: The boxes of people, [N, 4], in image pixels; None for a network that finds people by itself.
        """
        cut = self.held.get(key)
        if cut is None:
            image = read()
            boxes = boxes_for(pipeline.finds_people, image, boxes_xyxy)
            crops, inverse = pipeline.preprocess(image, boxes)
            cut = _Cut(crops=crops, inverse=inverse, boxes_xyxy=boxes)
            if self.size + crops.nbytes <= self.limit:
                self.held[key] = cut
                self.size += crops.nbytes
        return pipeline.decode(pipeline.infer(cut.crops), cut.inverse, cut.boxes_xyxy)


@dataclass(kw_only=True)
class _Last:
    """Reads images, and remembers the last one."""

    number: int | None = None
    image: Array | None = None

    def read(self, number: int, read: Read) -> Array:
        if self.image is None or self.number != number:
            self.number, self.image = number, read()
        return self.image


def remembering(data: PoseData) -> SampleList:
    """Return the images of a data set without labels; one that is read several times in a row is read once.

    Args:
        data: The data set.
    """
    last = _Last()

    def reading(number: int, picture: Picture) -> Read:
        return lambda: last.read(number, picture.read)

    made = tuple(replace(picture, read=reading(number, picture)) for number, picture in enumerate(pictures(data)))
    return SampleList(name=data.name, skeleton=data.skeleton, samples=(), image_ids=tuple(data.image_ids), empty=made)
