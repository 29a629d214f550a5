"""`synthetic:N`: rendered figures as a data set, for the demo and the tests; no accuracy claim rests on it.

Picture `index` of a seed is always the same, whoever asks and in whatever order (`render_still`). A sample
is its subject, the first figure; somebody beside it is clutter, as in LSP. Boxes and areas are LSP's too:
tight around the labeled joints. Labels follow from the picture, so a sample costs a rendering the first
time; they are kept, and the last pictures too.
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
KEPT = 256  # pictures; 63 MB of them


class SyntheticPeople(EveryoneCounts):
    """`count` pictures of one subject each; skeleton lsp14."""

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
    """[H, W, 3] uint8 BGR, the caller's own."""
    return np.array(_scene(seed, number, size).image)
