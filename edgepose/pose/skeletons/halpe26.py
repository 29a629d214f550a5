"""Halpe: the 26 body and foot joints of Halpe-FullBody (Li et al., CVPR 2020; Fang et al., AlphaPose, TPAMI 2022).

Halpe's "head" is the top of the head and its "hip" is the middle of the hips; they have the names of the same joints
of LSP and MPII here. The order is that of `configs/_base_/datasets/halpe26.py` of mmpose.
"""

from __future__ import annotations

from edgepose.pose.skeletons import coco17
from edgepose.pose.skeletons.body import ARMS_AND_LEGS, FACE_OF_COCO, FEET, both_sides, sided
from edgepose.pose.skeletons.skeleton import Skeleton

SIGMA_SOURCE = "Halpe-FullBody (halpecocotools/cocoeval.py, the first 26 of its 136 sigmas)"
HALPE26 = Skeleton(
    name="halpe26",
    joints=(
        *coco17.JOINTS,
        *("head_top", "neck", "pelvis", "left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe"),
        *("left_heel", "right_heel"),
    ),
    flips=(*coco17.FLIPS, *sided("big_toe", "small_toe", "heel")),
    limbs=(
        *ARMS_AND_LEGS,
        ("left_hip", "pelvis"),
        ("right_hip", "pelvis"),
        ("head_top", "neck"),
        ("neck", "pelvis"),
        ("neck", "left_shoulder"),
        ("neck", "right_shoulder"),
        ("left_eye", "right_eye"),
        *FACE_OF_COCO,
        *both_sides(("ear", "shoulder")),
        *FEET,
    ),
    sigmas=(*coco17.COCO17.sigmas, 0.08, 0.08, 0.08, 0.089, 0.089, 0.089, 0.089, 0.089, 0.089),
)
