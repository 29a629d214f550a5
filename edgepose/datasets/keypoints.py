"""The field `keypoints` of an annotation: (x, y, v) of every joint.

COCO's form is a flat list x, y, v, x, y, v, ... A user's own file may also have nested triples [[x, y, v], ...], pairs
without visibility (x, y of every joint, flat or nested), and any coordinates for joints that are not labeled.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from edgepose._checks import Array
from edgepose.datasets.remarks import Kind, short
from edgepose.errors import DataError
from edgepose.pose.geometry import FARTHEST_PX
from edgepose.pose.skeletons import Skeleton

NO_VISIBILITY = Kind(
    "keypoints have no visibility",
    "every joint counts as visible, except joints at (0, 0), which count as not labeled",
)


def read_keypoints(value: Any, skeleton: Skeleton, where: str, *, own: bool) -> tuple[Array, bool]:
    """Read the field.

    Args:
        value: The field.
        skeleton: The skeleton of K joints.
        where: The file and the annotation, for messages.
        own: Whether the forms of a user's own file are allowed.

    Returns:
        [K, 3] float64 with v of 0, 1 or 2 and (0, 0) for own joints that are not labeled; and whether v was missing.

    Raises:
        DataError: The field has another length, or a number in it is wrong. The message names the joint.
    """
    k = len(skeleton)
    flat = value if isinstance(value, list) else [value]
    if own and flat and all(isinstance(item, list) and len(item) == len(flat[0]) for item in flat):
        flat = [number for item in flat for number in item]
    if own and len(flat) == 2 * k and all(_real(number) for number in flat):
        xy = np.asarray(flat, np.float64).reshape(k, 2)
        return np.column_stack([xy, np.where(xy.any(axis=1), 2, 0)]), True
    if len(flat) != 3 * k or not isinstance(value, list):
        numbers = isinstance(value, list) and all(isinstance(number, (int, float)) for number in flat)
        got = f"{len(flat)} numbers" if numbers else short(value)
        raise DataError(
            f"{where}: keypoints is {got}; expected {3 * k} numbers: x, y and v of each of the {k} joints of skeleton "
            f"{skeleton.name}"
        )
    if all(_real(number) for number in flat):
        joints = np.asarray(flat, np.float64).reshape(k, 3)
        if np.isin(joints[:, 2], (0, 1, 2)).all():
            return joints, False
    rows = [_joint(flat[3 * i : 3 * i + 3], f"{where}: keypoints", i, skeleton, own) for i in range(k)]
    return np.array(rows, np.float64), False


def _joint(row: list[Any], where: str, index: int, skeleton: Skeleton, own: bool) -> list[float]:
    """Return x, y and v of a joint, or say what is wrong with it."""
    joint = f"joint {index + 1} of {len(skeleton)}, {skeleton.joints[index]},"
    x, y, v = row
    if not _real(v) or v not in (0, 1, 2):
        hint = ". Is it a confidence?" if isinstance(v, float) and 0 < v < 1 else ""
        raise DataError(
            f"{where}: {joint} has visibility {short(v)}; expected 0 (not labeled), 1 (occluded) or 2 (visible){hint}"
        )
    if own and v == 0:
        return [0.0, 0.0, 0.0]
    for axis, number in (("x", x), ("y", y)):
        if not _real(number):
            raise DataError(
                f"{where}: {joint} has {axis} = {short(number)}; expected a number of pixels, or visibility 0 for a "
                "joint that is not labeled"
            )
    return [x, y, v]


def _real(value: Any) -> bool:
    """Return whether a value is a number that an image may contain."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= FARTHEST_PX


def counted_from_one(values: Iterable[Any]) -> str:
    """Return the end of a message if all visibilities of a file are 1, 2 or 3, else an empty text.

    Args:
        values: The fields `keypoints` of the file.
    """
    found = {v for flat in values if isinstance(flat, list) for v in flat[2::3] if isinstance(v, (int, float))}
    if 3 in found and found <= {1, 2, 3}:
        return ". All visibilities of the file are 1, 2 or 3: are they counted from 1? Subtract 1 from each"
    return ""
