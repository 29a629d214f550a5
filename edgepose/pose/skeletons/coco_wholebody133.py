"""COCO-WholeBody: Jin et al., "Whole-Body Human Pose Estimation in the Wild", ECCV 2020.

17 body joints of COCO, 6 of the feet, 68 of the face (the layout of 300-W) and 21 of each hand. The order, and the
limbs of body, feet and hands, are those of `configs/_base_/datasets/coco_wholebody.py` of mmpose. mmpose draws no limbs
of the face; here they are its outlines.
"""

from __future__ import annotations

from edgepose.pose.skeletons import coco17, face68, hand21
from edgepose.pose.skeletons.body import ARMS_AND_LEGS, FACE_OF_COCO, FEET, TRUNK, both_sides, sided
from edgepose.pose.skeletons.skeleton import Skeleton

SIGMA_SOURCE = "COCO-WholeBody (evaluation/myeval_wholebody.py)"
HAND_SIGMAS = (
    *(0.029, 0.022, 0.035, 0.037, 0.047, 0.026, 0.025, 0.024, 0.035, 0.018, 0.024, 0.022, 0.026, 0.017, 0.021, 0.021),
    *(0.032, 0.02, 0.019, 0.022, 0.031),
)
_FINGERS = tuple((a if a != "hand_root" else "wrist", b) for a, b in hand21.LIMBS)
COCO_WHOLEBODY133 = Skeleton(
    name="coco_wholebody133",
    joints=(
        *coco17.JOINTS,
        *(f"{side}_{part}" for side in ("left", "right") for part in ("big_toe", "small_toe", "heel")),
        *face68.JOINTS,
        *(f"{side}_{joint}" for side in ("left", "right") for joint in hand21.JOINTS),
    ),
    flips=(*coco17.FLIPS, *sided("big_toe", "small_toe", "heel"), *face68.FLIPS, *sided(*hand21.JOINTS)),
    limbs=(
        *ARMS_AND_LEGS,
        *TRUNK,
        ("left_eye", "right_eye"),
        *FACE_OF_COCO,
        *both_sides(("ear", "shoulder")),
        *FEET,
        *both_sides(*_FINGERS),
        *face68.LIMBS,
    ),
    sigmas=(
        *coco17.COCO17.sigmas,
        *(0.068, 0.066, 0.066, 0.092, 0.094, 0.094),
        *face68.SIGMAS,
        *HAND_SIGMAS,
        *HAND_SIGMAS,
    ),
)
