"""The contract of a person detector, which the recognizers of all detectors fill in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgepose.artifacts.spec import CropSpec, InputSpec, ModelSpec
from edgepose.codecs.onestage import OnestageCodec
from edgepose.pose.skeletons import PERSON
from edgepose.recognize.candidate import Candidate, Guess, Port
from edgepose.recognize.ports import Image, float_image

if TYPE_CHECKING:
    import onnx

    from edgepose.pose.geometry import Size

GRAY = 114  # the level around the image
COCO_PERSON = 0  # the first class of COCO-80
Channels = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """How pixels become values: (pixel * scale - mean) / std."""

    color: str
    mean: Channels = (0.0, 0.0, 0.0)
    std: Channels = (1.0, 1.0, 1.0)
    scale: float = 1.0


RGB_0_1 = Pixels(color="rgb", scale=1 / 255)  # Ultralytics, RT-DETR
BGR_0_255 = Pixels(color="bgr")  # YOLOX, SSD
BGR_IMAGENET = Pixels(color="bgr", mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395))  # RTMDet, NanoDet

CENTER = CropSpec(padding=1.0, border_value=GRAY, place="center", resize="round")  # Ultralytics
TOP_LEFT = CropSpec(padding=1.0, border_value=GRAY, place="top_left", resize="truncate")  # YOLOX, RTMDet
STRETCH = CropSpec(padding=1.0, place="stretch")  # NanoDet, SSD, RT-DETR


def only_output(candidate: Candidate) -> tuple[Image, Size, Port] | None:
    """Return the image of a detector with one output, its size and that output.

    Args:
        candidate: The network.

    Returns:
        None where the network takes anything but one image of floats of one size, or has several outputs.
    """
    image = float_image(candidate)
    if image is None or image.size is None or len(candidate.outputs) != 1:
        return None
    return image, image.size, candidate.outputs[0]


def detector_contract(
    name: str,
    image: Image,
    size: Size,
    model: onnx.ModelProto,
    *,
    pixels: Pixels,
    crop: CropSpec,
    score_threshold: float,
    iou_threshold: float | None,
) -> ModelSpec:
    """Return the contract of a detector whose graph was rewritten.

    Args:
        name: The name of the network.
        image: Its input.
        size: (height, width) of the input.
        model: The rewritten graph, with one output.
        pixels: How pixels become values.
        crop: How the image is placed in the input.
        score_threshold: The score that a person must exceed.
        iou_threshold: The largest overlap of two people; None for a network that suppresses boxes itself.
    """
    return ModelSpec(
        name=name,
        skeleton=PERSON,
        input=InputSpec(
            name=image.name, size=size, dtype=image.dtype,
            color=pixels.color, mean=pixels.mean, std=pixels.std, scale=pixels.scale,
        ),
        codec=OnestageCodec(score_threshold=score_threshold, iou_threshold=iou_threshold),
        crop=crop,
        outputs=(model.graph.output[0].name,),
    )  # fmt: skip


def stem_of(candidate: Candidate, default: str) -> str:
    """Return the name of a network: that of its file, or a default for a file that all exports are called."""
    stem = "" if candidate.path is None else candidate.path.stem
    return default if stem in ("", "end2end", "model") else stem


def pixel_guesses(pixels: Pixels, why: str) -> tuple[Guess, ...]:
    """Return the guesses about color order and normalization.

    Args:
        pixels: What was taken.
        why: Why, as a clause.
    """
    values: dict[str, object] = {"color": pixels.color, "mean": pixels.mean, "std": pixels.std}
    values |= {} if pixels.scale == 1 else {"scale": pixels.scale}
    return tuple(Guess(field=f"input.{key}", value=_text(value), reason=why) for key, value in values.items())


def crop_guess(crop: CropSpec, why: str) -> Guess:
    """Return the guess about how an image is placed in the input."""
    return Guess(field="crop.place", value=crop.place, reason=why)


def person_guess(candidate: Candidate, person: int, why: str) -> tuple[Guess, ...]:
    """Return the guess about which class is that of people; nothing where the user says it.

    The graph holds the class, and the contract has no such key.
    """
    return () if candidate.classes else (Guess(field="person", value=f"class {person}", reason=why),)


def size_guess(size: Size, why: str) -> Guess:
    """Return the guess about the size of an input that the graph leaves open."""
    return Guess(field="input.size", value=str(list(size)), reason=why)


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(f'{number:g}' for number in value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
