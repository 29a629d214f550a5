"""RTMO and YOLOX-pose, as mmdeploy exports them: outputs `dets` [N, M, 5] and `keypoints` [N, M, K, 3].

The networks take BGR pixels 0..255 and suppress inside. mmpose shows them the image in the middle of the canvas, rtmlib
at the top left; both work. TensorRT exports pad their lists and may repeat people, so people are suppressed once more.
"""

from __future__ import annotations

from edgepose.artifacts.spec import CropSpec, InputSpec, ModelSpec
from edgepose.codecs.onestage import OnestageCodec
from edgepose.graph.adapters.onestage import boxes_and_keypoints
from edgepose.pose.geometry import Size
from edgepose.recognize.candidate import FILES, NAMES, Candidate, Guess, Port, Recognized
from edgepose.recognize.naming import name_of
from edgepose.recognize.pipeline import Normalize, pipeline_of
from edgepose.recognize.ports import float_image
from edgepose.recognize.skeletons import skeleton_of

BOXES, JOINTS = "dets", "keypoints"
SIZE: Size = (640, 640)
GRAY = 114  # the level around the image
SCORE, IOU = 0.3, 0.65  # the score between that of mmpose's tests (0.1) and rtmlib's (0.7); mmpose's overlap
PLAIN = Normalize(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), color="bgr")


class Rtmo:
    """RTMO and YOLOX-pose."""

    name = "rtmo"

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Recognize the names of the two outputs, see `registry.Family.recognize`."""
        image, outputs = float_image(candidate), {port.name: port for port in candidate.outputs}
        if image is None or not {BOXES, JOINTS} <= set(outputs):
            return None
        joints = _joints(outputs[JOINTS])
        if joints is None or len(outputs[BOXES].shape) not in (0, 3):
            return None
        pipeline = pipeline_of(candidate)
        stated = None if pipeline is None else pipeline.size
        size = image.sized(stated or SIZE)
        skeleton, guesses = skeleton_of(joints)
        if image.size is None and stated is None:
            reason = "the usual size, as the graph takes images of any size"
            guesses += (Guess(field="input.size", value=f"{list(size)}", reason=reason),)
        guesses += (
            Guess(field="codec.score_threshold", value=f"{SCORE:g}", reason="assumed; mmpose has 0.1 and rtmlib 0.7"),
        )
        normalize = (pipeline.normalize if pipeline is not None else None) or PLAIN
        model = boxes_and_keypoints(candidate.model, BOXES, JOINTS, joints)
        spec = ModelSpec(
            name=name_of(candidate),
            skeleton=skeleton,
            input=InputSpec(
                name=image.name, size=size, color=normalize.color, mean=normalize.mean, std=normalize.std,
                dtype=image.dtype,
            ),
            codec=OnestageCodec(score_threshold=SCORE, iou_threshold=IOU),
            crop=CropSpec(padding=1.0, border_value=GRAY, place="top_left", resize="truncate"),
            outputs=(model.graph.output[0].name,),
        )  # fmt: skip
        source = NAMES if pipeline is None else FILES
        return Recognized(family=self.name, source=source, model=model, spec=spec, guesses=guesses)


def _joints(port: Port) -> int | None:
    """Return K of an output [N, M, K, 3]; None for any other."""
    if len(port.shape) != 4 or port.shape[3] != 3 or not isinstance(port.shape[2], int):
        return None
    return port.shape[2]


RTMO = Rtmo()
