"""BlazePose: Bazarevsky et al., 2020; the 33 landmarks of MediaPipe Pose in its published order, with its connections.

No OKS sigmas are published.
"""

from __future__ import annotations

from edgepose.pose.skeletons.body import ARMS_AND_LEGS, TRUNK, both_sides, sided
from edgepose.pose.skeletons.skeleton import Skeleton

BLAZEPOSE33 = Skeleton(
    name="blazepose33",
    joints=(
        *("nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer"),
        *("left_ear", "right_ear", "left_mouth", "right_mouth", "left_shoulder", "right_shoulder"),
        *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky"),
        *("left_index", "right_index", "left_thumb", "right_thumb", "left_hip", "right_hip"),
        *("left_knee", "right_knee", "left_ankle", "right_ankle", "left_heel", "right_heel"),
        *("left_foot_index", "right_foot_index"),
    ),
    flips=sided(
        *("eye_inner", "eye", "eye_outer", "ear", "mouth", "shoulder", "elbow", "wrist", "pinky", "index", "thumb"),
        *("hip", "knee", "ankle", "heel", "foot_index"),
    ),
    limbs=(
        *ARMS_AND_LEGS,
        *TRUNK,
        ("nose", "left_eye_inner"),
        ("nose", "right_eye_inner"),
        *both_sides(("eye_inner", "eye"), ("eye", "eye_outer"), ("eye_outer", "ear")),
        ("left_mouth", "right_mouth"),
        *both_sides(("wrist", "pinky"), ("wrist", "index"), ("wrist", "thumb"), ("pinky", "index")),
        *both_sides(("ankle", "heel"), ("heel", "foot_index"), ("ankle", "foot_index")),
    ),
)
