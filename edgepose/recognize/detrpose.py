"""DETRPose: two inputs, `images` and `orig_target_sizes`, and outputs `scores`, `labels` and `keypoints`.

The network takes RGB from 0 to 1, stretched to its square, and returns joints in pixels of the size that the second
input names. That size becomes the one of the canvas. It needs no suppression, and gives neither boxes nor joint scores.
"""

from __future__ import annotations

from edgepose.artifacts.spec import CropSpec, InputSpec, ModelSpec
from edgepose.codecs.onestage import OnestageCodec
from edgepose.graph.adapters.onestage import detrpose
from edgepose.pose.geometry import Size
from edgepose.recognize.candidate import NAMES, Candidate, Guess, Recognized
from edgepose.recognize.naming import name_of
from edgepose.recognize.ports import FLOATS
from edgepose.recognize.skeletons import skeleton_of

SIZES = "orig_target_sizes"
SCORES, KEYPOINTS = "scores", "keypoints"
SIZE: Size = (640, 640)
SCORE = 0.5


class Detrpose:
    """DETRPose."""

    name = "detrpose"

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Recognize the names of the inputs and outputs, see `registry.Family.recognize`."""
        inputs = {port.name: port for port in candidate.inputs}
        outputs = {port.name: port for port in candidate.outputs}
        if len(inputs) != 2 or SIZES not in inputs or not {SCORES, KEYPOINTS} <= set(outputs):
            return None
        (image,) = (port for port in candidate.inputs if port.name != SIZES)
        shape = outputs[KEYPOINTS].shape
        if len(image.shape) != 4 or image.dtype not in FLOATS or len(shape) not in (3, 4):
            return None
        last = shape[2]
        if not isinstance(last, int):
            return None
        joints = last if len(shape) == 4 else last // 2
        height, width = image.shape[2:]
        fixed = isinstance(height, int) and isinstance(width, int)
        size = (height if isinstance(height, int) else SIZE[0], width if isinstance(width, int) else SIZE[1])
        model = detrpose(candidate.model, SCORES, KEYPOINTS, SIZES, joints, size)
        skeleton, guesses = skeleton_of(joints)
        if not fixed:
            reason = "the usual size, as the graph takes images of any size"
            guesses += (Guess(field="input.size", value=f"{list(size)}", reason=reason),)
        spec = ModelSpec(
            name=name_of(candidate),
            skeleton=skeleton,
            input=InputSpec(
                name=image.name, size=size, color="rgb", mean=(0, 0, 0), std=(1, 1, 1), scale=1 / 255, dtype=image.dtype
            ),
            codec=OnestageCodec(score_threshold=SCORE),
            crop=CropSpec(padding=1.0, place="stretch"),
            outputs=(model.graph.output[0].name,),
        )
        return Recognized(family=self.name, source=NAMES, model=model, spec=spec, guesses=guesses)


DETRPOSE = Detrpose()
