"""The table of a run: its columns and rows, for CSV and Parquet.

A row is a person in a frame. A frame without people has one row, whose columns from `person` on are empty.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgepose.media.results.record import frame_facts, track_ids
from edgepose.media.sources import Frame
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import Skeleton

Value = str | int | float | None

FRAME_COLUMNS = {"frame": str, "index": int, "image_id": int, "time_s": float, "width": int, "height": int}
PERSON_COLUMNS = {"person": int, "track_id": int, "score": float}
BOX_COLUMNS = dict.fromkeys(("box_x0", "box_y0", "box_x1", "box_y1"), float)


def columns_of(skeleton: Skeleton) -> dict[str, type]:
    """Return the columns with their types; x, y and score of each joint come last."""
    joints = [f"{joint}_{part}" for joint in skeleton.joints for part in ("x", "y", "score")]
    return {**FRAME_COLUMNS, **PERSON_COLUMNS, **BOX_COLUMNS, **dict.fromkeys(joints, float)}


def rows_of(frame: Frame, poses: Poses) -> Iterator[list[Value]]:
    """Yield the rows of a frame; numbers are rounded to a thousandth of a pixel or less."""
    facts: list[Value] = list(frame_facts(frame).values())
    if not len(poses):
        yield [*facts, *[None] * (len(PERSON_COLUMNS) + len(BOX_COLUMNS) + 3 * len(poses.skeleton))]
    people = zip(track_ids(poses), poses.person_scores, poses.boxes_xyxy, strict=True)
    for i, (track, score, box) in enumerate(people):
        joints = np.column_stack([poses.xy_image[i], poses.scores[i]]).astype(float).ravel()
        measured = [round(value, 4) for value in (*box.astype(float).tolist(), *joints.tolist())]
        yield [*facts, i, track, round(float(score), 5), *measured]
