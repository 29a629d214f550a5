"""MoveNet SinglePose, Lightning (192 x 192) and Thunder (256 x 256).

The published networks take RGB pixels [1, H, W, 3] as integers, map them to -1..1 inside, and return [1, 1, 17, 3] of
y, x and score for the joints of COCO, x and y from 0 to 1 over the square crop (tfjs-models,
pose-detection/src/movenet/detector.ts). Conversions with floats or with channels first have the same outputs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgepose.artifacts.spec import CropSpec, InputSpec, ModelSpec
from edgepose.codecs.regression import RegressionCodec
from edgepose.graph.adapters.inputs import to_float_nchw
from edgepose.graph.adapters.outputs import to_joints
from edgepose.graph.adapters.preprocessing import without_preprocessing
from edgepose.pose.skeletons import SKELETONS
from edgepose.recognize.candidate import SHAPES, Candidate, Guess, Port, Recognized
from edgepose.recognize.tensorflow import image_size

if TYPE_CHECKING:
    from edgepose.pose.geometry import Size

SIZES: dict[Size, str] = {(192, 192): "lightning", (256, 256): "thunder"}
FIELDS = ("y", "x", "score")
JOINTS = 17
DTYPES = ("uint8", "int32", "int64", "float32", "float16")


@dataclass(frozen=True, kw_only=True)
class MoveNet:
    """MoveNet SinglePose."""

    name: str = "movenet"
    any_input: bool = True
    usual_size: Size = (192, 192)

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Return the contract of a MoveNet, or None for any other network.

        Args:
            candidate: The network.
        """
        if len(candidate.inputs) != 1 or len(candidate.outputs) != 1:
            return None
        image, output = candidate.inputs[0], candidate.outputs[0]
        size = image_size(image)
        if image.dtype not in DTYPES or size is None or size[0] != size[1] or not _is_single(output):
            return None
        kind = SIZES.get(size, f"{size[0]}")
        model, taken = without_preprocessing(
            to_float_nchw(candidate.model),
            InputSpec(name=image.name, size=size, color="rgb", mean=(0, 0, 0), std=(1, 1, 1)),
        )
        model = to_joints(model, output.name, fields=FIELDS, count=JOINTS)
        spec = ModelSpec(
            name=f"movenet-{kind}",
            skeleton=SKELETONS["coco17"],
            input=replace(taken, layout="nchw", dtype="float32"),
            crop=CropSpec(padding=1.25),
            codec=RegressionCodec(range="unit"),
            outputs=(model.graph.output[0].name,),
        )
        guesses = [Guess(field="crop.padding", value="1.25", reason="assumed, since the graph does not hold it")]
        if image.dtype.startswith("float"):
            levels = "assumed, since the published network takes pixels 0..255 and this one takes floats"
            guesses += [Guess(field="input.mean", value=str(list(taken.mean)), reason=levels)]
        return Recognized(family=self.name, source=SHAPES, model=model, spec=spec, guesses=tuple(guesses))

    def near(self, candidate: Candidate) -> str | None:
        """Say why an output [1, 1, 17, 3] is not taken, see `registry.Explaining.near`."""
        shapes = [port.shape for port in candidate.inputs]
        image = len(shapes) == 1 and len(shapes[0]) == 4 and 3 in (shapes[0][1], shapes[0][3])
        if not image or len(candidate.outputs) != 1 or not _is_single(candidate.outputs[0]):
            return None
        return "it does not take one square image [N, H, W, 3] or [N, 3, H, W]"


def _is_single(output: Port) -> bool:
    """Whether an output is [1, 1, 17, 3]."""
    return len(output.shape) == 4 and output.shape[2:] == (JOINTS, 3) and output.shape[1] in (1, None)


MOVENET = MoveNet()
