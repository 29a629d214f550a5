"""COCO: Lin et al., ECCV 2014."""

from __future__ import annotations

from edgepose.pose.skeletons.body import ARMS_AND_LEGS, FACE_OF_COCO, TRUNK, sided
from edgepose.pose.skeletons.sigmas import sigmas_of
from edgepose.pose.skeletons.skeleton import Skeleton

JOINTS = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow"),
    *("right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle"),
    "right_ankle",
)
FLIPS = sided("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
LIMBS = (*ARMS_AND_LEGS, *TRUNK, *FACE_OF_COCO)
COCO17 = Skeleton(name="coco17", joints=JOINTS, flips=FLIPS, limbs=LIMBS, sigmas=sigmas_of(JOINTS))
