"""`synthetic:N`, rendered figures as a data set, for the demo and the tests. No accuracy claim rests on it.

Image `index` of a seed is always the same, in whatever order images are requested (`render_still`). A sample is the
first figure of its image; other figures are unlabeled clutter, as in LSP. The bounding box is tight around the labeled
joints, and the OKS area is the area of the box, also as in LSP. Labels follow from the rendering, so the first access
to a sample renders its image. All labels and the last rendered images are kept in memory.
"""

from __future__ import annotations

import functools

import numpy as np

from edgepose._checks import Array
from edgepose.datasets.rendering import Scene, render_still
from edgepose.datasets.samples import EveryoneCounts, Sample
from edgepose.errors import UsageError
from edgepose.pose.geometry import Size, box_of_joints
from edgepose.pose.skeletons import SKELETONS

SIZE = (320, 256)  # (height, width)
KEPT = 256  # number of images in memory, 63 MB


class SyntheticPeople(EveryoneCounts):
    """A data set of rendered images, with one labeled person per image and the skeleton lsp14.

    Attributes:
        name: `synthetic:COUNT:SEED`.
        skeleton: The skeleton of the labels.
        image_ids: The numbers of the images.
        seed: The seed of the data set.
        size: The (height, width) of an image, pixels.
    """

    def __init__(self, count: int, seed: int = 0, size: Size = SIZE) -> None:
        if count < 1 or seed < 0:
            raise UsageError(f"synthetic:{count}:{seed}: expected a count of 1 or more and a seed of 0 or more")
        self.name = f"synthetic:{count}:{seed}"
        self.skeleton = SKELETONS["lsp14"]
        self.image_ids = range(count)
        self.seed, self.size = seed, size
        self._samples: dict[int, Sample] = {}

    def __len__(self) -> int:
        return len(self.image_ids)

    def __getitem__(self, index: int) -> Sample:
        number = self.image_ids[index]
        if number not in self._samples:
            self._samples[number] = self._subject(number)
        return self._samples[number]

    def _subject(self, number: int) -> Sample:
        scene = _scene(self.seed, number, self.size)
        xy, labeled = scene.joints_xy_image[0], scene.labeled[0]
        box = box_of_joints(xy, labeled)
        return Sample(
            image_id=number,
            name=f"synthetic-{self.seed}-{number:06d}",
            read=functools.partial(_picture, self.seed, number, self.size),
            xy_image=np.where(labeled[:, None], xy, 0).astype(np.float32),
            labeled=labeled,
            occluded=scene.occluded[0],
            box_xyxy=box.astype(np.float32),
            area=float((box[2] - box[0]) * (box[3] - box[1])),
        )


@functools.lru_cache(maxsize=KEPT)
def _scene(seed: int, number: int, size: Size) -> Scene:
    return render_still(seed, number, size)


def _picture(seed: int, number: int, size: Size) -> Array:
    """Return a copy of the image, [H, W, 3] uint8 BGR."""
    return np.array(_scene(seed, number, size).image)
