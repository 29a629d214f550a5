"""OpenPose's 18 joints of COCO: Cao et al., CVPR 2017; COCO's 17 and a neck between the shoulders.

Order and limbs are those of POSE_COCO_BODY_PARTS and POSE_COCO_PAIRS in OpenPose's poseParameters.cpp.
"""

from __future__ import annotations

from edgepose.pose.skeletons import coco17
from edgepose.pose.skeletons.sigmas import sigmas_of
from edgepose.pose.skeletons.skeleton import Skeleton

JOINTS = (
    *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
    *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *("right_eye", "left_eye", "right_ear", "left_ear"),
)
OPENPOSE18 = Skeleton(
    name="openpose18",
    joints=JOINTS,
    flips=coco17.FLIPS,
    limbs=(
        ("neck", "right_shoulder"),
        ("neck", "left_shoulder"),
        ("right_shoulder", "right_elbow"),
        ("right_elbow", "right_wrist"),
        ("left_shoulder", "left_elbow"),
        ("left_elbow", "left_wrist"),
        ("neck", "right_hip"),
        ("right_hip", "right_knee"),
        ("right_knee", "right_ankle"),
        ("neck", "left_hip"),
        ("left_hip", "left_knee"),
        ("left_knee", "left_ankle"),
        ("neck", "nose"),
        ("nose", "right_eye"),
        ("right_eye", "right_ear"),
        ("nose", "left_eye"),
        ("left_eye", "left_ear"),
        ("right_shoulder", "right_ear"),
        ("left_shoulder", "left_ear"),
    ),
    sigmas=sigmas_of(JOINTS),
)
