"""OpenPose's BODY_25: Cao et al., TPAMI 2019; 18 joints of COCO, the middle of the hips, and six of the feet.

Order and limbs are those of POSE_BODY_25_BODY_PARTS and POSE_BODY_25_PAIRS in OpenPose's poseParameters.cpp. No OKS
sigmas are published for all of its joints.
"""

from __future__ import annotations

from edgepose.pose.skeletons import coco17
from edgepose.pose.skeletons.body import sided
from edgepose.pose.skeletons.skeleton import Skeleton

BODY25 = Skeleton(
    name="body25",
    joints=(
        *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
        *("pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
        *("right_eye", "left_eye", "right_ear", "left_ear"),
        *("left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel"),
    ),
    flips=(*coco17.FLIPS, *sided("big_toe", "small_toe", "heel")),
    limbs=(
        ("neck", "pelvis"),
        ("neck", "right_shoulder"),
        ("neck", "left_shoulder"),
        ("right_shoulder", "right_elbow"),
        ("right_elbow", "right_wrist"),
        ("left_shoulder", "left_elbow"),
        ("left_elbow", "left_wrist"),
        ("pelvis", "right_hip"),
        ("right_hip", "right_knee"),
        ("right_knee", "right_ankle"),
        ("pelvis", "left_hip"),
        ("left_hip", "left_knee"),
        ("left_knee", "left_ankle"),
        ("neck", "nose"),
        ("nose", "right_eye"),
        ("right_eye", "right_ear"),
        ("nose", "left_eye"),
        ("left_eye", "left_ear"),
        ("right_shoulder", "right_ear"),
        ("left_shoulder", "left_ear"),
        ("left_ankle", "left_big_toe"),
        ("left_big_toe", "left_small_toe"),
        ("left_ankle", "left_heel"),
        ("right_ankle", "right_big_toe"),
        ("right_big_toe", "right_small_toe"),
        ("right_ankle", "right_heel"),
    ),
)
