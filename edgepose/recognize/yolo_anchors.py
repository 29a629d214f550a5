"""Pose networks of the YOLOv7 and YOLOv5 kind: [N, A, 6 + 3K], decoded, with three anchors for each cell.

A row is center, size, objectness, the score of one class, and x, y and score of each joint, in pixels of the input
(models/yolo.py, IKeypoint, in the branch `pose` of yolov7). People are to be suppressed; the score of a person is
objectness times class score. Detectors of 52 classes have as many columns, so the network is run once: scores are
between 0 and 1, and joints are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgepose.artifacts.spec import CropSpec, InputSpec, ModelSpec
from edgepose.codecs.onestage import OnestageCodec
from edgepose.graph.adapters.onestage import objectness_rows
from edgepose.recognize.candidate import SHAPES, Candidate, Guess, Recognized
from edgepose.recognize.detector import only_output
from edgepose.recognize.naming import name_of
from edgepose.recognize.ports import output_shapes, outputs_of_noise
from edgepose.recognize.skeletons import skeleton_of

if TYPE_CHECKING:
    from edgepose._checks import Array
    from edgepose.pose.geometry import Size

BOX = 6  # center, size, objectness and the score of one class
ANCHORS = 3  # of each cell
STRIDES = ((8, 16, 32), (8, 16, 32, 64))
COUNTS = (13, 14, 16, 17, 21, 26, 133)  # joints that such a network may have
GRAY = 114
SCORE, IOU = 0.25, 0.65  # of detect.py in the branch `pose` of yolov7
WHY = "that of YOLOv7-pose, as the output has the shape of its networks"


class YoloAnchors:
    """YOLOv7-pose and YOLOv5-pose with their decoding inside."""

    name = "yolov7-pose"
    usual_size = (640, 640)

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Recognize the number of rows and columns, see `registry.Family.recognize`."""
        ports = only_output(candidate)
        if ports is None:
            return None
        image, size, output = ports
        (shape,) = output_shapes(candidate, image, size).values() or ((),)
        joints = _joints_of(shape, size)
        if not joints:
            return None
        rows = next(iter(outputs_of_noise(candidate, image, size).values()), None)
        if rows is None or not _is_pose(rows[0]):
            return None
        model = objectness_rows(candidate.model, output.name, joints, shape[1])
        skeleton, about = skeleton_of(joints)
        spec = ModelSpec(
            name=name_of(candidate),
            skeleton=skeleton,
            input=InputSpec(
                name=image.name, size=size, color="rgb", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), scale=1 / 255,
                dtype=image.dtype,
            ),
            codec=OnestageCodec(score_threshold=SCORE, iou_threshold=IOU),
            crop=CropSpec(padding=1.0, border_value=GRAY, place="center", resize="round"),
            outputs=(model.graph.output[0].name,),
        )  # fmt: skip
        values = {"input.color": "rgb", "input.mean": "[0, 0, 0]", "input.std": "[1, 1, 1]", "input.scale": "1 / 255",
                  "crop.place": "center"}  # fmt: skip
        guesses = (*(Guess(field=key, value=value, reason=WHY) for key, value in values.items()), *about)
        return Recognized(family=self.name, source=SHAPES, model=model, spec=spec, guesses=guesses)

    def near(self, candidate: Candidate) -> str | None:
        """Say why an output of as many rows as anchors is not taken, see `registry.Explaining.near`."""
        ports = only_output(candidate)
        if ports is None:
            return None
        image, size, _ = ports
        (shape,) = output_shapes(candidate, image, size).values() or ((),)
        if len(shape) != 3 or shape[1] not in _rows(size):
            return None
        if _joints_of(shape, size):
            return (
                "its scores are not between 0 and 1, or its joints are not in pixels: export it with its decoding "
                "inside, or it is a YOLOv5 detector, which is not supported"
            )
        return (
            f"each anchor has {shape[2]} numbers, and those of poses have 6 + 3 * K; detectors of the YOLOv5 kind are "
            "not supported: use one of YOLOv8 or later"
        )


def _rows(size: Size) -> tuple[int, ...]:
    cells = (sum((size[0] // stride) * (size[1] // stride) for stride in strides) for strides in STRIDES)
    return tuple(ANCHORS * count for count in cells)


def _joints_of(shape: tuple[int, ...], size: Size) -> int:
    """Return K of [1, A, 6 + 3K]; 0 for any other shape."""
    if len(shape) != 3 or shape[1] not in _rows(size):
        return 0
    joints, rest = divmod(shape[2] - BOX, 3)
    return joints if rest == 0 and joints in COUNTS else 0


def _is_pose(rows: Array) -> bool:
    """Whether rows [A, 6 + 3K] hold scores from 0 to 1 where a pose has them, and places elsewhere."""
    joints = rows[:, BOX:].reshape(len(rows), -1, 3)
    scores = np.concatenate([rows[:, 4:BOX], joints[..., 2]], axis=1)
    inside = bool((scores >= 0).all() and (scores <= 1).all())
    return inside and bool(np.isfinite(rows).all()) and bool(np.abs(joints[..., :2]).max(initial=0.0) > 1)


YOLO_ANCHORS = YoloAnchors()
