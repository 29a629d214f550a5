"""OpenPose's 18 joints of COCO: Cao et al., CVPR 2017; COCO's 17 and a neck between the shoulders.

Joints and limbs are those of COCO in OpenPose's poseParameters.cpp (POSE_BODY_PART_MAPPING, POSE_BODY_PART_PAIRS).
The limbs are in the order of the network's fields (POSE_MAP_INDEX), as codec paf needs them.
"""

from __future__ import annotations

from edgepose.pose.skeletons import coco17
from edgepose.pose.skeletons.openpose import FACE, TOP, UPPER_LIMBS
from edgepose.pose.skeletons.sigmas import sigmas_of
from edgepose.pose.skeletons.skeleton import Skeleton

JOINTS = (
    *TOP,
    *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *FACE,
)
OPENPOSE18 = Skeleton(
    name="openpose18",
    joints=JOINTS,
    flips=coco17.FLIPS,
    limbs=(
        ("neck", "right_hip"),
        ("right_hip", "right_knee"),
        ("right_knee", "right_ankle"),
        ("neck", "left_hip"),
        ("left_hip", "left_knee"),
        ("left_knee", "left_ankle"),
        *UPPER_LIMBS,
    ),
    sigmas=sigmas_of(JOINTS),
)
