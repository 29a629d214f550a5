"""What OpenPose's layouts share: the head, the arms and the order of their fields.

The limbs are in the order of the network's fields (POSE_MAP_INDEX in OpenPose's poseParameters.cpp).
"""

from __future__ import annotations

TOP = ("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist")
FACE = ("right_eye", "left_eye", "right_ear", "left_ear")
UPPER_LIMBS = (
    ("neck", "right_shoulder"),
    ("right_shoulder", "right_elbow"),
    ("right_elbow", "right_wrist"),
    ("right_shoulder", "right_ear"),
    ("neck", "left_shoulder"),
    ("left_shoulder", "left_elbow"),
    ("left_elbow", "left_wrist"),
    ("left_shoulder", "left_ear"),
    ("neck", "nose"),
    ("nose", "right_eye"),
    ("nose", "left_eye"),
    ("right_eye", "right_ear"),
    ("left_eye", "left_ear"),
)
