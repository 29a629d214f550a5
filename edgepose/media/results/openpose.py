"""OpenPose's JSON: one file per frame, `NAME_000000000012_keypoints.json`, with the joints of BODY_25.

The layout is that of OpenPose's doc/02_output.md, version 1.3, as Pose2Sim and other tools read it. A key `edgepose`
holds the facts of the frame that OpenPose has no place for. Joints are matched by name. BODY_25's neck and pelvis are
the middle of the shoulders and of the hips where the skeleton has no such joints. A skeleton without the 12 joints of
arms and legs is written in its own order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgepose._checks import Array
from edgepose.media.results.folder import ResultFolder
from edgepose.media.results.record import FORMAT, frame_facts, track_ids
from edgepose.media.results.sink import ResultSink, RunFacts
from edgepose.media.sources import Frame
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import SKELETONS, Skeleton

BODY25 = SKELETONS["body25"].joints
NEEDED = tuple(
    f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
)
MIDDLES = {"neck": ("left_shoulder", "right_shoulder"), "pelvis": ("left_hip", "right_hip")}
EMPTY = ("face_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d")
EMPTY_3D = ("pose_keypoints_3d", "face_keypoints_3d", "hand_left_keypoints_3d", "hand_right_keypoints_3d")


class OpenPose(ResultSink):
    """A folder of OpenPose's JSON files."""

    def __init__(self, path: Path, about: RunFacts) -> None:
        self._name = about.name
        self._body = set(NEEDED) <= set(about.skeleton.joints)
        self._folder = ResultFolder(path, about, f"OpenPose JSON, {'BODY_25' if self._body else about.skeleton.name}")
        left_out = [joint for joint in about.skeleton.joints if joint not in BODY25] if self._body else []
        if left_out:
            about.note(
                f"--out-openpose: joints of {about.skeleton.name} that have no place in BODY_25 are left out: "
                f"{', '.join(left_out[:5])}{' ...' if len(left_out) > 5 else ''}"
            )

    def write(self, frame: Frame, poses: Poses) -> None:
        """Write the file of a frame."""
        joints = BODY25 if self._body else poses.skeleton.joints
        facts = {"format": FORMAT, **frame_facts(frame), "joints": list(joints)}
        value = {"version": 1.3, "people": list(_people(poses, self._body)), "edgepose": facts}
        name = f"{self._name}_{frame.index:012d}_keypoints.json"
        self._folder.write(name, json.dumps(value, allow_nan=False).encode())

    def close(self, error: BaseException | None = None) -> None:
        """Do no more than make the folder: every file is complete."""
        self._folder.finish(error)


def body25_of(poses: Poses) -> Array:
    """Return people in the joints of BODY_25.

    Args:
        poses: The people, of a skeleton with the joints `NEEDED`.

    Returns:
        [P, 25, 3] float64: x, y and score; zeros for a joint that was not found or that the skeleton does not have.
    """
    skeleton = poses.skeleton
    found = np.concatenate([poses.xy_image, poses.scores[..., None]], axis=-1).astype(np.float64)
    body = np.zeros((len(poses), len(BODY25), 3))
    for place, joint in enumerate(BODY25):
        if joint in skeleton.joints:
            body[:, place] = found[:, skeleton.index(joint)]
        elif joint in MIDDLES:
            body[:, place] = _middle(found, skeleton, *MIDDLES[joint])
    body[body[..., 2] <= 0] = 0
    return body


def _middle(found: Array, skeleton: Skeleton, a: str, b: str) -> Array:
    """Return the middle of two joints with the lower of their scores."""
    one, other = found[:, skeleton.index(a)], found[:, skeleton.index(b)]
    return np.column_stack([(one[:, :2] + other[:, :2]) / 2, np.minimum(one[:, 2], other[:, 2])])


def _people(poses: Poses, body: bool) -> Iterator[dict[str, Any]]:
    joints = body25_of(poses) if body else np.concatenate([poses.xy_image, poses.scores[..., None]], axis=-1)
    for track, points in zip(track_ids(poses), joints.astype(float), strict=True):
        yield {
            "person_id": [-1 if track is None else track],
            "pose_keypoints_2d": [round(value, 4) for value in points.ravel().tolist()],
            **{key: [] for key in (*EMPTY, *EMPTY_3D)},
        }


def open_sink(place: Path, about: RunFacts) -> ResultSink:
    """Open a folder of OpenPose's JSON files."""
    return OpenPose(place, about)
