"""Draw poses over an image: limbs with a dark outline and joints as dots, in a size that follows the person's.

Colors show the side of the body (warm for the person's left, cool for the right) or, with `by="person"`, the person.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from edgepose._checks import Array
from edgepose.errors import UsageError, nearest
from edgepose.media.sources import Frame
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import Skeleton

Color = tuple[int, int, int]  # BGR
Point = tuple[int, int]  # x, y in 1/16 pixel
Colors = Callable[[str, int], Color]  # (side, person)

LEFT: Color = (60, 150, 255)
RIGHT: Color = (255, 190, 60)
MIDDLE: Color = (190, 235, 160)
RIM: Color = (30, 25, 20)
SHIFT = 4  # OpenCV draws at 1/16 pixel


def draw_poses(image: Array, poses: Poses, *, threshold: float = 0.3, by: str = "side", labels: bool = False) -> Array:
    """Draw people over a copy of an image.

    Args:
        image: The image, [H, W, 3] uint8 BGR. It is not changed.
        poses: The people.
        threshold: Joints with a lower score are hidden, together with their limbs. Joints of score 0 always are. People
            without joints, whom a person detector finds, are drawn as boxes.
        by: What colors tell apart: 'side' or 'person'. With `track_ids`, a person keeps the color over frames.
        labels: Whether to draw the boxes too, in the color of the person, with the identity and the person's score.

    Returns:
        The drawing, [H, W, 3] uint8 BGR.

    Raises:
        UsageError: `by` is neither 'side' nor 'person'.
    """
    if by not in COLORS:
        raise UsageError(f"draw by {by!r}{nearest(by, COLORS)}")
    canvas = image.copy()
    for i in np.argsort(poses.box_scores, kind="stable"):  # the person with the highest score is drawn last, on top
        person = int(poses.track_ids[i]) if poses.track_ids is not None else int(i)
        if not len(poses.skeleton):
            color = COLORS[by]("middle", person)
            _draw_box(canvas, poses.boxes_xyxy[i], color)
            if labels:
                _draw_label(canvas, poses.boxes_xyxy[i], _label(poses, i), color)
            continue
        sure = (poses.scores[i] >= threshold) & (poses.scores[i] > 0)  # score 0: not found
        shown = sure & np.isfinite(poses.xy_image[i]).all(axis=1)
        if labels:
            _draw_box(canvas, poses.boxes_xyxy[i], _by_person("middle", person), 0.3)
        _draw_person(canvas, poses.skeleton, poses.xy_image[i], shown, person, COLORS[by])
        if labels:
            _draw_label(canvas, poses.boxes_xyxy[i], _label(poses, i), _by_person("middle", person))
    return canvas


class Drawing:
    """Draws people for several outputs: the drawing of the latest frame is made once.

    Args:
        threshold: See `draw_poses`.
        by: See `draw_poses`.
        labels: See `draw_poses`.
    """

    def __init__(self, *, threshold: float = 0.3, by: str = "side", labels: bool = False) -> None:
        self._options: dict[str, Any] = {"threshold": threshold, "by": by, "labels": labels}
        self._latest: tuple[Frame, Array] | None = None

    def __call__(self, frame: Frame, poses: Poses) -> Array:
        """Return the picture of a frame with its people, [H, W, 3] uint8 BGR. The caller does not change it."""
        latest = self._latest
        if latest is None or latest[0] is not frame:
            self._latest = latest = (frame, draw_poses(frame.image, poses, **self._options))
        return latest[1]


def _label(poses: Poses, i: int) -> str:
    """Return the identity, where there is one, and the score of a person."""
    score = f"{poses.person_scores[i]:.2f}"
    return f"{poses.track_ids[i]}: {score}" if poses.track_ids is not None and poses.track_ids[i] >= 0 else score


def _draw_person(canvas: Array, skeleton: Skeleton, xy: Array, shown: Array, person: int, colors: Colors) -> None:
    if not shown.any():
        return
    width = _line_width(xy[shown])
    rim = max(1, round(width * 0.4))
    limbs = [(a, b) for a, b in _bones(skeleton) if shown[a] and shown[b]]
    dots = np.flatnonzero(shown).tolist()
    at = _fixed(np.where(shown[:, None], xy, 0))
    for a, b in limbs:
        _line(canvas, at[a], at[b], RIM, width + 2 * rim)
    for j in dots:
        _dot(canvas, at[j], RIM, width * 0.9 + rim)
    for a, b in limbs:
        _line(canvas, at[a], at[b], colors(_limb_side(skeleton.joints[a], skeleton.joints[b]), person), width)
    for j in dots:
        color = colors(_side(skeleton.joints[j]), person)
        _dot(canvas, at[j], color, width * 0.9)
        _dot(canvas, at[j], (255, 255, 255), width * 0.4)


def _draw_box(canvas: Array, box_xyxy: Array, color: Color, thickness: float = 1.0) -> None:
    """Draw the box of a person."""
    if not np.isfinite(box_xyxy).all():
        return
    width = max(1, round(thickness * _line_width(box_xyxy.reshape(2, 2))))
    low, high = _fixed(box_xyxy.reshape(2, 2))
    cv2.rectangle(canvas, low, high, RIM, width + 2 * max(1, round(width * 0.4)), cv2.LINE_AA, SHIFT)
    cv2.rectangle(canvas, low, high, color, width, cv2.LINE_AA, SHIFT)


def _draw_label(canvas: Array, box_xyxy: Array, text: str, color: Color) -> None:
    """Write over the top edge of a box, inside of the image."""
    if not np.isfinite(box_xyxy).all():
        return
    scale = max(0.4, canvas.shape[0] / 1080)
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    x = int(np.clip(box_xyxy[0], 0, max(0, canvas.shape[1] - width)))
    y = int(np.clip(box_xyxy[1], height + below, max(height + below, canvas.shape[0])))
    cv2.rectangle(canvas, (x, y - height - below), (x + width, y), color, -1)
    cv2.putText(canvas, text, (x, y - below // 2), cv2.FONT_HERSHEY_SIMPLEX, scale, RIM, 1, cv2.LINE_AA)


@lru_cache
def _bones(skeleton: Skeleton) -> tuple[tuple[int, int], ...]:
    """Return the limbs and the lines across the torso, which are no limbs of PCP but make a drawing readable."""
    top = next((joint for joint in ("thorax", "neck") if joint in skeleton.joints), None)
    shoulders = ("left_shoulder", "right_shoulder")
    cross = [(top, shoulder) for shoulder in shoulders] if top else [shoulders]
    pairs = [*skeleton.limbs, *cross, ("left_hip", "right_hip")]
    named = dict.fromkeys(pair for pair in pairs if all(joint in skeleton.joints for joint in pair))
    return tuple((skeleton.index(a), skeleton.index(b)) for a, b in named)


def _line_width(xy: Array) -> int:
    """Return the line width in pixels, about 1/75 of the person's extent, so that small people stay readable."""
    extent = float(np.ptp(xy, axis=0).max())
    return max(1, min(12, round(extent / 75)))


