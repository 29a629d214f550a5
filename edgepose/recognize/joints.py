"""Top-down networks that return joints: regressors, and networks with their decoder inside.

A SimCC network that mmdeploy exported with `export_postprocess` gives joints [N, K, 2] in pixels of its input, and
scores [N, K]. Pixels and fractions have one shape, so the network is run on an image of noise to tell them apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec
from edgepose.codecs.regression import RegressionCodec
from edgepose.graph.adapters.pixels import affine_joints, pixels_to_unit
from edgepose.pose.geometry import Size
from edgepose.recognize.candidate import SHAPES, Candidate, Guess, Recognized
from edgepose.recognize.channels import size_guess
from edgepose.recognize.naming import name_of
from edgepose.recognize.ports import Image, float_image, floats, output_shapes, outputs_of_noise
from edgepose.recognize.preprocessing import Preparation, usual_preparation
from edgepose.recognize.skeletons import skeleton_of

FEWEST = 4  # joints; fewer are boxes or points of something else
LARGEST = 1.25  # crops; fractions of what a network sees in noise are not further from the corner
LEAST_PIXELS = 4.0  # the largest coordinate of joints in pixels is above it, even in noise
WHY = "as most top-down networks take it; the ONNX file does not say it"
SIZE: Size = (256, 192)

PIXELS, UNIT, CENTERED = "pixels", "unit", "centered"


@dataclass(frozen=True, kw_only=True)
class Joints:
    """The outputs of a network that returns joints.

    Attributes:
        xy: The name of the output with the joints, [N, K, 2], or [N, K, 3] with the score.
        scores: The name of the output with the scores, [N, K] or [N, K, 1]; None where there is none.
        joints: The number of joints.
        size: (height, width) of the input.
        scored: Whether `xy` holds the scores.
    """

    xy: str
    scores: str | None
    joints: int
    size: Size
    scored: bool = False


def joints_of(candidate: Candidate, image: Image, stated: Size | None = None) -> Joints | None:
    """Find joints, and their scores, among the outputs of a network.

    Args:
        candidate: The network.
        image: Its input.
        stated: (height, width) as a file beside the network says; it counts where the graph leaves the size open.
    """
    names = [port.name for port in floats(candidate)]
    if not 1 <= len(names) <= 2 or len(names) != len(candidate.outputs):
        return None
    size = image.sized(stated or SIZE)
    shapes = output_shapes(candidate, image, size)
    for name in names:
        shape = shapes.get(name, ())
        if len(shape) != 3 or shape[2] not in (2, 3) or shape[1] < FEWEST:
            continue
        others = [other for other in names if other != name]
        if not others:
            return Joints(xy=name, scores=None, joints=shape[1], size=size, scored=shape[2] == 3)
        if shape[2] == 2 and shapes.get(others[0]) in ((1, shape[1]), (1, shape[1], 1)):
            return Joints(xy=name, scores=others[0], joints=shape[1], size=size)
    return None


def counted_in(xy: Array, size: Size) -> str | None:
    """Return what coordinates count in: "pixels" of the input, "unit" fractions, or "centered" ones.

    Args:
        xy: [1, K, 2] float, what a network returns for an image of noise.
        size: (height, width) of the input.

    Returns:
        None where the values are none of these.
    """
    values = np.asarray(xy, np.float64)
    if not np.isfinite(values).all():
        return None
    low, high = float(values.min()), float(values.max())
    side = float(max(size))
    if high > LEAST_PIXELS and low > -0.5 * side and high < 1.5 * side:
        return PIXELS
    if low >= LARGEST - 1.5 and high <= LARGEST:
        return UNIT
    return CENTERED if low >= -0.75 and high <= 0.75 else None


def recognized_joints(
    candidate: Candidate,
    image: Image,
    found: Joints,
    preparation: Preparation,
    *,
    family: str,
    source: str,
    unit: str,
    hint: str = "",
    shift: tuple[float, float] = (0.0, 0.0),
    guesses: tuple[Guess, ...] = (),
) -> Recognized:
    """Return the contract of a network that returns joints, with its graph rewritten to one output of fractions.

    Args:
        candidate: The network.
        image: Its input.
        found: Its outputs.
        preparation: The pixels that it sees.
        family: The name of the family.
        source: What it was recognized from.
        unit: What its coordinates count in, "pixels", "unit" or "centered".
        hint: A text that may name the data set.
        shift: What is to be added to x and y, in pixels of the input, where they are fractions.
        guesses: Further guesses.
    """
    skeleton, about = skeleton_of(found.joints, hint=hint)
    height, width = found.size
    if unit == PIXELS:
        model = pixels_to_unit(candidate.model, found.xy, found.scores, found.size, scored=found.scored)
    elif found.scores is None and shift == (0.0, 0.0):
        model = candidate.model
    else:
        by = (shift[0] / width, shift[1] / height)
        model = affine_joints(candidate.model, found.xy, found.scores, scale=(1.0, 1.0), shift=by, scored=found.scored)
    output = found.xy if model is candidate.model else model.graph.output[0].name
    spec = ModelSpec(
        name=name_of(candidate),
        skeleton=skeleton,
        input=preparation.input(image, found.size),
        codec=RegressionCodec(range=CENTERED if unit == CENTERED else UNIT),
        crop=preparation.crop(),
        outputs=(output,),
    )
    return Recognized(
        family=family, source=source, model=model, spec=spec, guesses=(*preparation.guesses, *about, *guesses)
    )


class JointNetworks:
    """Networks that return joints, without files beside them."""

    name = "joints"

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Recognize an output [N, K, 2] or [N, K, 3], see `registry.Family.recognize`."""
        image = float_image(candidate)
        found = None if image is None else joints_of(candidate, image)
        if image is None or found is None:
            return None
        values = outputs_of_noise(candidate, image, found.size)
        unit = counted_in(values[found.xy][..., :2], found.size) if found.xy in values else None
        if unit is None:
            return None
        xy = values[found.xy][..., :2]
        seen = f"its coordinates lie between {xy.min():.3g} and {xy.max():.3g} on an image of noise"
        what = "pixels of the input, which the graph now divides by its size" if unit == PIXELS else unit
        guess = Guess(field="codec.range", value=UNIT if unit == PIXELS else unit, reason=f"{seen}: {what}")
        preparation = usual_preparation(WHY)
        how: dict[str, Any] = {"family": self.name, "source": SHAPES, "unit": unit}
        return recognized_joints(
            candidate, image, found, preparation, **how, guesses=(guess, *size_guess(image, found.size))
        )

    def near(self, candidate: Candidate) -> str | None:
        """Say why an output [N, K, 2] or [N, K, 3] is not taken, see `registry.Explaining.near`."""
        image = float_image(candidate)
        if image is None or joints_of(candidate, image) is None:
            return None
        return "the values of its joints on an image of noise are neither pixels of its input nor fractions of it"


JOINTS = JointNetworks()
