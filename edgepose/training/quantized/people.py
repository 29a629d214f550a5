"""The people of fine-tuning: those to train on, and those that choose the best step, never of the same image."""

from __future__ import annotations

from collections.abc import Sequence

from edgepose.artifacts.spec import ModelSpec
from edgepose.datasets.augment import AugmentOptions
from edgepose.datasets.samples import PoseData, SampleList, counted
from edgepose.errors import UsageError

EVERY = 8  # one image of so many chooses the best step
MOST = 128  # people that choose the best step


def divided_by_image(data: Sequence[PoseData]) -> tuple[list[SampleList], list[SampleList]]:
    """Divide data sets into a part to train on and a part to validate on, by image.

    Returns:
        Both parts of each data set; data sets without people in a part are left out of it.
    """
    train: list[SampleList] = []
    held: list[SampleList] = []
    for part in data:
        people = [part[i] for i in counted(part)]
        images = list(dict.fromkeys((sample.image_id, sample.name) for sample in people))
        chosen = set(images[EVERY - 1 :: EVERY])
        for parts, inside in ((train, False), (held, True)):
            kept = tuple(sample for sample in people if ((sample.image_id, sample.name) in chosen) == inside)
            if kept:
                ids = tuple(dict.fromkeys(sample.image_id for sample in kept))
                parts.append(SampleList(name=part.name, skeleton=part.skeleton, samples=kept, image_ids=ids))
    return train, held


def mild() -> AugmentOptions:
    """Return the augmentation without a recipe: crops like those that the network will see, and their mirror images."""
    return AugmentOptions(scale=0.1, rotation_deg=10.0, rotate=0.5, shift=0.02, half_body=0.0, color=0.1)


def refuse_few(people: int, held: int, batch: int, spec: ModelSpec) -> None:
    """Raise UsageError if the people do not fill a batch, or none are left to choose the best step."""
    if people < batch or not held:
        raise UsageError(
            f"{people} people to train {spec.name} on and {held} to choose the best step are too few; give data with "
            f"more images (a batch needs {batch} people; several hundred are good)"
        )
