"""How images become the input of a top-down network: what files beside it state, and what has to be guessed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgepose.artifacts.spec import IMAGENET_MEAN, IMAGENET_STD, CropSpec, InputSpec
from edgepose.recognize.candidate import Guess

if TYPE_CHECKING:
    from edgepose.pose.geometry import Size
    from edgepose.recognize.ports import Image

Channels = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """The pixels that a top-down network sees.

    Attributes:
        color: 'rgb' or 'bgr'.
        mean: The mean of each channel, in the order of `color`, pixels 0..255.
        std: The standard deviation of each channel.
        padding: The factor that the box of a person grows by.
        guesses: Which of these no evidence states.
    """

    color: str = "rgb"
    mean: Channels = IMAGENET_MEAN
    std: Channels = IMAGENET_STD
    padding: float = 1.25
    guesses: tuple[Guess, ...] = ()

    def input(self, image: Image, size: Size) -> InputSpec:
        """Return the input of the contract.

        Args:
            image: The input of the network.
            size: (height, width).
        """
        return InputSpec(name=image.name, size=size, color=self.color, mean=self.mean, std=self.std, dtype=image.dtype)

    def crop(self) -> CropSpec:
        """Return how people are cut out."""
        return CropSpec(padding=self.padding)


def usual_preparation(why: str) -> Preparation:
    """Return RGB with the mean and standard deviation of ImageNet and a padding of 1.25, all of it guessed.

    Args:
        why: Why, as a clause such as "as most heatmap networks take it".
    """
    guesses = (
        Guess(field="input.color", value="rgb", reason=f"assumed, {why}"),
        Guess(field="input.mean", value=values_text(IMAGENET_MEAN), reason=f"that of ImageNet is assumed, {why}"),
        Guess(field="input.std", value=values_text(IMAGENET_STD), reason=f"that of ImageNet is assumed, {why}"),
    )
    return with_padding(Preparation(guesses=guesses), None, why)


def with_padding(preparation: Preparation, stated: float | None, why: str) -> Preparation:
    """Return a preparation with the padding that is stated, or else a guessed one.

    Args:
        preparation: The preparation.
        stated: The padding, or None.
        why: Why it is guessed, as a clause.
    """
    if stated is not None:
        return replace(preparation, padding=stated)
    guess = Guess(field="crop.padding", value=f"{preparation.padding:g}", reason=f"assumed, {why}")
    return replace(preparation, guesses=(*preparation.guesses, guess))


def values_text(values: Channels) -> str:
    """Return the values of the channels as text."""
    return f"[{', '.join(f'{value:g}' for value in values)}]"
