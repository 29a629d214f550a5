"""Pseudo-labels of networks that find people by themselves: whom the float network finds surely in moved images.

`pseudo_labels` explains the idea. A network of this kind sees whole images, so its copies are images with borders
(`moved_images`). The people whom the float network finds surely in a copy stand in for labels. The float network and
the quantized one are both compared with them on the original images, by AP and by the metrics of matched people, or by
AP of boxes for a person detector. An uncertain person, who is found in some copies only, may then be lost with a small
loss; one whom every copy shows may not. A person whom only the quantized network finds is a false one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgepose._checks import Array
from edgepose.datasets.samples import Picture, Sample, SampleList, pictures
from edgepose.errors import DataError
from edgepose.measure.held_out import LabeledPeople, LeftOut, labeled_people, retained
from edgepose.measure.predictions import Detected
from edgepose.measure.pseudo_labels import people_at, unread
from edgepose.metrics.metric import Draws, Sampled
from edgepose.pose.skeletons import Skeleton

SURE = 1 / 3  # a person counts as sure from this part of the way from the score that counts to 1
# Loss on labels over that on pseudo-labels.
FACTORS = {"pck@0.2": 1.0, "pck@0.1": 1.0, "pcp@0.5": 1.0, "oks_ap": 1.0, "box_ap": 1.0}


@dataclass(frozen=True, kw_only=True)
class PseudoPeople:
    """Pseudo-labels of the people in I images, and what the float network reaches on them.

    Attributes:
        people: The labels, those of every copy.
        first: What the float network reaches, by metric.
        numbers: [C, I] int64, the number of each image in the labels of each copy.
    """

    people: LabeledPeople
    first: Mapping[str, Sampled]
    numbers: Array

    @property
    def count(self) -> int:
        """The number of people in all copies."""
        return self.people.labels.n

    def retained(self, found: Detected) -> dict[str, LeftOut]:
        """Return what a network retains of each metric on the pseudo-labels.

        Args:
            found: The people whom it finds in the I images.
        """
        return retained(self.people, dict(self.first), self.people.measure(_repeated(found, self.numbers)))


def pseudo_people(
    first: Detected, copies: Sequence[Detected], images: int, metrics: Collection[str], counted_from: float
) -> PseudoPeople | None:
    """Make pseudo-labels.

    Args:
        first: What the float network finds in the images, also people of a low score.
        copies: What it finds in each copy of them, in pixels of the images.
        images: The number of images I.
        metrics: Names of the metrics; those that the people do not allow are left out.
        counted_from: The score from which a person counts (`Codec.for_comparison`).

    Returns:
        The labels; None where the float network is sure of nobody, or the metrics cannot be measured.
    """
    sure = counted_from + SURE * (1 - counted_from) if counted_from else 0.0
    data, numbers = _labels(first.engine.skeleton, copies, images, sure)
    everyone = _repeated(first, numbers)
    try:
        people = labeled_people(data, everyone, metrics)
    except DataError:
        return None
    people = by_image(people, numbers)
    return PseudoPeople(people=people, first=people.measure(everyone), numbers=numbers)


def _labels(skeleton: Skeleton, copies: Sequence[Detected], images: int, sure: float) -> tuple[SampleList, Array]:
    """Return the people of all copies as a data set, and [C, I] the number of each image in `pictures` of it."""
    samples: list[Sample] = []
    empty: list[Picture] = []
    for copy, found in enumerate(copies):
        chosen = np.flatnonzero(found.box_scores > sure)
        chosen = chosen[np.argsort(found.image[chosen], kind="stable")]
        xy, image = found.xy_image[chosen], found.image[chosen].tolist()
        samples += people_at(skeleton, xy, [(copy * images + one, "") for one in image]).samples
        empty += [
            Picture(image_id=copy * images + one, name="", read=unread)
            for one in sorted(set(range(images)) - set(image))
        ]
    ids = tuple(range(len(copies) * images))
    data = SampleList(name="", skeleton=skeleton, samples=tuple(samples), image_ids=ids, empty=tuple(empty))
    numbers = np.empty(len(ids), np.int64)
    for number, picture in enumerate(pictures(data)):
        numbers[picture.image_id] = number
    return data, numbers.reshape(len(copies), images)


def by_image(people: LabeledPeople, numbers: Array) -> LabeledPeople:
    """Return labels whose draws leave out an image with all of its copies, since these are not independent.

    Args:
        people: The labels of all copies.
        numbers: [C, I] int64, the number of each image in the labels of each copy.
    """
    original = np.empty(numbers.size, np.int64)
    original[numbers.ravel()] = np.tile(np.arange(numbers.shape[1]), len(numbers))
    kept = (original[None, :] != np.arange(numbers.shape[1])[:, None]).astype(np.float64)  # [I, C I]
    image = people.labels.people.image[people.labels.counted]
    sizes = np.bincount(original[image], minlength=numbers.shape[1]) / len(numbers)
    draws = Draws(people=kept[:, image], images=kept)
    return replace(people, draws=draws, sizes=np.maximum(sizes, 1.0))


def _repeated(found: Detected, numbers: Array) -> Detected:
    """Return the people as if they had been found in the images of every copy."""
    copies = len(numbers)
    return replace(
        found,
        image=numbers[:, found.image].ravel(),
        xy_image=np.tile(found.xy_image, (copies, 1, 1)),
        scores=np.tile(found.scores, (copies, 1)),
        box_scores=np.tile(found.box_scores, copies),
        area=np.tile(found.area, copies),
    )
