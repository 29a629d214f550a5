"""Split the people of a data set by image: some to calibrate with, the others to test what calibration made of them.

People of one image are never on both sides. Which images are held out follows from the digests of their names, so the
split is the same on every machine and in every run. Frames of one video are images like any others: neighbors, which
are nearly equal, fall on both sides, and the test then proves less than it says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from edgepose.datasets.samples import EveryoneCounts, PoseData, Sample, counted
from edgepose.pose.skeletons import Skeleton

FEWEST = 46  # images that can be split: 70 % of them are the 32 that calibration needs
SHARE = 0.3  # of the people are held out
LARGEST = 1000  # people held out


class Part(EveryoneCounts):
    """Some people of a data set, all of whom are counted.

    Attributes:
        name: The name of the data set.
        skeleton: The skeleton of the labels.
        image_ids: The numbers of the images that show these people.
    """

    def __init__(self, data: PoseData, people: Sequence[int], image_ids: Sequence[int]) -> None:
        self.name: str = data.name
        self.skeleton: Skeleton = data.skeleton
        self.image_ids = tuple(image_ids)
        self._data, self._people = data, tuple(people)

    def __len__(self) -> int:
        return len(self._people)

    def __getitem__(self, index: int) -> Sample:
        return self._data[self._people[index]]


def split_by_image(data: PoseData, limit: int) -> tuple[PoseData, Part | None]:
    """Split the people who are counted into those to calibrate with and those held out.

    Args:
        data: The data set.
        limit: Largest number of people to calibrate with; the others can be held out.

    Returns:
        The data to calibrate with and the people held out: `SHARE` of them, or all beyond the limit where these are
        more, at most `LARGEST`. With fewer than `FEWEST` images, all of the data and None.
    """
    people = counted(data)
    room = limit + LARGEST
    if len(people) > room:
        people = [people[i * len(people) // room] for i in range(room)]
    images: dict[tuple[str, int], list[int]] = {}
    for i in people:
        sample = data[i]
        images.setdefault((sample.name, sample.image_id), []).append(i)
    if len(images) < FEWEST:
        return data, None
    wanted = min(max(int(SHARE * len(people)), len(people) - limit), LARGEST)
    held: set[tuple[str, int]] = set()
    taken = 0
    for image in sorted(images, key=_order):
        if taken + len(images[image]) <= wanted:
            held.add(image)
            taken += len(images[image])
    sides = [[image for image in images if (image in held) == side] for side in (False, True)]
    calibration, rest = (_part(data, images, side) for side in sides)
    return calibration, rest if len(rest) else None


def _order(image: tuple[str, int]) -> tuple[str, str, int]:
    return hashlib.sha256(image[0].encode()).hexdigest(), *image


def _part(data: PoseData, images: dict[tuple[str, int], list[int]], chosen: Sequence[tuple[str, int]]) -> Part:
    people = sorted(i for image in chosen for i in images[image])
    return Part(data, people, sorted({number for _, number in chosen}))
