"""LSP: Johnson & Everingham, BMVC 2010. The order is that of joints.mat."""

from __future__ import annotations

from edgepose.pose.skeletons.body import ARMS_AND_LEGS, sided
from edgepose.pose.skeletons.sigmas import sigmas_of
from edgepose.pose.skeletons.skeleton import Skeleton

JOINTS = (
    *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
    *("right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head_top"),
)
LSP14 = Skeleton(
    name="lsp14",
    joints=JOINTS,
    flips=sided("ankle", "knee", "hip", "wrist", "elbow", "shoulder"),
    limbs=(*ARMS_AND_LEGS, ("neck", "head_top"), ("right_shoulder", "right_hip"), ("left_shoulder", "left_hip")),
    sigmas=sigmas_of(JOINTS),
)
