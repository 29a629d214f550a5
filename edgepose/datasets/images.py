"""A folder of photographs without labels, for calibration. Each image is one `Sample` that fills the whole image.

No joint is labeled, so nothing can be evaluated on such a data set. It has a skeleton because every data set has one.
Files are in natural order (frame2 before frame10). Hidden files and files that are not images are left out; an image
that cannot be read raises DataError, because calibration on other images would be another calibration.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from edgepose.datasets.samples import EveryoneCounts, Sample
from edgepose.errors import DataError, printable
from edgepose.media.folder import list_images
from edgepose.media.images import read_image
from edgepose.pose.geometry import Size
from edgepose.pose.skeletons import SKELETONS, Skeleton


class ImageFolder(EveryoneCounts):
    """The images of a folder. A sample decodes its image once for the size, and again when the image is read.

    Attributes:
        name: `images:FOLDER`.
        folder: The folder in which the names of the samples begin.
        skeleton: The skeleton of the samples.
        image_ids: The numbers of the images.
        paths: The image files.
    """

    def __init__(self, folder: Path, paths: tuple[Path, ...], skeleton: Skeleton) -> None:
        self.name = f"images:{folder}"
        self.folder = folder
        self.skeleton = skeleton
        self.image_ids = range(len(paths))
        self.paths = paths
        self._sizes: dict[int, Size] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Sample:
        """Return an image as a person whose bounding box is the whole image.

        Raises:
            DataError: The image cannot be decoded.
        """
        number = self.image_ids[index]
        height, width = self._size(number)
        nothing = np.zeros(len(self.skeleton), bool)
        return Sample(
            image_id=number,
            name=printable(self.paths[number].relative_to(self.folder).as_posix()),
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


def load_images(folder: Path, skeleton: Skeleton = SKELETONS["lsp14"], *, recursive: bool = False) -> ImageFolder:
    """Load the images of a folder as people who fill them.

    Args:
        folder: The folder.
        skeleton: The skeleton of the samples.
        recursive: Whether to take the images in sub-folders too.

    Raises:
        DataError: The folder has no image, or something with the name of an image that is no file.
    """
    found = list_images(folder, recursive=recursive, remedy=f"write images:{folder}:recursive")
    if found.broken:
        path, reason = found.broken[0]
        raise DataError(f"{printable(str(path))} {reason}; remove it from the images to calibrate on")
    return ImageFolder(folder, found.paths, skeleton)
