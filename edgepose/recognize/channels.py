"""Outputs that are maps: how many channels they have and how large they are."""

from __future__ import annotations

from dataclasses import dataclass

from edgepose.pose.geometry import Size
from edgepose.recognize.candidate import Candidate, Guess
from edgepose.recognize.ports import Image, floats, output_shapes

FREE = "assumed, as the graph takes images of any size; `edgepose build` takes another one with --shape"


@dataclass(frozen=True, kw_only=True)
class Maps:
    """An output [N, C, h, w].

    Attributes:
        name: The name of the output.
        channels: C.
        size: (height, width), cells.
    """

    name: str
    channels: int
    size: Size


def maps_of(candidate: Candidate, image: Image, size: Size) -> tuple[Maps, ...]:
    """Return the outputs of four axes, in their order.

    Args:
        candidate: The network.
        image: Its input.
        size: (height, width) of the image.
    """
    shapes = output_shapes(candidate, image, size)
    named = [(port.name, shapes.get(port.name, ())) for port in floats(candidate)]
    return tuple(
        Maps(name=name, channels=shape[1], size=(shape[2], shape[3])) for name, shape in named if len(shape) == 4
    )


def pair(maps: tuple[Maps, ...], first: int, second: int) -> tuple[str, str] | None:
    """Return the names of the two outputs with these numbers of channels, of equal size; the last ones of several.

    Args:
        maps: The outputs.
        first: The channels of one output.
        second: The channels of the other.
    """
    one, other = ([item for item in maps if item.channels == count] for count in (first, second))
    return (one[-1].name, other[-1].name) if one and other and one[-1].size == other[-1].size else None


def size_guess(image: Image, size: Size) -> tuple[Guess, ...]:
    """Return the guess of the input's size where the graph leaves it open.

    Args:
        image: The input.
        size: (height, width) that was taken.
    """
    return () if image.size else (Guess(field="input.size", value=f"{list(size)}", reason=FREE),)
