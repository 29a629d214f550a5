"""Contracts of networks that see whole images: what is fed to them, and what of it was guessed."""

from __future__ import annotations

from typing import Any

from edgepose.artifacts.spec import IMAGENET_MEAN, IMAGENET_STD, ModelSpec, spec_from_dict
from edgepose.pose.geometry import Size
from edgepose.pose.skeletons import Skeleton
from edgepose.recognize.candidate import Candidate, Guess
from edgepose.recognize.naming import name_of
from edgepose.recognize.ports import Image

IMAGENET: dict[str, Any] = {"color": "rgb", "mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)}
OPENPOSE: dict[str, Any] = {"color": "bgr", "mean": [128.0] * 3, "std": [256.0] * 3}
SIGNED: dict[str, Any] = {"color": "rgb", "mean": [127.5] * 3, "std": [127.5] * 3}


def contract(
    candidate: Candidate,
    image: Image,
    size: Size,
    *,
    skeleton: Skeleton,
    pixels: dict[str, Any],
    codec: dict[str, Any],
    outputs: tuple[str, ...],
    crop: dict[str, Any] | None = None,
) -> ModelSpec:
    """Return a checked contract.

    Args:
        candidate: The network.
        image: Its input.
        size: (height, width) of the input.
        skeleton: Its joints, with the limbs in the order of the codec.
        pixels: Color order, mean and standard deviation, for example `IMAGENET`.
        codec: The table of the codec.
        outputs: The outputs that the codec decodes.
        crop: The table of the crop.
    """
    table = {
        "name": name_of(candidate),
        "skeleton": skeleton.to_json(),
        "input": {"name": image.name, "size": list(size), "dtype": image.dtype, **pixels},
        "codec": codec,
        "crop": crop or {},
        "outputs": list(outputs),
    }
    return spec_from_dict(table, "the contract of a recognized network")


def pixel_guesses(pixels: dict[str, Any], reason: str) -> tuple[Guess, ...]:
    """Return the guesses of color order, mean and standard deviation.

    Args:
        pixels: The values that were taken.
        reason: Why.
    """
    return tuple(Guess(field=f"input.{key}", value=str(value), reason=reason) for key, value in pixels.items())
