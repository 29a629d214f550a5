"""OpenPose's BODY_25: Cao et al., TPAMI 2019; 18 joints of COCO, the middle of the hips, and six of the feet.

Joints and limbs are those of BODY_25 in OpenPose's poseParameters.cpp (POSE_BODY_PART_MAPPING, POSE_BODY_PART_PAIRS).
The limbs are in the order of the network's fields (POSE_MAP_INDEX), as codec paf needs them. No OKS sigmas are
published for all of its joints.
"""

from __future__ import annotations

from edgepose.pose.skeletons import coco17
from edgepose.pose.skeletons.body import sided
from edgepose.pose.skeletons.openpose import FACE, TOP, UPPER_LIMBS
from edgepose.pose.skeletons.skeleton import Skeleton

BODY25 = Skeleton(
    name="body25",
    joints=(
        *TOP,
        *("pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
        *FACE,
        *("left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel"),
    ),
    flips=(*coco17.FLIPS, *sided("big_toe", "small_toe", "heel")),
    limbs=(
        ("neck", "pelvis"),
        ("right_hip", "right_knee"),
        ("right_knee", "right_ankle"),
        ("pelvis", "right_hip"),
        ("pelvis", "left_hip"),
        ("left_hip", "left_knee"),
        ("left_knee", "left_ankle"),
        *UPPER_LIMBS,
        ("left_ankle", "left_big_toe"),
        ("left_big_toe", "left_small_toe"),
        ("left_ankle", "left_heel"),
        ("right_ankle", "right_big_toe"),
        ("right_big_toe", "right_small_toe"),
        ("right_ankle", "right_heel"),
    ),
)
