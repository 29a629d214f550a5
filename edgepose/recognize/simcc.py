"""SimCC networks (RTMPose, RTMW, DWPose): one vector per joint for each axis of the crop.

mmdeploy and rtmlib call the outputs `simcc_x` [N, K, W * split] and `simcc_y` [N, K, H * split]. The decoder may be
inside the graph instead (mmdeploy's `export_postprocess`): then see `joints`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from edgepose.artifacts.spec import ModelSpec
from edgepose.codecs.simcc import SimccCodec, bins
from edgepose.pose.geometry import Size
from edgepose.recognize.candidate import NAMES, SHAPES, Candidate, Guess, Recognized
from edgepose.recognize.channels import size_guess
from edgepose.recognize.naming import name_of
from edgepose.recognize.ports import Image, float_image, floats, no_image, output_shapes
from edgepose.recognize.preprocessing import Preparation, usual_preparation
from edgepose.recognize.skeletons import skeleton_of

X, Y = "simcc_x", "simcc_y"
SIZES: tuple[Size, ...] = ((256, 192), (384, 288), (256, 256), (224, 224), (192, 256), (112, 112))  # of published ones
WHY = "as RTMPose and its relatives take it; the ONNX file does not say it"


@dataclass(frozen=True, kw_only=True)
class Vectors:
    """The outputs of a SimCC network.

    Attributes:
        x: The name of the output for x.
        y: The name of the output for y.
        joints: The number of joints.
        split: The number of bins per pixel.
        size: (height, width) of the input.
        named: Whether the names of the outputs told them apart.
    """

    x: str
    y: str
    joints: int
    split: float
    size: Size
    named: bool


def vectors_of(
    candidate: Candidate, image: Image, stated: Size | None = None, renamed: Mapping[str, str] | None = None
) -> Vectors | None:
    """Find SimCC vectors among the outputs of a network.

    Args:
        candidate: The network.
        image: Its input.
        stated: (height, width) as a file beside the network says; it counts where the graph leaves the size open.
        renamed: Output of the graph -> its name in the pipeline.
    """
    names = [port.name for port in floats(candidate)]
    called = {(renamed or {}).get(name, name): name for name in names}
    named = X in called and Y in called
    if not named and (len(names) != 2 or len(candidate.outputs) != 2):
        return None
    pair = (called[X], called[Y]) if named else (names[0], names[1])
    usual = (stated, *SIZES) if stated else SIZES
    for size in dict.fromkeys(image.sized(size) for size in usual):
        shapes = output_shapes(candidate, image, size)
        for x, y in (pair,) if named else (pair, pair[::-1]):
            found = _fitting(shapes.get(x), shapes.get(y), size)
            if found is not None:
                return Vectors(x=x, y=y, joints=found[0], split=found[1], size=size, named=named)
    return None


def _fitting(x: tuple[int, ...] | None, y: tuple[int, ...] | None, size: Size) -> tuple[int, float] | None:
    """Return the number of joints and the bins per pixel of two vectors that fit an input; None where they do not."""
    if x is None or y is None or len(x) != 3 or len(y) != 3 or x[:2] != y[:2]:
        return None
    split = x[2] / size[1]
    return (x[1], split) if split >= 1 and bins(size, split) == (y[2], x[2]) else None


def recognized_vectors(
    candidate: Candidate,
    image: Image,
    vectors: Vectors,
    preparation: Preparation,
    *,
    family: str,
    source: str,
    hint: str = "",
) -> Recognized:
    """Return the contract of a SimCC network.

    Args:
        candidate: The network.
        image: Its input.
        vectors: Its outputs.
        preparation: The pixels that it sees.
        family: The name of the family.
        source: What it was recognized from.
        hint: A text that may name the data set.
    """
    skeleton, guesses = skeleton_of(vectors.joints, hint=hint)
    if not vectors.named and vectors.size[0] == vectors.size[1]:
        reason = "the input is square and the names do not say which is x, so that the first was taken for x"
        guesses += (Guess(field="outputs", value=f"{[vectors.x, vectors.y]}", reason=reason),)
    spec = ModelSpec(
        name=name_of(candidate),
        skeleton=skeleton,
        input=preparation.input(image, vectors.size),
        codec=SimccCodec(split=vectors.split),
        crop=preparation.crop(),
        outputs=(vectors.x, vectors.y),
    )
    return Recognized(
        family=family, source=source, model=candidate.model, spec=spec, guesses=(*preparation.guesses, *guesses)
    )


class Simcc:
    """SimCC networks without files beside them."""

    name = "simcc"

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Recognize two outputs that are vectors of the input's sides, see `registry.Family.recognize`."""
        image = float_image(candidate)
        vectors = None if image is None else vectors_of(candidate, image)
        if image is None or vectors is None:
            return None
        source = NAMES if vectors.named else SHAPES
        preparation = usual_preparation(WHY)
        found = recognized_vectors(candidate, image, vectors, preparation, family=self.name, source=source)
        return replace(found, guesses=(*found.guesses, *size_guess(image, vectors.size)))

    def near(self, candidate: Candidate) -> str | None:
        """Say why a network with outputs called simcc_x and simcc_y is none, see `registry.Explaining.near`."""
        names = {port.name for port in candidate.outputs}
        if not {X, Y} & names:
            return None
        if not {X, Y} <= names:
            return f"it has only one of the outputs {X} and {Y}"
        if float_image(candidate) is None:
            return no_image(candidate)
        return f"the lengths of {X} and {Y} are not the same multiple of the input's width and height"


SIMCC = Simcc()
