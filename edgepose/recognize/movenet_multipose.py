"""MoveNet MultiPose Lightning: RGB pixels [1, H, W, 3] as integers, and up to six people.

The output is [1, 6, 56]: y, x, score of 17 joints, then y0, x0, y1, x1, score, from 0 to 1 over the canvas. The longer
side of the image is resized to 256 pixels, and the canvas is filled up below and on the right to multiples of 32
(tfjs-models, pose-detection/src/movenet/detector.ts). An engine has one size: the square holds any image.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgepose.artifacts.spec import CropSpec, InputSpec, ModelSpec
from edgepose.codecs.onestage import OnestageCodec
from edgepose.graph.adapters.inputs import to_float_nchw
from edgepose.graph.adapters.onestage import movenet_multipose
from edgepose.graph.adapters.preprocessing import without_preprocessing
from edgepose.graph.importing import with_image_shape
from edgepose.pose.skeletons import SKELETONS
from edgepose.recognize.candidate import SHAPES, Candidate, Guess, Port, Recognized

if TYPE_CHECKING:
    from edgepose.pose.geometry import Size

JOINTS, PEOPLE = 17, 6
SIZE: Size = (256, 256)
SCORE = 0.11  # a person of tfjs-models' detector is above 0.11
DTYPES = ("uint8", "int32", "int64", "float32", "float16")


class MultiPose:
    """MoveNet MultiPose."""

    name = "movenet-multipose"
    any_input = True
    usual_size = SIZE

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Recognize channels last and six people of 56 numbers, see `registry.Family.recognize`."""
        if len(candidate.inputs) != 1 or len(candidate.outputs) != 1:
            return None
        image, shape = candidate.inputs[0], candidate.outputs[0].shape
        if image.dtype not in DTYPES or len(image.shape) != 4 or shape[1:] != (PEOPLE, 3 * JOINTS + 5):
            return None
        last = image.shape[3] == 3
        if not last and image.shape[1] != 3:
            return None
        size, fixed = _size(image, last=last)
        model = with_image_shape(candidate.model, (*size, 3) if last else (3, *size))
        plain = InputSpec(name=image.name, size=size, color="rgb", mean=(0, 0, 0), std=(1, 1, 1))
        model, taken = without_preprocessing(to_float_nchw(model), plain)
        model = movenet_multipose(model, JOINTS, size)
        spec = ModelSpec(
            name="movenet-multipose",
            skeleton=SKELETONS["coco17"],
            input=replace(taken, layout="nchw", dtype="float32"),
            codec=OnestageCodec(score_threshold=SCORE, max_people=PEOPLE),
            crop=CropSpec(padding=1.0, place="top_left", resize="round"),
            outputs=(model.graph.output[0].name,),
        )
        reason = "the usual size, as the graph takes images of any size; other sizes are multiples of 32"
        guesses = () if fixed else (Guess(field="input.size", value=f"{list(size)}", reason=reason),)
        return Recognized(family=self.name, source=SHAPES, model=model, spec=spec, guesses=guesses)


def _size(image: Port, *, last: bool) -> tuple[Size, bool]:
    """Return (height, width), and whether the graph fixes both."""
    height, width = image.shape[1:3] if last else image.shape[2:4]
    if isinstance(height, int) and isinstance(width, int):
        return (height, width), True
    return (height if isinstance(height, int) else SIZE[0], width if isinstance(width, int) else SIZE[1]), False


MULTIPOSE = MultiPose()
