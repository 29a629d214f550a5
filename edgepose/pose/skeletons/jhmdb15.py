"""JHMDB: Jhuang et al., "Towards Understanding Action Recognition", ICCV 2013.

JHMDB's evaluation is PCK, and it publishes no OKS sigmas. Its face is the middle of the face, not the top of the head.
"""

from __future__ import annotations

from edgepose.pose.skeletons.body import ARMS_AND_LEGS, sided
from edgepose.pose.skeletons.skeleton import Skeleton

JHMDB15 = Skeleton(
    name="jhmdb15",
    joints=(
        *("neck", "belly", "face", "right_shoulder", "left_shoulder", "right_hip", "left_hip"),
        *("right_elbow", "left_elbow", "right_knee", "left_knee", "right_wrist", "left_wrist"),
        *("right_ankle", "left_ankle"),
    ),
    flips=sided("shoulder", "hip", "elbow", "knee", "wrist", "ankle"),
    limbs=(
        *ARMS_AND_LEGS,
        ("right_hip", "belly"),
        ("left_hip", "belly"),
        ("belly", "neck"),
        ("neck", "face"),
        ("neck", "right_shoulder"),
        ("neck", "left_shoulder"),
    ),
)
