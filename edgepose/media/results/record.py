"""The schema that all outputs of a run share: the facts of a frame, and the people in it.

`FORMAT` is the version of the schema. It is the value of "format" in JSON and JSON Lines, and stands in the metadata of
the other outputs that have a place for it.
"""

from __future__ import annotations

from typing import Any

from edgepose.media.sources import Frame
from edgepose.pose.poses import UNTRACKED, Poses

FORMAT = 1
VISIBLE = 2  # in COCO labels


def frame_facts(frame: Frame) -> dict[str, Any]:
    """Return what is known of a frame without its people: name, index, image_id, time_s, width and height."""
    height, width = frame.image.shape[:2]
    return {
        "frame": frame.name,
        "index": frame.index,
        "image_id": frame.image_id,
        "time_s": round(frame.time_s, 6),
        "width": int(width),
        "height": int(height),
    }


def track_ids(poses: Poses) -> list[int | None]:
    """Return the track id of each person, None for a person who is not tracked."""
    if poses.track_ids is None:
        return [None] * len(poses)
    return [None if number == UNTRACKED else int(number) for number in poses.track_ids]


def people_of(poses: Poses) -> list[dict[str, Any]]:
    """Return the people of a frame.

    Returns:
        For each person:
            track_id: The number of the person, None where people are not tracked.
            score: The confidence of the person, 0 to 1.
            bbox: The box, [x, y, width, height] in pixels.
            keypoints: x, y and visibility of each joint as in COCO labels: 2 where the joint was found, else 0.
            keypoint_scores: The score of each joint, 0 to 1.
    """
    people = []
    xy_image, boxes = poses.xy_image.astype(float), poses.boxes_xyxy.astype(float)
    for i, (track, score) in enumerate(zip(track_ids(poses), poses.person_scores, strict=True)):
        x0, y0, x1, y1 = boxes[i].tolist()
        scores = poses.scores[i].astype(float).tolist()
        joints = zip(xy_image[i].tolist(), scores, strict=True)
        people.append(
            {
                "track_id": track,
                "score": round(float(score), 5),
                "bbox": [round(value, 3) for value in (x0, y0, x1 - x0, y1 - y0)],
                "keypoints": [
                    part for (x, y), one in joints for part in (round(x, 3), round(y, 3), VISIBLE if one > 0 else 0)
                ],
                "keypoint_scores": [round(one, 4) for one in scores],
            }
        )
    return people


def frame_record(frame: Frame, poses: Poses) -> dict[str, Any]:
    """Return a frame and its people as one object: a line of JSON Lines, or a message.

    In a run of several sources, `source` is the name of the frame's source.
    """
    return {
        "format": FORMAT,
        **({"source": frame.source} if frame.source else {}),
        **frame_facts(frame),
        "joints": list(poses.skeleton.joints),
        "people": people_of(poses),
    }
