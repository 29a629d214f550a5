"""MPII: Andriluka et al., CVPR 2014."""

from __future__ import annotations

from edgepose.pose.skeletons.body import ARMS_AND_LEGS, sided
from edgepose.pose.skeletons.sigmas import sigmas_of
from edgepose.pose.skeletons.skeleton import Skeleton

JOINTS = (
    *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
    *("pelvis", "thorax", "neck", "head_top"),
    *("right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
)
MPII16 = Skeleton(
    name="mpii16",
    joints=JOINTS,
    flips=sided("ankle", "knee", "hip", "wrist", "elbow", "shoulder"),
    limbs=(
        *ARMS_AND_LEGS,
        ("neck", "head_top"),
        ("thorax", "neck"),
        ("pelvis", "thorax"),
        ("right_hip", "pelvis"),
        ("left_hip", "pelvis"),
    ),
    sigmas=sigmas_of(JOINTS),
)
