"""A contact sheet: people of a data set with their labels drawn, so that a person can check the labels.

Each cell shows one person: the box with a margin, and limbs and joints in the colors of their side (the person's left
in warm colors, the right in cool ones). A ring marks a joint that is labeled but hidden. Up to half of the cells show
people whose labels look wrong, with the reason; the others are spread evenly over the data set. A missing photograph is
drawn gray.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edgepose._checks import Array
from edgepose._files import replacing
from edgepose.datasets.check import Findings
from edgepose.datasets.samples import PoseData, Sample
from edgepose.errors import DataError, EdgeposeError
from edgepose.media.draw import draw_poses
from edgepose.pose.geometry import Size, apply_affine, crop_affine
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import Skeleton

COLUMNS, ROWS = 6, 4  # cells of each data set
CELL: Size = (260, 200)
CAPTION = 34  # height of the caption under a cell, in pixels
ROOM = 1.4  # factor by which the box is grown
GRAY, WHITE, INK, ALARM = (128, 128, 128), (255, 255, 255), (40, 40, 40), (60, 60, 220)  # BGR


def write_sheet(path: Path, parts: Sequence[tuple[PoseData, Findings]]) -> None:
    """Write the contact sheet of one or several data sets.

    Args:
        path: The picture to write; its suffix decides the format.
        parts: Each data set with the findings of its check.

    Raises:
        EdgeposeError: The suffix is no format of pictures, or the file cannot be written.
    """
    if not cv2.haveImageWriter(path.name):
        raise EdgeposeError(f"cannot write {path}: {path.suffix!r} is no picture format that OpenCV writes; use .png")
    sheet = np.concatenate([_part(data, findings) for data, findings in parts])
    with replacing(path) as temporary:
        if not cv2.imwrite(str(temporary), sheet):
            raise EdgeposeError(f"cannot write {path}: is the disk full?")


def _part(data: PoseData, findings: Findings) -> Array:
    """[H, W, 3] uint8 BGR: the title and the cells of one data set."""
    odd = {item.index: item.reason for item in reversed(findings.odd)}  # keep the first reason of each person
    cells = [_cell(data[i], data.skeleton, odd.get(i)) for i in chosen(findings.counted, sorted(odd))]
    height, width = CELL[0] + CAPTION, CELL[1]
    blank = np.full((height, width, 3), 255, np.uint8)
    rows = -(-len(cells) // COLUMNS)
    cells += [blank] * (rows * COLUMNS - len(cells))
    lines = [np.concatenate(cells[row * COLUMNS : (row + 1) * COLUMNS], axis=1) for row in range(rows)]
    title = np.full((30, COLUMNS * width, 3), 255, np.uint8)
    _write(title, f"{findings.name}: {findings.people} people in {findings.images} images", (8, 20), 0.55, INK)
    return np.concatenate([title, *lines])


def chosen(people: Sequence[int], odd: Sequence[int]) -> list[int]:
    """Choose whom to show.

    Args:
        people: Indices of all people.
        odd: Indices of people whose labels look wrong; they get up to half of the cells.

    Returns:
        Rising indices; the rest of the cells is spread evenly over the other people.
    """
    room, known, wrong = COLUMNS * ROWS, set(people), set(odd)
    strange = _spread([i for i in odd if i in known], room // 2)
    others = _spread([i for i in people if i not in wrong], room - len(strange))
    return sorted([*strange, *others])


def _spread(items: Sequence[int], count: int) -> list[int]:
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def _cell(sample: Sample, skeleton: Skeleton, reason: str | None) -> Array:
    """[H, W, 3] uint8 BGR: one person and the caption."""
    box = sample.box_xyxy.astype(np.float64)
    affine = crop_affine(box, CELL, padding=ROOM)
    picture = cv2.warpAffine(_image(sample), affine, CELL[::-1], flags=cv2.INTER_LINEAR, borderValue=GRAY)
    shown = sample.labeled.astype(np.float32)
    poses = Poses(
        skeleton=skeleton,
        xy_image=apply_affine(affine, sample.xy_image.astype(np.float64))[None].astype(np.float32),
        scores=shown[None],
        boxes_xyxy=np.array([[0, 0, CELL[1], CELL[0]]], np.float32),
        box_scores=np.ones(1, np.float32),
    )
    picture = draw_poses(picture, poses)
    for x, y in poses.xy_image[0][sample.occluded]:
        cv2.circle(picture, (round(float(x)), round(float(y))), 6, WHITE, 1, cv2.LINE_AA)
    return np.concatenate([_framed(picture, reason), _caption(sample.name, reason)])


def _image(sample: Sample) -> Array:
    """The photograph, or a gray picture that contains the labels."""
    try:
        return sample.read()
    except DataError:
        corner = np.maximum(sample.box_xyxy[2:], sample.xy_image.max(axis=0)) + 1
        width, height = (int(side) for side in np.clip(corner, 1, 8000))
        return np.full((height, width, 3), GRAY, np.uint8)


def _framed(picture: Array, reason: str | None) -> Array:
    height, width = picture.shape[:2]
    cv2.rectangle(picture, (0, 0), (width - 1, height - 1), ALARM if reason else WHITE, 2)
    return picture


def _caption(name: str, reason: str | None) -> Array:
    strip = np.full((CAPTION, CELL[1], 3), 255, np.uint8)
    for i, line in enumerate(textwrap.wrap(f"{name}: {reason}" if reason else name, 34)[:2]):
        _write(strip, line, (4, 12 + 14 * i), 0.35, ALARM if reason else INK)
    return strip


def _write(picture: Array, text: str, place: tuple[int, int], scale: float, color: tuple[int, int, int]) -> None:
    plain = text.encode("ascii", "replace").decode()  # OpenCV draws ASCII only
    cv2.putText(picture, plain, place, cv2.FONT_HERSHEY_SIMPLEX, scale, color, 1, cv2.LINE_AA)
