"""CrowdPose: Li et al., CVPR 2019."""

from __future__ import annotations

from edgepose.pose.skeletons.body import ARMS_AND_LEGS, TRUNK, sided
from edgepose.pose.skeletons.sigmas import sigmas_of
from edgepose.pose.skeletons.skeleton import Skeleton

JOINTS = (
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "head_top", "neck"),
)
CROWDPOSE14 = Skeleton(
    name="crowdpose14",
    joints=JOINTS,
    flips=sided("shoulder", "elbow", "wrist", "hip", "knee", "ankle"),
    limbs=(
        *ARMS_AND_LEGS,
        *TRUNK,
        ("head_top", "neck"),
        ("right_shoulder", "neck"),
        ("left_shoulder", "neck"),
    ),
    sigmas=sigmas_of(JOINTS),  # its kpt_oks_sigmas: COCO's of the same joints, and 0.079 for head top and neck
)
