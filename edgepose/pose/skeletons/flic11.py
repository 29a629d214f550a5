"""FLIC: Sapp & Taskar, CVPR 2013. FLIC labels these 11 of its 29 joints."""

from __future__ import annotations

from edgepose.pose.skeletons.body import ARMS_AND_LEGS, sided
from edgepose.pose.skeletons.sigmas import sigmas_of
from edgepose.pose.skeletons.skeleton import Skeleton

JOINTS = (
    *("left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist"),
    *("left_hip", "right_hip", "left_eye", "right_eye", "nose"),
)
FLIC11 = Skeleton(
    name="flic11",
    joints=JOINTS,
    flips=sided("shoulder", "elbow", "wrist", "hip", "eye"),
    limbs=(
        *ARMS_AND_LEGS[:4],
        ("left_shoulder", "right_shoulder"),
        ("right_shoulder", "right_hip"),
        ("left_shoulder", "left_hip"),
    ),
    sigmas=sigmas_of(JOINTS),
)
