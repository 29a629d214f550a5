"""YOLO-NAS-pose, as super-gradients exports it, in its batch format and in its flat one.

The batch format has four outputs: `num_predictions` [N, 1], boxes [N, M, 4], scores [N, M] and joints [N, M, K, 3]. The
flat format has one, [M, 6 + 3K]: index of the image, box, score and joints. Suppression is inside. By default the graph
takes RGB pixels 0..255 and prepares them by itself; an export without preprocessing takes BGR from 0 to 1. The images
of validation are resized to the longer side, at the top left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgepose.artifacts.spec import CropSpec, InputSpec, ModelSpec
from edgepose.codecs.onestage import OnestageCodec
from edgepose.graph.adapters.inputs import to_float_nchw
from edgepose.graph.adapters.onestage import counted, flat_rows
from edgepose.graph.adapters.preprocessing import without_preprocessing
from edgepose.recognize.candidate import NAMES, SHAPES, Candidate, Guess, Port, Recognized
from edgepose.recognize.naming import name_of
from edgepose.recognize.skeletons import skeleton_of
from edgepose.recognize.tensorflow import image_size

if TYPE_CHECKING:
    import onnx

COUNT = "num_predictions"
COLUMNS = 6  # of the flat format, before the joints
COUNTS = (13, 14, 16, 17, 21, 26)  # joints that a flat output may be of
GRAY = 127  # the level around the image
SCORE = 0.25
FLOATS = ("float32", "float16")


class YoloNas:
    """YOLO-NAS-pose in both of its formats."""

    name = "yolo-nas-pose"
    any_input = True
    usual_size = (640, 640)

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Recognize the four outputs, or the number of columns of the flat one, see `registry.Family.recognize`."""
        size = image_size(candidate.inputs[0]) if len(candidate.inputs) == 1 else None
        joints = _joints(candidate.outputs)
        if size is None or joints is None or candidate.inputs[0].shape[1] != 3:
            return None
        image = candidate.inputs[0]
        inside = image.dtype not in FLOATS
        plain = InputSpec(
            name=image.name, size=size, mean=(0, 0, 0), std=(1, 1, 1), color="rgb" if inside else "bgr",
            scale=1.0 if inside else 1 / 255,
        )  # fmt: skip
        model, taken = (
            without_preprocessing(to_float_nchw(candidate.model), plain) if inside else (candidate.model, plain)
        )
        several = len(candidate.outputs) == 4
        rows = _rewritten(model, [port.name for port in candidate.outputs], joints)
        skeleton, guesses = skeleton_of(joints)
        reason = "as in the validation of super-gradients; its export guide stretches images instead"
        spec = ModelSpec(
            name=name_of(candidate),
            skeleton=skeleton,
            input=taken,
            codec=OnestageCodec(score_threshold=SCORE),
            crop=CropSpec(padding=1.0, border_value=GRAY, place="top_left", resize="round"),
            outputs=(rows.graph.output[0].name,),
        )
        guesses += (Guess(field="crop.place", value="top_left", reason=reason),)
        if not several:
            why = f"assumed, as the only output has {COLUMNS} + 3 * {joints} columns, as that of YOLO-NAS-pose"
            guesses += (Guess(field="input.color", value=taken.color, reason=why),)
        source = NAMES if several else SHAPES
        return Recognized(family=self.name, source=source, model=rows, spec=spec, guesses=guesses)


def _rewritten(model: onnx.ModelProto, names: Sequence[str], joints: int) -> onnx.ModelProto:
    return counted(model, names, joints) if len(names) == 4 else flat_rows(model, joints)


def _joints(outputs: Sequence[Port]) -> int | None:
    """Return K of the four outputs, or of the flat one; None for any others."""
    shapes = [port.shape for port in outputs]
    if len(outputs) == 4 and outputs[0].name.endswith(COUNT):
        last = shapes[3]
        right = len(shapes[1]) == 3 and shapes[1][2] == 4 and len(shapes[2]) == 2 and len(last) == 4 and last[3] == 3
        return last[2] if right and isinstance(last[2], int) else None
    if len(outputs) == 1 and len(shapes[0]) == 2 and isinstance(shapes[0][1], int):
        joints, rest = divmod(shapes[0][1] - COLUMNS, 3)
        return joints if rest == 0 and joints in COUNTS and not isinstance(shapes[0][0], int) else None
    return None


YOLO_NAS = YoloNas()
