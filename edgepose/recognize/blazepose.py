"""BlazePose GHUM lite, full and heavy: the landmark network of MediaPipe's pose solution.

The published network takes RGB 0..1, [1, 256, 256, 3]. One of its outputs holds 39 landmarks, each x and y in pixels of
the input, z, and the logits of visibility and presence; the first 33 are the body, in the order of skeleton
'blazepose33', two more place the next region, and four are not used (mediapipe,
modules/pose_landmark/tensors_to_pose_landmarks_and_segmentation.pbtxt). The other outputs (presence of a person, mask,
heatmaps, and landmarks in meters) are not used here.

MediaPipe cuts a square that is rotated until the person is upright. edgepose cuts upright squares around boxes, so that
lying people are found worse than there.
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

DTYPES = ("uint8", "int32", "int64", "float32", "float16")
FIELDS = ("x", "y", "z", "score", "presence")  # the score is the visibility
LANDMARKS = 39
BODY = 33


@dataclass(frozen=True, kw_only=True)
class BlazePose:
    """The landmark network of MediaPipe's pose solution."""

    name: str = "blazepose"
    any_input: bool = True
    usual_size: Size = (256, 256)

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Return the contract of a BlazePose, or None for any other network.

        Args:
            candidate: The network.
        """
        landmarks = [port for port in candidate.outputs if _values(port) == LANDMARKS * len(FIELDS)]
        if len(candidate.inputs) != 1 or len(landmarks) != 1:
            return None
        image = candidate.inputs[0]
        size = image_size(image)
        if size is None or size[0] != size[1] or image.dtype not in DTYPES:
            return None
        floats = image.dtype.startswith("float")
        model, taken = without_preprocessing(
            to_float_nchw(candidate.model),
            InputSpec(name=image.name, size=size, color="rgb", mean=(0, 0, 0), std=(255,) * 3 if floats else (1,) * 3),
        )
        model = to_joints(
            model, landmarks[0].name, fields=FIELDS, count=LANDMARKS, keep=range(BODY), pixels_of=size, logits=True
        )
        spec = ModelSpec(
            name="blazepose",
            skeleton=SKELETONS["blazepose33"],
            input=replace(taken, layout="nchw", dtype="float32"),
            crop=CropSpec(padding=1.25),
            codec=RegressionCodec(range="unit"),
            outputs=(model.graph.output[0].name,),
        )
        upright = (
            "MediaPipe's scale of the region; there the square is rotated until the person is upright, here boxes are "
            "upright, so that lying people are found worse"
        )
        guesses = (
            Guess(field="crop.padding", value="1.25", reason=upright),
            Guess(field="input.std", value=str(list(taken.std)), reason="assumed: the published network takes 0..1"),
        )[: 2 if floats else 1]
        return Recognized(family=self.name, source=SHAPES, model=model, spec=spec, guesses=guesses)


def _values(port: Port) -> int:
    """Return the number of values for one image; 0 where it is not fixed."""
    total = 1
    for axis in port.shape[1:]:
        total *= axis if isinstance(axis, int) else 0
    return total if len(port.shape) > 1 else 0


BLAZEPOSE = BlazePose()
