"""Skeletons whose limbs are in the order of the fields of published networks.

A codec with a field for each limb needs the limbs in the order of the fields, and each from the joint where the field
starts. The joints have the names and the order of the skeletons of the same name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edgepose.pose.skeletons import SKELETONS, Skeleton

_COCO = SKELETONS["coco17"].joints
_MPI = ("head_top", *SKELETONS["openpose18"].joints[1:14], "chest")


def skeleton(name: str, joints: Sequence[str], limbs: Sequence[tuple[int, int]] = ()) -> Skeleton:
    """Return a skeleton of joints whose sides are in their names.

    Args:
        name: The name of the layout.
        joints: The names of the joints.
        limbs: Pairs of joint indices.
    """
    known = dict(zip(_COCO, SKELETONS["coco17"].sigmas, strict=True)) | {"neck": 0.079, "head_top": 0.079}
    sided = [joint.removeprefix("left_") for joint in joints if joint.startswith("left_")]
    return Skeleton(
        name=name,
        joints=tuple(joints),
        flips=tuple((f"left_{part}", f"right_{part}") for part in sided if f"right_{part}" in joints),
        limbs=tuple((joints[a], joints[b]) for a, b in limbs),
        sigmas=tuple(known[joint] for joint in joints) if set(joints) <= set(known) else (),
    )


# OpenPose's poseParameters.cpp lists the pairs of joints and the channels of their fields; these are sorted by channel.
# lightweight-openpose has the channels of COCO.
OPENPOSE18 = SKELETONS["openpose18"]
BODY25 = SKELETONS["body25"]
MPI15 = skeleton(
    "mpi15",
    _MPI,
    (
        *((0, 1), (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7), (1, 14), (14, 8), (8, 9), (9, 10)),
        *((14, 11), (11, 12), (12, 13)),
    ),
)
# trt_pose's tasks/human_pose/human_pose.json, whose numbers count from 1.
TRT_POSE18 = skeleton(
    "trt_pose18",
    (*_COCO, "neck"),
    [
        (a - 1, b - 1)
        for a, b in (
            *((16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 8), (7, 9), (8, 10), (9, 11), (2, 3), (1, 2)),
            *((1, 3), (2, 4), (3, 5), (4, 6), (5, 7), (18, 1), (18, 6), (18, 7), (18, 12), (18, 13)),
        )
    ],
)
# The skeleton of openpifpaf's COCO plugin (COCO_PERSON_SKELETON), whose numbers count from 1: annotations of COCO.
PIFPAF17 = replace(
    SKELETONS["coco17"],
    name="coco17-pifpaf",
    limbs=skeleton(
        "coco17",
        _COCO,
        [
            (a - 1, b - 1)
            for a, b in (
                *((16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9), (8, 10)),
                *((9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7)),
            )
        ],
    ).limbs,
)
# The tree of PoseNet's displacements (tfjs-models, posenet/src/keypoints.ts, poseChain).
POSENET17 = replace(
    SKELETONS["coco17"],
    name="coco17-posenet",
    limbs=skeleton(
        "coco17",
        _COCO,
        (
            *((0, 1), (1, 3), (0, 2), (2, 4), (0, 5), (5, 7), (7, 9), (5, 11), (11, 13), (13, 15)),
            *((0, 6), (6, 8), (8, 10), (6, 12), (12, 14), (14, 16)),
        ),
    ).limbs,
)
# number of joints -> the skeleton of bottom-up networks for COCO and for CrowdPose
BY_COUNT = {17: SKELETONS["coco17"], 14: SKELETONS["crowdpose14"]}
