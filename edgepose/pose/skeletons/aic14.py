"""AI Challenger: Wu et al., "AI Challenger: A Large-scale Dataset for Going Deeper in Image Understanding", 2017."""

from __future__ import annotations

from edgepose.pose.skeletons.body import ARMS_AND_LEGS, sided
from edgepose.pose.skeletons.skeleton import Skeleton

SIGMA_SOURCE = "AI Challenger (Evaluation/keypoint_eval/keypoint_eval.py, whose delta is 2 sigma)"
AIC14 = Skeleton(
    name="aic14",
    joints=(
        *("right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
        *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "head_top", "neck"),
    ),
    flips=sided("shoulder", "elbow", "wrist", "hip", "knee", "ankle"),
    limbs=(
        *ARMS_AND_LEGS,
        ("head_top", "neck"),
        ("right_shoulder", "neck"),
        ("left_shoulder", "neck"),
        ("left_hip", "right_hip"),
        ("right_shoulder", "right_hip"),
        ("left_shoulder", "left_hip"),
    ),
    sigmas=(
        *(0.01388152, 0.01515228, 0.01057665, 0.01417709, 0.01497891, 0.01402144),
        *(0.03909642, 0.03686941, 0.01981803, 0.03843971, 0.03412318, 0.02415081, 0.01291456, 0.01236173),
    ),
)