def _line(canvas: Array, start: Point, end: Point, color: Color, width: int) -> None:
    cv2.line(canvas, start, end, color, width, cv2.LINE_AA, SHIFT)


def _dot(canvas: Array, center: Point, color: Color, radius: float) -> None:
    cv2.circle(canvas, center, round(radius * (1 << SHIFT)), color, -1, cv2.LINE_AA, SHIFT)


def _fixed(xy: Array) -> list[Point]:
    """Return points [N, 2] in 1/16 pixel, as OpenCV takes them."""
    return [(x, y) for x, y in np.rint(np.clip(xy, -16000, 16000) * (1 << SHIFT)).astype(int).tolist()]


def _side(joint: str) -> str:
    return joint.partition("_")[0] if joint.startswith(("left_", "right_")) else "middle"


def _limb_side(a: str, b: str) -> str:
    """Return the side of a limb: that of its ends, where they do not contradict each other."""
    sides = {_side(a), _side(b)} - {"middle"}
    return sides.pop() if len(sides) == 1 else "middle"


def _by_side(side: str, person: int) -> Color:
    return {"left": LEFT, "right": RIGHT}.get(side, MIDDLE)


def _by_person(side: str, person: int) -> Color:
    """Return a hue that differs most from those of neighboring numbers. The right side is a little darker."""
    red, green, blue = colorsys.hsv_to_rgb(person * 0.618034 % 1.0, 0.65, 0.8 if side == "right" else 1.0)
    return round(255 * blue), round(255 * green), round(255 * red)


COLORS: dict[str, Colors] = {"side": _by_side, "person": _by_person}
