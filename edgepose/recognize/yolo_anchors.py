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
from edgepose.recognize.cells import cells_of
from edgepose.recognize.naming import name_of
from edgepose.recognize.skeletons import skeleton_of

if TYPE_CHECKING:
    from edgepose._checks import Array

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
        cells = cells_of(candidate, STRIDES, ANCHORS)
        joints = 0 if cells is None else _joints_of(cells.columns)
        rows = cells.of_noise(candidate) if cells is not None and joints else None
        if cells is None or rows is None or not _is_pose(rows):
            return None
        image, size = cells.image, cells.size
        model = objectness_rows(candidate.model, cells.output, joints, len(rows))
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
        cells = cells_of(candidate, STRIDES, ANCHORS)
        if cells is None:
            return None
        if _joints_of(cells.columns):
            return (
                "its scores are not between 0 and 1, or its joints are not in pixels: export it with its decoding "
                "inside, or it is a YOLOv5 detector, which is not supported"
            )
        return (
            f"each anchor has {cells.columns} numbers, and those of poses have 6 + 3 * K; detectors of the YOLOv5 kind "
            "are not supported: use one of YOLOv8 or later"
        )


def _joints_of(columns: int) -> int:
    """Return K of rows of 6 + 3K numbers; 0 for any other length."""
    joints, rest = divmod(columns - BOX, 3)
    return joints if rest == 0 and joints in COUNTS else 0


def _is_pose(rows: Array) -> bool:
    """Whether rows [A, 6 + 3K] hold scores from 0 to 1 where a pose has them, and places elsewhere."""
    joints = rows[:, BOX:].reshape(len(rows), -1, 3)
    scores = np.concatenate([rows[:, 4:BOX], joints[..., 2]], axis=1)
    inside = bool((scores >= 0).all() and (scores <= 1).all())
    return inside and bool(np.isfinite(rows).all()) and bool(np.abs(joints[..., :2]).max(initial=0.0) > 1)


YOLO_ANCHORS = YoloAnchors()
