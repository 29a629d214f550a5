"""A folder of photographs without labels, to calibrate on: each image is one `Sample` as large as itself.

`labeled` is False everywhere, so nothing can be evaluated on it; the skeleton is there because every data
set has one. Files are in natural order (frame2 before frame10); other files in the folder are left alone.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from edgepose.datasets.samples import EveryoneCounts, Sample
from edgepose.media.images import images_in, read_image
from edgepose.pose.geometry import Size
from edgepose.pose.skeletons import SKELETONS, Skeleton


class ImageFolder(EveryoneCounts):
    """The images of a folder. A sample decodes its image once, for its size, and again when it is read."""

    def __init__(self, folder: Path, paths: tuple[Path, ...], skeleton: Skeleton) -> None:
        self.name = f"images:{folder}"
        self.skeleton = skeleton
        self.image_ids = range(len(paths))
        self.paths = paths
        self._sizes: dict[int, Size] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Sample:
        """The whole image as one box, edge to edge. DataError when it cannot be decoded."""
        number = self.image_ids[index]
        height, width = self._size(number)
        nothing = np.zeros(len(self.skeleton), bool)
        return Sample(
            image_id=number,
            name=self.paths[number].name,
            read=functools.partial(read_image, self.paths[number]),
            xy_image=np.zeros((len(self.skeleton), 2), np.float32),
            labeled=nothing,
            occluded=nothing,
            box_xyxy=np.array([-0.5, -0.5, width - 0.5, height - 0.5], np.float32),
            area=float(height * width),
        )

    def _size(self, number: int) -> Size:
        if number not in self._sizes:
            height, width = read_image(self.paths[number]).shape[:2]
            self._sizes[number] = (height, width)
        return self._sizes[number]


def load_images(folder: Path, skeleton: Skeleton = SKELETONS["lsp14"]) -> ImageFolder:
    """The images directly in `folder` as people who fill them. DataError when there is none."""
    return ImageFolder(folder, tuple(images_in(folder)), skeleton)
